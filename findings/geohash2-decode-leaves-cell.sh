#!/usr/bin/env bash
# geohash2: decode() gives a point that lies outside the cell.
#
# Expected: decode(hash) names a point of the cell, as decode_exactly(hash) does, so that
# encode(decode(hash)) gives the cell back. The docstring promises "only relevant digits".
# Seen: the number of decimals is rounded down one too far. For the 7 characters 9q8yyk8 (a cell of
# some 150 m by 120 m) it returns 37.77, -122.42, which is 0.0044 degrees (490 m) south of the
# cell's middle, and encodes to another cell. Of 400 cells spread over the globe, none of lengths 1
# to 3 is hit, and most of lengths 4 to 9 are.
#
# Version: geohash2 1.1. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check geohash2==1.1

"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import geohash2

print("geohash2", version("geohash2"))
cell = "9q8yyk8"
latitude, longitude = map(float, geohash2.decode(cell))
middle_lat, middle_lon, lat_error, lon_error = geohash2.decode_exactly(cell)
back = geohash2.encode(latitude, longitude, precision=7)
print(f"{cell}: middle {middle_lat} +- {lat_error}, {middle_lon} +- {lon_error}")
print(f"{cell}: decode gives {latitude}, {longitude}, which encodes to {back}")

outside = {}
for length in range(1, 10):
    outside[length] = 0
    for row in range(20):
        for column in range(20):
            cell_here = geohash2.encode(-80.31416 + 8.371828 * row, -175.31416 + 18.412718 * column, precision=length)
            lat, lon = map(float, geohash2.decode(cell_here))
            y, x, y_error, x_error = geohash2.decode_exactly(cell_here)
            outside[length] += abs(lat - y) > y_error or abs(lon - x) > x_error
print("of 400 cells, decoded to a point outside, by length:", outside)

if (latitude, longitude) != (37.77, -122.42) or back == cell:
    sys.exit("changed: decode() now stays inside the cell 9q8yyk8")
if any(outside[n] for n in (1, 2, 3)) or any(outside[n] < 200 for n in range(4, 10)):
    sys.exit("changed: another share of cells is decoded to a point outside")
PYTHON
