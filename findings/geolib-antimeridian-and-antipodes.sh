#!/usr/bin/env bash
# geolib: over the antimeridian areas are 359 times too large, and the precise distance of antipodes is NaN.
#
# Expected: a box of one degree at the equator has about 12,391 km2 and holds its middle wherever it is. The distance of
# two points is a number; getPreciseDistance() is documented as the slower and more accurate one (Vincenty).
# Seen: the box from 179.5 to -179.5 has 4.4 million km2 (getAreaOfPolygon), does not hold its middle (isPointInPolygon,
# as in geolib#38) and has its middle at longitude 0 (getCenterOfBounds), while getCenter says -180.
# getPreciseDistance() from 0, 0 to 0, 180 and to 0.5, 179.7 is NaN, where getDistance() says 20,000 km.
#
# Version: geolib 3.3.14, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit geolib@3.3.14 >/dev/null
cat >run.js <<'SCRIPT'
const geolib = require('geolib');

const point = (latitude, longitude) => ({ latitude, longitude });
for (const [west, east] of [[-0.5, 0.5], [179.5, -179.5]]) {
    const box = [point(0, west), point(1, west), point(1, east), point(0, east)];
    const middle = point(0.5, west + 0.5);
    console.log(
        `box from ${west} to ${east}:`,
        `${Math.round(geolib.getAreaOfPolygon(box) / 1e6)} km2,`,
        `holds its middle: ${geolib.isPointInPolygon(middle, box)},`,
        `middles: ${geolib.getCenterOfBounds(box).longitude} and ${Math.round(geolib.getCenter(box).longitude)}`,
    );
}
for (const [latitude, longitude] of [[0, 170], [0.5, 179.7], [0, 180]]) {
    const ends = [point(0, 0), point(latitude, longitude)];
    console.log(`to ${latitude}, ${longitude}:`, geolib.getDistance(...ends), geolib.getPreciseDistance(...ends));
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != "box from -0.5 to 0.5: 12391 km2, holds its middle: true, middles: 0 and 0
box from 179.5 to -179.5: 4448513 km2, holds its middle: false, middles: 0 and -180
to 0, 170: 18924313 18924313
to 0.5, 179.7: 19972599 NaN
to 0, 180: 20037508 NaN" ]; then
    echo "changed: areas, middles or distances are other ones" >&2
    exit 1
fi
