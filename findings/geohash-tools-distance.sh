#!/usr/bin/env bash
# geohash-tools: distance() is wrong by a factor of 57 to 77,000.
#
# Expected: the docstring says that it calculates the exact distance in metres. The cells u4pruyd and
# u4pruye are neighbours, 82 m apart from middle to middle, and s000000 and s000001 153 m.
# Seen: 8,749 m for both. The formula takes degrees for radians and has latitude and longitude the
# wrong way round. Over the antimeridian, where xbpbpbp and 8000000 touch (153 m), it says 11,831 km.
#
# Versions: geohash-tools 0.2.0 beside python-geohash 0.9.2 and haversine 2.9.0. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check geohash-tools==0.2.0 python-geohash==0.9.2 haversine==2.9.0

"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import geohash
import geohash_tools
from haversine import Unit, haversine

print("geohash-tools", version("geohash-tools"))
seen = {}
for one, other in (("u4pruyd", "u4pruye"), ("s000000", "s000001"), ("xbpbpbp", "8000000")):
    true_m = haversine(geohash.decode(one), geohash.decode(other), unit=Unit.METERS)
    seen[one] = (round(true_m), round(geohash_tools.distance(one, other)))
    print(f"{one} to {other}: {seen[one][0]} m, geohash_tools.distance says {seen[one][1]} m")

if seen != {"u4pruyd": (82, 8749), "s000000": (153, 8749), "xbpbpbp": (153, 11831356)}:
    sys.exit("changed: geohash_tools.distance gives other values")
PYTHON
