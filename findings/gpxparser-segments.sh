#!/usr/bin/env bash
# gpxparser: the gap between two segments of a track counts as travelled.
#
# Expected: a new segment begins where reception was lost or the receiver was off (GPX 1.1 schema, trksegType), so
# that two segments of 111 m each, 111 km apart, are 222 m of track. length_2d() of gpxpy says 223 m, as its
# Earth is a little larger.
# Seen: 111,417 m; the points of all segments are joined, and toGeoJSON() draws one line through them. And a track
# that climbs from 3 m below the sea to its level has a highest point of null, since 0 counts as missing
# (GPXParser.js#21 mended this for the points alone).
#
# Versions: gpxparser 3.0.8 beside gpxpy 1.6.2, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit gpxparser@3.0.8 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check gpxpy==1.6.2
cat >track.gpx <<'GPX'
<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="hand" xmlns="http://www.topografix.com/GPX/1/1">
  <trk>
    <name>two parts</name>
    <trkseg>
      <trkpt lat="0.0" lon="0.000"><ele>-3</ele></trkpt>
      <trkpt lat="0.0" lon="0.001"><ele>0</ele></trkpt>
    </trkseg>
    <trkseg>
      <trkpt lat="1.0" lon="0.000"><ele>0</ele></trkpt>
      <trkpt lat="1.0" lon="0.001"><ele>0</ele></trkpt>
    </trkseg>
  </trk>
</gpx>
GPX
cat >run.py <<'PYTHON'
from pathlib import Path

import gpxpy

print(round(gpxpy.parse(Path("track.gpx").read_text()).length_2d()))
PYTHON
cat >run.js <<'SCRIPT'
const fs = require('fs');
const Parser = require('gpxparser');
const parser = new Parser();
parser.parse(fs.readFileSync('track.gpx', 'utf8'));
const track = parser.tracks[0];
const line = parser.toGeoJSON().features[0].geometry;
console.log(Math.round(track.distance.total), line.type, line.coordinates.length, track.elevation.max);
SCRIPT
one=$(venv/bin/python run.py)
other=$(node run.js)
echo "gpxpy: $one m"
echo "gpxparser (metres, type and points of the GeoJSON, highest point): $other"
if [ "$one" != 223 ] || [ "$other" != "111417 LineString 4 null" ]; then
    echo "changed: segments are treated in another way" >&2
    exit 1
fi
