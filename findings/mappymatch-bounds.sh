#!/usr/bin/env bash
# mappymatch: a GPX track begins with the corners of its bounding box, and 1000 m of padding are 498 m in Helsinki.
#
# Expected: Trace.from_gpx() reads the track. <bounds minlat="..."> in the metadata and waypoints are no parts of a
# track (GPX 1.1 schema); many devices and programs write both. The padding of Geofence.from_trace() is in metres,
# as are distance_epsilon and the other limits of its matcher.
# Seen: all that stands behind lat=" and lon=" is taken in order of the file, and minlat=" ends so, too: two corners
# and a waypoint come before the three fixes. Metres are those of Web Mercator, which are shorter by the cosine of
# the latitude.
#
# Versions: mappymatch 0.7.1, geopandas 1.1.4, pyproj 3.7.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  geopandas==1.1.4 pandas==2.2.3 numpy==2.2.6 shapely==2.1.2 pyproj==3.7.2
venv/bin/pip install --quiet --disable-pip-version-check --no-deps mappymatch==0.7.1
cat >track.gpx <<'GPX'
<gpx version="1.1" creator="hand" xmlns="http://www.topografix.com/GPX/1/1">
  <metadata><bounds minlat="60.1" minlon="24.8" maxlat="60.3" maxlon="25.1"/></metadata>
  <wpt lat="60.25" lon="25.05"><name>Charger</name></wpt>
  <trk><trkseg>
    <trkpt lat="60.170" lon="24.940"/>
    <trkpt lat="60.171" lon="24.942"/>
    <trkpt lat="60.172" lon="24.944"/>
  </trkseg></trk>
</gpx>
GPX

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import pandas
from mappymatch.constructs.geofence import Geofence
from mappymatch.constructs.trace import Trace
from pyproj import Geod

print("mappymatch", version("mappymatch"))
points = [(coord.y, coord.x) for coord in (one.geom for one in Trace.from_gpx("track.gpx", xy=False).coords)]
print("the track of three fixes:", points)
padding = {}
for place, latitude in (("Singapore", 1.3), ("Munich", 48.1), ("Helsinki", 60.17)):
    frame = pandas.DataFrame({"latitude": [latitude] * 2, "longitude": [10.0, 10.01]})
    north = Geofence.from_trace(Trace.from_dataframe(frame), padding=1000).geometry.bounds[3]
    padding[place] = round(Geod(ellps="WGS84").inv(10, latitude, 10, north)[2])
print("metres that a padding of 1000 goes to the north:", padding)

if points != [(60.1, 24.8), (60.3, 25.1), (60.25, 25.05), (60.17, 24.94), (60.171, 24.942), (60.172, 24.944)]:
    sys.exit("changed: other points are read")
if not 980 < padding["Singapore"] <= 1000 or not 490 < padding["Helsinki"] < 505:
    sys.exit("changed: the padding is another")
PYTHON
venv/bin/python run.py
