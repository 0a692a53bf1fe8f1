#!/usr/bin/env bash
# trackintel: generate_triplegs() fails if every position belongs to a stay.
#
# Expected: a user whose positions all lie in staypoints has no tripleg with positions of its own; the
# result is an empty set of triplegs. Slow trackers give just such data: 20 minutes at A, 25 at B, a
# position every five minutes, none in between.
# Seen: IndexError, "index -1 is out of bounds for axis 0 with size 0".
#
# Versions: trackintel 1.4.2, geopandas 1.1.4, pandas 2.2.3, numpy 1.26.4. Seen on 2026-11-28.
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

minutes = list(range(0, 21, 5)) + list(range(30, 56, 5))
positions = trackintel.Positionfixes(
    geopandas.GeoDataFrame(
        {"user_id": 0, "tracked_at": [pandas.Timestamp(f"2026-11-28 10:{minute:02}", tz="UTC") for minute in minutes]},
        geometry=[Point(8.0 if minute < 25 else 8.1, 47.0) for minute in minutes],
        crs=4326,
    )
)
positions, stays = positions.generate_staypoints(
    method="sliding", dist_threshold=100, time_threshold=5, gap_threshold=15, include_last=True
)
print("trackintel", version("trackintel"))
print(f"{len(positions)} positions, {positions.staypoint_id.notna().sum()} of them in {len(stays)} stays")
try:
    answer = f"{len(positions.generate_triplegs(stays)[1])} triplegs"
except IndexError as error:
    answer = f"IndexError: {error}"
print("generate_triplegs:", answer)

if len(stays) != 2 or positions.staypoint_id.isna().any() or not answer.startswith("IndexError"):
    sys.exit("changed: other stays, or no error any more")
PYTHON
