#!/usr/bin/env bash
# geojsonboundingbox: the bounding box of a multipolygon is that of its hole, and lines and points have none.
#
# Expected: the package "prints out the bounding box of a geojson input file"; a bounding box holds all coordinates (RFC
# 7946, 5). The first ring of a polygon is its rim, those behind it are holes (3.1.6), for a MultiPolygon as for a
# Polygon.
# Seen: of each polygon of a MultiPolygon the last ring is taken alone: with a hole from 11.4 to 11.5 degrees an area
# from 11 to 12 degrees has the longitudes 11.4 and 11.5. The same area as a Polygon is right. LineString and Point
# raise TypeError.
#
# Version: geojsonboundingbox 0.1.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check geojsonboundingbox==0.1.4
echo "geojsonboundingbox 0.1.4, $(python3 --version)"
cat >run.py <<'PYTHON'
import json
import subprocess
import sys

RIM = [[11.0, 48.0], [12.0, 48.0], [12.0, 49.0], [11.0, 49.0], [11.0, 48.0]]
HOLE = [[11.4, 48.4], [11.4, 48.5], [11.5, 48.5], [11.5, 48.4], [11.4, 48.4]]
for kind, coordinates in (
    ("Polygon", [RIM, HOLE]),
    ("MultiPolygon", [[RIM]]),
    ("MultiPolygon", [[RIM, HOLE]]),
    ("LineString", RIM),
    ("Point", RIM[0]),
):
    with open("area.geojson", "w") as file:
        json.dump({"type": kind, "coordinates": coordinates}, file)
    command = [sys.executable, "-m", "geojsonboundingbox", "area.geojson"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        print(kind, result.stderr.strip().splitlines()[-1])
    else:
        box = json.loads(result.stdout.splitlines()[-1])["coordinates"][0]
        print(kind, "from", *box[0], "to", *box[2])
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "Polygon from 11.0 48.0 to 12.0 49.0
MultiPolygon from 11.0 48.0 to 12.0 49.0
MultiPolygon from 11.4 48.4 to 11.5 48.5
LineString TypeError: 'float' object is not subscriptable
Point TypeError: 'float' object is not subscriptable" ]; then
    echo "changed: boxes are computed in another way" >&2
    exit 1
fi
