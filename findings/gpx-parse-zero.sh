#!/usr/bin/env bash
# gpx-parse: the equator lies at one degree south, Greenwich at one degree west, and sea level at -1 m.
#
# Expected: lat="0" is a latitude of 0 (GPX 1.1 schema, wptType and latitudeType), lon="0" a longitude of 0, and <ele>0
# an elevation of 0 m. gpxpy reads them so.
# Seen: each of the three becomes -1 if it is 0, as if it was missing; so does an elevation that is missing. A track
# along the equator lies 111 km further south, and one over it has a point at -1 among those around 0.
#
# Versions: gpx-parse 0.10.4 beside gpxpy 1.6.2, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit gpx-parse@0.10.4 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check gpxpy==1.6.2
cat >track.gpx <<'GPX'
<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="hand" xmlns="http://www.topografix.com/GPX/1/1">
  <trk>
    <trkseg>
      <trkpt lat="0.001" lon="0.001"><ele>0.5</ele></trkpt>
      <trkpt lat="0" lon="0"><ele>0</ele></trkpt>
    </trkseg>
  </trk>
</gpx>
GPX
cat >run.js <<'SCRIPT'
const fs = require('fs');
const { parseGpx } = require('gpx-parse');

parseGpx(fs.readFileSync('track.gpx', 'utf8'), (error, gpx) => {
    if (error) {
        throw error;
    }
    console.log('gpx-parse', ...gpx.tracks[0].segments[0].map((fix) => `${fix.lat},${fix.lon},${fix.elevation}`));
});
SCRIPT
cat >run.py <<'PYTHON'
from pathlib import Path

import gpxpy

points = gpxpy.parse(Path("track.gpx").read_text()).tracks[0].segments[0].points
print("gpxpy", *(f"{point.latitude:g},{point.longitude:g},{point.elevation:g}" for point in points))
PYTHON
seen=$(venv/bin/python run.py && node run.js)
echo "$seen"
if [ "$seen" != "gpxpy 0.001,0.001,0.5 0,0,0
gpx-parse 0.001,0.001,0.5 -1,-1,-1" ]; then
    echo "changed: zeros are read in another way" >&2
    exit 1
fi
