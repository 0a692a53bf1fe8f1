#!/usr/bin/env bash
# pyquadkey2: a tile has the same side and area at every latitude, and no neighbours over the antimeridian.
#
# Expected: a tile of the Mercator map gets smaller with the cosine of the latitude (Bing Maps Tile System,
# "Ground Resolution and Map Scale"), and the leftmost column of the map is beside the rightmost one.
# Seen: side() and area() of a tile are those at the equator: at 48.1 north 9,784 m instead of 6,530 m, and 2.2
# times the area. All tiles of a level together have 3.1 times the Earth's surface. nearby() gives the tile and
# five neighbours instead of eight for a tile at the antimeridian, since numbers of columns do not go round.
#
# Versions: pyquadkey2 0.3.2 beside haversine 2.9.0 (without a wheel for the platform, a C compiler is needed).
# Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyquadkey2==0.3.2 haversine==2.9.0

cat >run.py <<'PYTHON'
import math
import sys
from importlib.metadata import version

from haversine import Unit, haversine
from pyquadkey2 import quadkey

print("pyquadkey2", version("pyquadkey2"))
seen = []
for place in ((0.01, 11.5), (48.1, 11.5), (69.6, 18.9)):
    tile = quadkey.from_geo(place, 12)
    north, west = tile.to_geo(anchor=quadkey.TileAnchor.ANCHOR_NW)
    south, east = tile.to_geo(anchor=quadkey.TileAnchor.ANCHOR_SE)
    true = haversine((north, west), (south, west), Unit.METERS)
    seen.append(round(tile.side()))
    print(f"tile {tile.key} at {place[0]} north: {true:.0f} m high, side() {seen[-1]} m, area() {tile.area():.0f} m2")

ratio = 4**12 * tile.area() / (4 * math.pi * 6_371_000**2)
neighbours = [len(quadkey.from_geo((0.5, longitude), 7).nearby()) - 1 for longitude in (11.5, 179.9, -179.9)]
print(f"all tiles of a level: {ratio:.2f} times the surface of the Earth")
print("neighbours at longitude 11.5, 179.9 and -179.9:", neighbours)

if seen != [9784, 9784, 9784] or round(ratio, 1) != 3.1 or neighbours != [8, 5, 5]:
    sys.exit("changed: sides, areas or neighbours are other ones")
PYTHON
venv/bin/python run.py
