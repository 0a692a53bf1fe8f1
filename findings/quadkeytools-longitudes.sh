#!/usr/bin/env bash
# quadkeytools: every place east of 85 degrees west has the quadkey of 85.05 degrees west.
#
# Expected: locationToQuadkey() gives the key of the tile that holds the place, and bbox() of that key a box around the
# place (README, which names the Bing Maps Tile System). mercantile and others give 120210233222 for Berlin at detail
# 12.
# Seen: Berlin, the zero point and Tokyo have keys of the same column, whose box is from 85.08 to 84.99 degrees west,
# and inside() says that Berlin is inside. The longitude is cut to the limits of the latitude, so that -85.05 is the
# largest. In Seattle all is right. pixelToTile() does not cut its result to whole numbers: pixel 300 is in tile 1.17.
#
# Version: quadkeytools 0.0.2, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit quadkeytools@0.0.2 >/dev/null
echo "quadkeytools 0.0.2, Node.js $(node --version)"
cat >run.js <<'SCRIPT'
const quadkey = require('quadkeytools');

const places = {
    Seattle: [47.61, -122.33],
    'New York': [40.71, -74.01],
    zero: [0, 0],
    Berlin: [52.52, 13.405],
    Tokyo: [35.68, 139.69],
};
for (const [name, [lat, lng]] of Object.entries(places)) {
    const key = quadkey.locationToQuadkey({ lat, lng }, 12);
    const { min, max } = quadkey.bbox(key);
    const inside = quadkey.inside({ lat, lng }, key);
    console.log(name, lng, key, `from ${min.lng.toFixed(2)} to ${max.lng.toFixed(2)}`, inside);
}
console.log('pixel 300 in tile', quadkey.pixelToTile({ x: 300, y: 0 }).x.toFixed(2));
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'Seattle -122.33 021230030220 from -122.34 to -122.26 true
New York -74.01 032000111200 from -85.08 to -84.99 true
zero 0 210000111000 from -85.08 to -84.99 true
Berlin 13.405 030200333222 from -85.08 to -84.99 true
Tokyo 139.69 032002113200 from -85.08 to -84.99 true
pixel 300 in tile 1.17' ]; then
    echo "changed: places have other quadkeys" >&2
    exit 1
fi
