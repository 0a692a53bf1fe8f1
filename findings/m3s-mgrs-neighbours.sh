#!/usr/bin/env bash
# m3s: an MGRS cell in Munich has eight neighbours, in Helsinki four, and in Tromso two.
#
# Expected: get_neighbors() gives the cells around a cell: eight squares of 10 km, wherever it lies inside of a
# zone; m3s has a correction by the cosine of the latitude for it.
# Seen: the steps to the east and west are as many degrees as those to the north, so that at 60 degrees north they
# are half a cell wide. Those that stay in the cell are left out; of the others some are missing: from 35VLG87 it
# gives the cells 76, 86, 88 and 98. In Tromso only those to the north and south are left, so that a search that
# goes from cell to cell never leaves its column.
#
# Versions: m3s 0.5.1 (the newest for Python 3.11), mgrs 1.6.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  m3s==0.5.1 mgrs==1.6.0 numpy==1.26.4 pandas==2.2.3 shapely==2.1.2 geopandas==1.1.4

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from m3s.mgrs import MGRSGrid

print("m3s", version("m3s"), "mgrs", version("mgrs"))
grid = MGRSGrid(1)
seen = {}
for place, latitude, longitude in (
    ("Munich", 48.137, 11.575),
    ("Helsinki", 60.17, 24.94),
    ("Tromso", 69.65, 18.96),
    ("Singapore", 1.35, 103.82),
):
    cell = grid.get_cell_from_point(latitude, longitude)
    seen[cell.identifier] = sorted(other.identifier for other in grid.get_neighbors(cell))
    print(place, cell.identifier, "has", len(seen[cell.identifier]), "neighbours:", *seen[cell.identifier])

if seen["35VLG87"] != ["35VLG76", "35VLG86", "35VLG88", "35VLG98"]:
    sys.exit("changed: Helsinki has other neighbours")
if seen["34WDC22"] != ["34WDC21", "34WDC23"]:
    sys.exit("changed: Tromso has other neighbours")
if len(seen["32UPU93"]) != 8:
    sys.exit("changed: Munich has other neighbours")
PYTHON
venv/bin/python run.py
