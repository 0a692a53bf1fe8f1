#!/usr/bin/env bash
# movingpandas: half-way across the antimeridian lies on the other side of the Earth.
#
# Expected: a ship goes from 179.9 E to 179.9 W in one minute, 22 km; after 30 seconds it is at
# 180. get_length() counts these 22 km rightly, so the trajectory is understood as short.
# Seen: interpolate_position_at() gives longitude 0, some 19,500 km away from both ends, without
# a warning. The two methods of one object contradict each other.
#
# Versions: movingpandas 0.23.0, geopandas 1.1.4, shapely 2.1.2. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check movingpandas==0.23.0 geopandas==1.1.4 pandas==2.2.3 numpy==1.26.4 shapely==2.1.2

"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

warnings.simplefilter("ignore")  # optional parts that are not installed

import geopandas
import movingpandas
import pandas

times = pandas.to_datetime(["2026-11-28 10:00:00", "2026-11-28 10:01:00"])
frame = geopandas.GeoDataFrame(
    {"ship": [1, 1]}, geometry=geopandas.points_from_xy([179.9, -179.9], [10.0, 10.0]), crs=4326, index=times
)
trajectory = movingpandas.Trajectory(frame, 1)
length_km = trajectory.get_length() / 1000
middle = trajectory.interpolate_position_at(pandas.Timestamp("2026-11-28 10:00:30"))
print("movingpandas", movingpandas.__version__)
print(f"length {length_km:.1f} km, position after 30 of 60 seconds: {middle}")

if round(length_km, 1) != 21.9 or (middle.x, middle.y) != (0.0, 10.0):
    sys.exit("changed: the length or the position in the middle is another")
PYTHON
