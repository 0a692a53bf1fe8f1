#!/usr/bin/env bash
# pygeotile: the longitude -180 lies in tile -1, and each tile begins a pixel too late.
#
# Expected: the tile of a pixel is the floor of its coordinate over 256 (Bing Maps Tile System, "Tile Coordinates and
# Quadkeys"), so that pixels 0 to 255 belong to tile 0, and a meridian between two tiles to the eastern one.
# mercantile says so too.
# Seen: for_pixels() puts pixels 1 to 256 into tile 0, and pixel 0 into tile -1, which from_google() refuses. So
# for_latitude_longitude() gives tile -1 for the longitude -180, and at zoom 2 the western neighbour of the right tile
# for -90, 0 and 90.
#
# Versions: pyGeoTile 1.0.6 beside mercantile 1.2.1. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyGeoTile==1.0.6 mercantile==1.2.1

cat >run.py <<'PYTHON'
import sys

import mercantile
from pygeotile.tile import Tile

seen = []
for longitude in (-180.0, -90.0, -45.0, 0.0, 90.0):
    tile, right = Tile.for_latitude_longitude(10.0, longitude, 2), mercantile.tile(longitude, 10.0, 2)
    seen.append((tile.google[0], right.x))
    print(f"longitude {longitude}: column {tile.google[0]}, mercantile says {right.x}")
for pixel in (0, 255, 256, 257):
    seen.append((Tile.for_pixels(pixel, 100, 2).google[0], pixel // 256))
    print(f"pixel {pixel}: column {seen[-1][0]}, floor({pixel} / 256) is {seen[-1][1]}")

if seen != [(-1, 0), (0, 1), (1, 1), (1, 2), (2, 3), (-1, 0), (0, 0), (0, 1), (1, 1)]:
    sys.exit("changed: tiles are found in another way")
PYTHON
venv/bin/python run.py
