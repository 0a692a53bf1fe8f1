#!/usr/bin/env bash
# @placemarkio/tokml: all altitudes are left out.
#
# Expected: the third number of a position is its height (RFC 7946, 3.1.1), and that of coordinates in KML the altitude
# (OGC 12-007r2, on kml:coordinates). The older tokml writes it, and @tmcw/togeojson of the same authors reads it.
# Seen: of 11.5, 48.1, 520 is written 11.5,48.1, for points as for lines, without a word in the README. So a track that
# goes through KML once is at the height of the ground.
#
# Versions: @placemarkio/tokml 0.3.9 beside tokml 0.4.0, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit @placemarkio/tokml@0.3.9 tokml@0.4.0 >/dev/null
cat >run.mjs <<'SCRIPT'
import { toKML } from '@placemarkio/tokml';
import tokml from 'tokml';

for (const [type, coordinates] of [
    ['Point', [11.5, 48.1, 520]],
    ['LineString', [[11.5, 48.1, 520], [11.6, 48.2, 530]]],
]) {
    const feature = { type: 'Feature', properties: {}, geometry: { type, coordinates } };
    for (const [name, write] of [['tokml', tokml], ['@placemarkio/tokml', toKML]]) {
        const text = write({ type: 'FeatureCollection', features: [feature] });
        console.log(`${name}:`, text.match(/<coordinates>([^<]*)</)[1].split(/\s+/).join(' '));
    }
}
SCRIPT
seen=$(node run.mjs)
echo "$seen"
if [ "$seen" != "tokml: 11.5,48.1,520
@placemarkio/tokml: 11.5,48.1
tokml: 11.5,48.1,520 11.6,48.2,530
@placemarkio/tokml: 11.5,48.1 11.6,48.2" ]; then
    echo "changed: altitudes are written in another way" >&2
    exit 1
fi
