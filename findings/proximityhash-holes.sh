#!/usr/bin/env bash
# proximityhash: the geohashes of a circle do not cover the circle.
#
# Expected: the README says that the set covers a circular area, so that whoever stands within the
# radius is in one of its cells.
# Seen: cells at the rim are missing. Around 48.858 N 2.294 E with 1,000 m and 7 characters, the point
# 48.8493 N 2.2912 E lies 989 m away, and its cell u09tuhs is not in the set; of 40,000 points inside
# the circle, on 200 rings, 46 have no cell.
#
# Versions: proximityhash 3.0.1 beside python-geohash 0.9.2. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check proximityhash==3.0.1 python-geohash==0.9.2 setuptools==80.9.0

"$folder/venv/bin/python" - <<'PYTHON'
import math
import sys
from importlib.metadata import version

import geohash
from proximityhash import create_geohash

print("proximityhash", version("proximityhash"))
LAT, LON, RADIUS_M, EARTH_M = 48.858, 2.294, 1000, 6371000
cells = set(create_geohash(LAT, LON, RADIUS_M, 7).split(","))
missing, total, example = 0, 0, None
for ring in range(1, 201):
    distance_m = RADIUS_M * math.sqrt(ring / 201)
    for step in range(200):
        bearing = 2 * math.pi * (step + ring / 7) / 200
        lat = LAT + math.degrees(distance_m * math.cos(bearing) / EARTH_M)
        lon = LON + math.degrees(distance_m * math.sin(bearing) / EARTH_M / math.cos(math.radians(LAT)))
        total += 1
        if geohash.encode(lat, lon, 7) not in cells:
            missing += 1
            example = (round(lat, 5), round(lon, 5), geohash.encode(lat, lon, 7), round(distance_m))
named = geohash.encode(48.8493, 2.2912, 7)
print(f"{len(cells)} cells; {missing} of {total} points inside the circle are in none of them, such as {example}")
print(f"48.8493 N 2.2912 E lies in {named}, which is in the set: {named in cells}")

if named in cells or not 40 <= missing <= 52:
    sys.exit("changed: the cells cover the circle in another way")
PYTHON
