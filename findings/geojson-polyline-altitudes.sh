#!/usr/bin/env bash
# geojson-polyline: of positions with an altitude the longitude is lost, and the altitude becomes a latitude.
#
# Expected: decode(encode(x)) gives the line back, with altitudes or without them: a position has two numbers or more,
# longitude, latitude and, optional, the altitude; a parser may ignore others (RFC 7946, 3.1.1).
# Seen: the order of all the numbers is turned, and the first two are encoded. Of [11.5, 48.1, 520] comes back
# [48.1, 520], for lines as for points, with no error; [11.5, 48.1] is right.
#
# Versions: geojson-polyline 1.0.3, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit geojson-polyline@1.0.3 >/dev/null
cat >run.mjs <<'SCRIPT'
import polyline from 'geojson-polyline';

for (const geometry of [
    { type: 'LineString', coordinates: [[11.5, 48.1], [11.6, 48.2]] },
    { type: 'LineString', coordinates: [[11.5, 48.1, 520], [11.6, 48.2, 530]] },
    { type: 'Point', coordinates: [11.5, 48.1, 520] },
]) {
    const before = JSON.stringify(geometry.coordinates);
    const back = polyline.decode(polyline.encode(geometry));
    console.log(`${geometry.type} ${before} becomes ${JSON.stringify(back.coordinates)}`);
}
SCRIPT
seen=$(node run.mjs)
echo "$seen"
if [ "$seen" != "LineString [[11.5,48.1],[11.6,48.2]] becomes [[11.5,48.1],[11.6,48.2]]
LineString [[11.5,48.1,520],[11.6,48.2,530]] becomes [[48.1,520],[48.2,530]]
Point [11.5,48.1,520] becomes [48.1,520]" ]; then
    echo "changed: altitudes are encoded in another way" >&2
    exit 1
fi
