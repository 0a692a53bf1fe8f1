#!/usr/bin/env bash
# Geohash libraries do not agree on which cell a point on a border belongs to.
#
# Expected: one point, one geohash. A border between cells is no rare place: every multiple of 45
# degrees is one, the equator and the meridian of Greenwich among them.
# Seen: of five libraries, three (python-geohash, pygeohash, geolib) put 0, 0 into s000000, the cell
# north-east of the point, two (geohash2, geohash-tools) into 7zzzzzz, south-west of it. The two
# names do not share one character, so that an index that one of them wrote does not find what
# another asks for, not even by prefix. The same with 45, 45: v000000 and szzzzzz.
#
# Versions: python-geohash 0.9.2, pygeohash 3.5.1, geolib 1.0.7, geohash2 1.1, geohash-tools 0.2.0.
# Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check geohash2==1.1 geohash-tools==0.2.0 python-geohash==0.9.2 pygeohash==3.5.1 geolib==1.0.7

"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import geohash
import geohash2
import geohash_tools
import pygeohash
from geolib import geohash as geolib_geohash

encoders = {
    "python-geohash": lambda lat, lon: geohash.encode(lat, lon, precision=7),
    "pygeohash": lambda lat, lon: pygeohash.encode(lat, lon, precision=7),
    "geolib": lambda lat, lon: geolib_geohash.encode(lat, lon, 7),
    "geohash2": lambda lat, lon: geohash2.encode(lat, lon, precision=7),
    "geohash-tools": lambda lat, lon: geohash_tools.encode(lat, lon, 7),
}
seen = {}
for name, encode in encoders.items():
    seen[name] = (encode(0.0, 0.0), encode(45.0, 45.0))
    print(f"{name} {version(name)}: 0, 0 is {seen[name][0]}; 45, 45 is {seen[name][1]}")

up, down = ("s000000", "v000000"), ("7zzzzzz", "szzzzzz")
if seen != {"python-geohash": up, "pygeohash": up, "geolib": up, "geohash2": down, "geohash-tools": down}:
    sys.exit("changed: the libraries put points on borders elsewhere")
PYTHON
