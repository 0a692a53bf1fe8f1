#!/usr/bin/env bash
# gtfs-diff-engine: a route 007 that becomes 7, and a stop A that becomes another stop a, are no changes.
#
# Expected: a diff of two feeds lists each field whose value is another. Identifiers and names are texts, which
# differ if a letter or a digit does (GTFS reference, "ID", "Text"); only numbers such as coordinates may be written
# in several ways.
# Seen: in all columns two values are equal if they are so in lower case, or as floats: 007 and 7, 1E2 and 100, 1_0
# and 10, A and a. So a trip that is moved from the block 1E2 to the block 100, or a stop time from the stop A to
# the stop a, gives no change at all. Names that differ otherwise are found.
#
# Version: gtfs-diff-engine 0.2.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check gtfs-diff-engine==0.2.0

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

from gtfs_diff.engine import diff_feeds


def feed(name, stop_name="Two", route="007", block="1E2", shape="1_0", stop="A"):
    folder = Path(name)
    folder.mkdir(exist_ok=True)
    for file, text in {
        "stops.txt": f"stop_id,stop_name,stop_lat,stop_lon\nA,One,50.0,8.0\na,{stop_name},50.0,8.1\n",
        "routes.txt": f"route_id,route_short_name,route_type\nr,{route},3\n",
        "trips.txt": f"route_id,service_id,trip_id,block_id,shape_id\nr,daily,t,{block},{shape}\n",
        "stop_times.txt": "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
        f"t,08:00:00,08:00:00,{stop},1\n",
    }.items():
        (folder / file).write_text(text)
    return folder


print("gtfs-diff-engine", version("gtfs-diff-engine"))
seen = {}
for change in ({"stop_name": "Three"}, {"route": "7"}, {"block": "100"}, {"shape": "10"}, {"stop": "a"}):
    (what, value), = change.items()
    seen[what] = diff_feeds(feed("base"), feed("new", **change)).summary.total_changes
    print(f"{what} becomes {value}: {seen[what]} changes")

if seen != {"stop_name": 1, "route": 0, "block": 0, "shape": 0, "stop": 0}:
    sys.exit("changed: other differences count")
PYTHON
venv/bin/python run.py
