#!/usr/bin/env bash
# geo-nearby: on the meridian of Greenwich and on the equator nothing is near, and in Tromsø half of what is.
#
# Expected: nearBy(latitude, longitude, distance) gives the places of the data set within the distance, in metres
# (README: "Uber fast nearby locations search by coordinates", with "5000 - 5km").
# Seen: of 400 places within 5 km, spread evenly by direction and distance, 335 are found in Sydney, which is the
# README's example, 192 in Tromsø, and none where the latitude or the longitude asked for is 0: a ten-thousandth of a
# degree beside the meridian there are 279 again. The size of the cells comes from a table for the equator,
# while cells get narrow to the north, and the cells looked at do not hold the whole circle anywhere.
#
# Versions: geo-nearby 2.0.1 with ngeohash 0.6.4, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit geo-nearby@2.0.1 ngeohash@0.6.4 >/dev/null
cat >run.cjs <<'SCRIPT'
const Geo = require('geo-nearby');
const geohash = require('ngeohash');

const RADIUS = 5000;
const found = {};
for (const [name, latitude, longitude] of [
    ['Sydney', -33.87, 151.2],
    ['Tromsø', 69.65, 18.96],
    ['Greenwich', 51.478, 0],
    ['beside Greenwich', 51.478, 0.0001],
    ['equator', 0, 20],
]) {
    const places = [];
    for (let number = 0; number < 400; number++) {
        const away = RADIUS * Math.sqrt((number + 0.5) / 400);
        const angle = number * 2.399963;
        const north = (away * Math.cos(angle)) / 111195;
        const east = (away * Math.sin(angle)) / 111195 / Math.cos((latitude * Math.PI) / 180);
        const place = longitude + east > 180 ? longitude + east - 360 : longitude + east;
        places.push({ i: number, g: geohash.encode_int(latitude + north, place, 52) });
    }
    found[name] = new Geo(places).nearBy(latitude, longitude, RADIUS).length;
    console.log(`${name}: of 400 places within ${RADIUS} m ${found[name]} are found`);
}
const seen = Object.values(found).join(' ');
if (seen !== '335 192 0 279 0') {
    console.error('changed: other places are found');
    process.exit(1);
}
SCRIPT
node run.cjs
