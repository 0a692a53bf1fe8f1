#!/usr/bin/env bash
# geoh: of an area as large as Europe or the United States a third is covered by geohashes, without a warning.
#
# Expected: geohashes() gives "the list of geohashes that intersects the geojson". start_precision is said to be
# where the search begins.
# Seen: the search begins with the cell of the centroid and its eight neighbours, all at start_precision, which is 2
# by default: 33.75 by 16.875 degrees. What lies outside of these nine cells is left out. With start_precision=1 all
# is there.
#
# Versions: geoh 0.3, python-geohash 0.9.2, shapely 2.1.2, geopandas 1.1.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  geoh==0.3 python-geohash==0.9.2 numpy==1.26.4 pandas==2.2.3 shapely==2.1.2 geopandas==1.1.4

cat >run.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")  # of geopandas about a column

import geohash
import geoh
from shapely.geometry import box, mapping
from shapely.ops import unary_union


def cell(name):
    sides = geohash.bbox(name)
    return box(sides["w"], sides["s"], sides["e"], sides["n"])


print("geoh", version("geoh"))
seen = []
for place, area in (
    ("Europe", box(-10, 36, 40, 70)),
    ("United States", box(-125, 25, -66, 49)),
    ("Germany", box(6, 47, 15, 55)),
):
    for start in (2, 1):
        feature = {"type": "Feature", "properties": {}, "geometry": mapping(area)}
        cells = geoh.geohashes(feature, precision=3, start_precision=start)
        covered = unary_union([cell(name) for name in cells])
        seen.append(round(100 * covered.intersection(area).area / area.area))
        print(f"{place}, start_precision {start}: {len(cells)} cells cover {seen[-1]} %")

if seen != [34, 100, 40, 100, 100, 100]:
    sys.exit("changed: other parts are covered")
PYTHON
venv/bin/python run.py
