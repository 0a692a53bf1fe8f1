#!/usr/bin/env bash
# gps2gtfs: the circle of 30 m around a bus stop ends at 29 m in Colombo, at 23 m in Munich and at 5 m in Accra.
#
# Expected: a buffer_radius in metres around stops and terminals; the docstring shows positions in the United
# States.
# Seen: all positions are projected to EPSG:5234, the national grid of Sri Lanka, whose scale grows with the
# distance from 80.8 degrees east. A fix 20 m from its stop in Accra belongs to no stop, so that trips there are not
# found, with no warning.
#
# Versions: gps2gtfs 0.1.0, geopandas 1.1.4, pyproj 3.7.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  gps2gtfs==0.1.0 geopandas==1.1.4 pandas==2.2.3 numpy==1.26.4 shapely==2.1.2 pyproj==3.7.2

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import pandas
from gps2gtfs.utility.data_io_converter import extend_geo_buffer, pandas_to_geo_data_frame
from pyproj import Geod

print("gps2gtfs", version("gps2gtfs"))
seen = {}
for place, latitude, longitude in (
    ("Colombo", 6.93, 79.85),
    ("Munich", 48.14, 11.56),
    ("New York", 40.71, -74.0),
    ("Accra", 5.55, -0.2),
):
    distances = range(1, 41)
    points = [Geod(ellps="WGS84").fwd(longitude, latitude, 0, metres)[:2] for metres in distances]
    stop = pandas.DataFrame({"longitude": [longitude], "latitude": [latitude]})
    fixes = pandas.DataFrame(points, columns=["longitude", "latitude"])
    circle = extend_geo_buffer(pandas_to_geo_data_frame(stop), 30).geometry[0]
    inside = pandas_to_geo_data_frame(fixes).geometry.within(circle)
    seen[place] = max((metres for metres, found in zip(distances, inside) if found), default=0)
    print(f"{place}: fixes belong to a stop up to {seen[place]} m away")

if seen["Colombo"] not in (29, 30) or not 22 <= seen["Munich"] <= 24 or not 4 <= seen["Accra"] <= 7:
    sys.exit("changed: the circles have other sizes")
PYTHON
venv/bin/python run.py
