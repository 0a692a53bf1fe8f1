#!/usr/bin/env bash
# utm-utils: the EPSG code of zone 5 is 3265 instead of 32605.
#
# Expected: getCodeFromProjString() gives the code of which getProjString() gave the string; the codes of UTM in WGS 84
# are 32601 to 32660 in the north, 32701 to 32760 in the south (EPSG registry, WGS 84 / UTM zone 1N and so on).
# Seen: for the zones 1 to 9 the zero in front of the zone is left out: 32605 becomes 3265, 32709 becomes 3279. So it is
# with getCodeFromEsriWKT() for WGS_1984_UTM_Zone_5N. From zone 10 on both are right, as in the examples of the README.
# isUTM(), which looks at the first digits only, says true for 3265.
#
# Version: utm-utils 0.6.1, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit utm-utils@0.6.1 >/dev/null
echo "utm-utils 0.6.1, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const utm = require('utm-utils');

for (const code of [32605, 32709, 32610, 32733]) {
    const text = utm.getProjString(code);
    console.log(code, text.replace(/ \+ellps.*/, ''), utm.getCodeFromProjString(text));
}
console.log('Zone_5N', utm.getCodeFromEsriWKT('PROJCS["WGS_1984_UTM_Zone_5N",GEOGCS["GCS_WGS_1984"]]'));
console.log('isUTM(3265)', utm.isUTM(3265));
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != '32605 +proj=utm +zone=5 3265
32709 +proj=utm +zone=9 +south 3279
32610 +proj=utm +zone=10 32610
32733 +proj=utm +zone=33 +south 32733
Zone_5N 3265
isUTM(3265) true' ]; then
    echo "changed: zones below ten have other codes" >&2
    exit 1
fi
