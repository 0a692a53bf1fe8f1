#!/usr/bin/env bash
# movingpandas: SpeedSplitter loses a whole trip whose fixes are further apart than the stop duration.
#
# Expected: "split trajectories if there are no speed measurements above the speed limit for the
# specified duration" (duration: minimum stop duration). A vehicle that drives at 10 m/s all the time,
# with a fix every 10 seconds, never stops, so the trip stays one piece.
# Seen: with duration = 5 seconds nothing at all is left, since each fix is more than 5 seconds from
# the next one and pieces of one fix are dropped. With duration = 15 seconds the trip is there.
#
# Versions: movingpandas 0.23.0, geopandas 1.1.4. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check movingpandas==0.23.0 geopandas==1.1.4 pandas==2.2.3 numpy==1.26.4 shapely==2.1.2

"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings
from datetime import timedelta

warnings.simplefilter("ignore")  # optional parts that are not installed

import geopandas
import movingpandas
import pandas

times = pandas.date_range("2026-11-28 10:00:00", periods=12, freq="10s")
frame = geopandas.GeoDataFrame(
    {"car": 1}, geometry=geopandas.points_from_xy(range(0, 1200, 100), [0] * 12), crs=31256, index=times
)
trajectory = movingpandas.Trajectory(frame, 1)
print("movingpandas", movingpandas.__version__)
pieces = {}
for seconds in (5, 15):
    split = movingpandas.SpeedSplitter(trajectory).split(speed=5, duration=timedelta(seconds=seconds))
    pieces[seconds] = [len(piece.df) for piece in split]
    print(f"12 fixes at 10 m/s, stop duration {seconds} s: pieces of {pieces[seconds]} fixes")

if pieces != {5: [], 15: [12]}:
    sys.exit("changed: SpeedSplitter keeps other pieces")
PYTHON
