#!/usr/bin/env bash
# @hamset/maidenhead-locator: of two locators one comes back as the square beside it.
#
# Expected: maidenheadToWGS84() gives the corner to the south and west of a square, and WGS84ToMaidenhead() the square
# of a place (README, where DM06gs becomes 36.75, -119.5 and DM06gs again). A corner belongs to the square to its north
# and east, and fields go from A to R (IARU locator system).
# Seen: degrees and minutes are cut apart with floating-point numbers, so that the minutes of a corner are often a bit
# too few: of 5760 squares in field JN 3200 come back as others, 4.6 km to the south or some 6 km to the west. The north
# pole and the longitude 180 get the field S, which the library's own validateGridLocator() refuses.
#
# Version: @hamset/maidenhead-locator 0.2.1, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit @hamset/maidenhead-locator@0.2.1 >/dev/null
echo "@hamset/maidenhead-locator 0.2.1, Node.js $(node --version)"
cat >run.mjs <<'SCRIPT'
import { WGS84ToMaidenhead, maidenheadToWGS84, validateGridLocator } from '@hamset/maidenhead-locator';

for (const locator of ['DM06gs', 'JN58te', 'JN58ud']) {
    const corner = maidenheadToWGS84(locator);
    const place = `${corner.lat.toFixed(4)}, ${corner.lng.toFixed(4)}`;
    console.log(`${locator}: ${place}, which is ${WGS84ToMaidenhead(corner)}`);
}
let squares = 0;
let others = 0;
for (let number = 0; number < 10; number += 1) {
    for (let column = 0; column < 24; column += 1) {
        for (let row = 0; row < 24; row += 1) {
            const letters = String.fromCharCode(97 + column, 97 + row);
            const locator = `JN5${number}${letters}`;
            squares += 1;
            others += WGS84ToMaidenhead(maidenheadToWGS84(locator)) === locator ? 0 : 1;
        }
    }
}
console.log(`${others} of ${squares} squares of JN5 come back as others`);
for (const place of [[90, 0], [0, 180]]) {
    const locator = WGS84ToMaidenhead(place);
    console.log(`${place.join(', ')}: ${locator}, valid: ${validateGridLocator(locator)}`);
}
SCRIPT
seen=$(node run.mjs)
echo "$seen"
if [ "$seen" != 'DM06gs: 36.7500, -119.5000, which is DM06gs
JN58te: 48.1667, 11.5833, which is JN58td
JN58ud: 48.1250, 11.6667, which is JN58td
3200 of 5760 squares of JN5 come back as others
90, 0: JS00aa, valid: false
0, 180: SJ00aa, valid: false' ]; then
    echo "changed: locators are computed in another way" >&2
    exit 1
fi
