#!/usr/bin/env bash
# trackintel: the radius of gyration of someone who stays within 22 m is 17,791 km.
#
# Expected: four stays in turn at 179.9999 E and 179.9999 W, 22 m apart: the radius of gyration (root
# mean square distance from the centre of mass) is some 11 m.
# Seen: 17,791,188 m. The centre is the arithmetic mean of the longitudes, 0. In the same module
# jump_length() gives 21.9 m for each jump between the two places, which is right.
#
# Versions: trackintel 1.4.2, geopandas 1.1.4, shapely 2.1.2. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check trackintel==1.4.2 geopandas==1.1.4 pandas==2.2.3 numpy==1.26.4 shapely==2.1.2

"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")

import geopandas
import pandas
import trackintel
from shapely.geometry import Point
from trackintel.analysis import metrics

hours = pandas.to_datetime([f"2026-11-28 {hour}:00" for hour in (10, 11, 12, 13)], utc=True)
stays = trackintel.Staypoints(
    geopandas.GeoDataFrame(
        {"user_id": 0, "started_at": hours, "finished_at": hours + pandas.Timedelta(minutes=30)},
        geometry=[Point(x, 10) for x in (179.9999, -179.9999, 179.9999, -179.9999)],
        crs=4326,
    )
)
print("trackintel", version("trackintel"))
radius_m = metrics.radius_gyration(stays)[0]
jumps_m = [round(jump, 1) for jump in metrics.jump_length(stays).dropna()]
print(f"jumps of {jumps_m} m, radius of gyration {radius_m:.0f} m")

if round(radius_m) != 17791188 or jumps_m != [21.9, 21.9, 21.9]:
    sys.exit("changed: radius of gyration or jump length is another")
PYTHON
