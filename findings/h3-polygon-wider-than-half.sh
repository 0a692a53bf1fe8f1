#!/usr/bin/env bash
# h3: a polygon with an edge longer than 180 degrees gives the cells outside it, and the world none.
#
# Expected: in GeoJSON an edge is a straight line in longitude and latitude (RFC 7946, 3.1.1), so that
# shapely's box(-100, -10, 100, 10) spans 200 degrees around Greenwich, and box(-180, -90, 180, 90) is
# the world.
# Seen: each edge is taken the short way round. From the first box come cells, all of them at
# longitudes beyond 100 degrees, that is outside the box; from the world comes an empty list. No
# error, no warning. With two more points on the long edges, at longitude 0, the first is right.
#
# Versions: h3 4.5.0, shapely 2.1.2. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check h3==4.5.0 shapely==2.1.2 numpy==2.2.6

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import h3
import shapely
from shapely.geometry import Polygon, box

print("h3", h3.__version__, "shapely", shapely.__version__)


def cells_of(polygon, resolution):
    cells = h3.geo_to_cells(polygon, resolution)
    inside = sum(abs(h3.cell_to_latlng(cell)[1]) <= 100 for cell in cells)
    return len(cells), inside


wide = cells_of(box(-100, -10, 100, 10), 2)
halved = cells_of(Polygon([(-100, -10), (0, -10), (100, -10), (100, 10), (0, 10), (-100, 10)]), 2)
world = len(h3.geo_to_cells(box(-180, -90, 180, 90), 1))
print(f"box of 200 degrees: {wide[0]} cells, {wide[1]} of them inside the box")
print(f"the same with points at longitude 0: {halved[0]} cells, {halved[1]} of them inside the box")
print(f"the world: {world} cells of 842")

if wide != (469, 0) or halved[0] != halved[1] or halved[0] < 500 or world != 0:
    sys.exit("changed: wide polygons give other cells")
PYTHON
