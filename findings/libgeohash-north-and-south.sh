#!/usr/bin/env bash
# libgeohash: away from the equator the geohashes of a long area leave out both of its ends.
#
# Expected: polygon_to_geohash() approximates a polygon by the geohashes that intersect it (docstring, inner=False), so
# that their union holds the whole polygon.
# Seen: how many cells it takes to either side of the middle comes from a table of cell sizes at the equator. At 60
# degrees north cells are half as wide. Of a box of 2 by 0.2 degrees all is covered at 0 degrees, 81 % at 60 and 59 %
# at 70 degrees north: 46 km of a coast of 76 km. Geohashes of four characters still cover all of it. distance() and
# dimensions(actual=True) of the same library give the right sizes.
#
# Versions: libgeohash 0.1.1, shapely 2.1.2. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check libgeohash==0.1.1 shapely==2.1.2 numpy==1.26.4

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from libgeohash import geohash_to_polygon, polygon_to_geohash
from shapely.geometry import box

print("libgeohash", version("libgeohash"))
seen = {}
for latitude in (0, 48, 60, 70, -70):
    area = box(10, latitude, 12, latitude + 0.2)
    cells = polygon_to_geohash(area, 5)
    covered = area.intersection(geohash_to_polygon(cells)).area / area.area
    seen[latitude] = round(covered, 2)
    print(f"box of 2 by 0.2 degrees from {latitude} degrees on: {len(cells)} cells cover {covered:.0%}")

if seen != {0: 1.0, 48: 1.0, 60: 0.81, 70: 0.59, -70: 0.59}:
    sys.exit("changed: polygons are covered in another way")
PYTHON
venv/bin/python run.py
