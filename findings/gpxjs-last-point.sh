#!/usr/bin/env bash
# @we-gold/gpxjs: the last point does not count: a trip of three minutes lasts two, one of two points none.
#
# Expected: the end date is the time of the last point, the total duration the seconds from the first to it, and the
# cumulative duration that at each point (README, "Duration"). A position of GeoJSON holds numbers, two of them if
# there is no elevation (RFC 7946, 3.1.1).
# Seen: of fixes at 10:00, 10:01, 10:02 and 10:03 the end is 10:02 and the duration 120 s; cumulative is 0 at each of
# the four. Of two fixes end and start are the same. toGeoJSON() writes the elevation of a point without one as null.
#
# Versions: @we-gold/gpxjs 1.2.0 with @xmldom/xmldom 0.8.11, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit @we-gold/gpxjs@1.2.0 @xmldom/xmldom@0.8.11 >/dev/null
cat >run.mjs <<'SCRIPT'
import { parseGPXWithCustomParser } from '@we-gold/gpxjs';
import { DOMParser } from '@xmldom/xmldom';

for (const number of [4, 2]) {
    const points = [0, 1, 2, 3].slice(0, number).map(
        (minute) => `<trkpt lat="48" lon="11.0${minute}"><time>2026-11-29T10:0${minute}:00Z</time></trkpt>`,
    );
    const [gpx, error] = parseGPXWithCustomParser(
        `<gpx version="1.1" creator="hand" xmlns="http://www.topografix.com/GPX/1/1">
            <trk><trkseg>${points.join('')}</trkseg></trk>
        </gpx>`,
        (text) => new DOMParser().parseFromString(text, 'text/xml'),
    );
    if (error) {
        throw error;
    }
    const { endTime, totalDuration, cumulative } = gpx.tracks[0].duration;
    const end = endTime.toISOString().slice(11, 16);
    console.log(`${number} points: ends ${end}, lasts ${totalDuration} s,`, ...cumulative);
    console.log(JSON.stringify(gpx.toGeoJSON().features[0].geometry.coordinates[0]));
}
SCRIPT
seen=$(node run.mjs)
echo "$seen"
if [ "$seen" != '4 points: ends 10:02, lasts 120 s, 0 0 0 0
[11,48,null]
2 points: ends 10:00, lasts 0 s, 0 0
[11,48,null]' ]; then
    echo "changed: durations or positions are given in another way" >&2
    exit 1
fi
