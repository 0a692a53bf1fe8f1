#!/usr/bin/env bash
# utm: the longitude 180 is in zone 61, which it refuses itself. utm-converter: Bergen is in zone 31 instead of 32.
#
# Expected: there are 60 zones of 6 degrees, of which the first begins at 180 degrees west, which is 180 degrees east,
# too. Zone 32 reaches to 3 degrees east in the band of Bergen, and the bands of Svalbard have the zones 31, 33, 35 and
# 37 only (NGA.SIG.0012 on the zones of UTM). utm for Python, from which that for npm was translated, knows all of that.
# Seen: fromLatLon(-17, 180) in Fiji gives zone 61, and toLatLon() fails on it with "zone number out of range".
# utm-converter gives coordinates of zone 31 for Bergen, whose easting is 331 km more than on any map there.
#
# Versions: utm 1.1.1 and utm-converter 0.1.1 (npm) beside utm 0.9.0 (pip), Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit utm@1.1.1 utm-converter@0.1.1 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check utm==0.9.0
cat >run.py <<'PYTHON'
import utm

for name, latitude, longitude in (("Taveuni", -17.0, 180.0), ("Bergen", 60.39, 5.32)):
    easting, _, zone, _ = utm.from_latlon(latitude, longitude)
    print("utm of pip:", name, zone, round(easting))
PYTHON
cat >run.js <<'SCRIPT'
const utm = require('utm');
const Converter = require('utm-converter');
const converter = new Converter();

for (const [name, latitude, longitude] of [['Taveuni', -17, 180], ['Bergen', 60.39, 5.32]]) {
    const found = utm.fromLatLon(latitude, longitude);
    let back = 'read again';
    try {
        utm.toLatLon(found.easting, found.northing, found.zoneNum, found.zoneLetter);
    } catch (error) {
        back = error.message.split(' (')[0];
    }
    console.log('utm of npm:', name, found.zoneNum, Math.round(found.easting), back);
}
const found = converter.toUtm({ coord: [5.32, 60.39] });
console.log('utm-converter: Bergen', found.zone, Math.round(found.coord.x));
SCRIPT
seen=$(venv/bin/python run.py && node run.js)
echo "$seen"
if [ "$seen" != "utm of pip: Taveuni 1 180548
utm of pip: Bergen 32 297230
utm of npm: Taveuni 61 180548 zone number out of range
utm of npm: Bergen 32 297230 read again
utm-converter: Bergen 31 627860" ]; then
    echo "changed: zones are found in another way" >&2
    exit 1
fi
