#!/usr/bin/env bash
# togpx: of a track of two segments each point has two times, and those of the second segment are lost.
#
# Expected: a GPX track that became GeoJSON by togeojson and GPX again by togpx has the times that it had; the README
# says that times are written if there is a property coordTimes, as togeojson writes it. A point has one time
# (GPX 1.1 schema, wptType).
# Seen: for a track of two segments coordTimes is a list of lists. The first point of each segment gets both times of
# the first segment, the second point both of the second. Tracks of one segment are right.
#
# Versions: togpx 0.5.4 with @mapbox/togeojson 0.16.2, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit togpx@0.5.4 @mapbox/togeojson@0.16.2 @xmldom/xmldom@0.8.11 >/dev/null
cat >track.gpx <<'GPX'
<gpx version="1.1" creator="hand" xmlns="http://www.topografix.com/GPX/1/1">
  <trk>
    <trkseg>
      <trkpt lat="48.1" lon="11.1"><time>2026-11-29T10:01:00Z</time></trkpt>
      <trkpt lat="48.2" lon="11.2"><time>2026-11-29T10:02:00Z</time></trkpt>
    </trkseg>
    <trkseg>
      <trkpt lat="48.3" lon="11.3"><time>2026-11-29T10:03:00Z</time></trkpt>
      <trkpt lat="48.4" lon="11.4"><time>2026-11-29T10:04:00Z</time></trkpt>
    </trkseg>
  </trk>
</gpx>
GPX
cat >run.js <<'SCRIPT'
const fs = require('fs');
const { gpx } = require('@mapbox/togeojson');
const { DOMParser } = require('@xmldom/xmldom');
const togpx = require('togpx');

const read = gpx(new DOMParser().parseFromString(fs.readFileSync('track.gpx', 'utf8'), 'text/xml'));
console.log('coordTimes:', JSON.stringify(read.features[0].properties.coordTimes).replaceAll('2026-11-29T', ''));
for (const [, latitude, inside] of togpx(read).matchAll(/<trkpt lat="([^"]*)"[^>]*>(.*?)<\/trkpt>/g)) {
    console.log(latitude, ...[...inside.matchAll(/T([0-9:]*)Z/g)].map((time) => time[1]));
}
SCRIPT
seen=$(node run.js)
echo "$seen"
if [ "$seen" != 'coordTimes: [["10:01:00Z","10:02:00Z"],["10:03:00Z","10:04:00Z"]]
48.1 10:01:00 10:02:00
48.2 10:03:00 10:04:00
48.3 10:01:00 10:02:00
48.4 10:03:00 10:04:00' ]; then
    echo "changed: times are written in another way" >&2
    exit 1
fi
