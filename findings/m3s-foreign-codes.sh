#!/usr/bin/env bash
# m3s: its plus codes, GARS cells and C-squares name other places for every other program.
#
# Expected: a plus code has the digit of the latitude in front of that of the longitude, and its "+" behind eight
# digits (Open Location Code specification). GARS leaves out the letters I and O (NGA, Global Area Reference
# System). C-squares number the quadrants 1, 3, 5, 7 for north-east, south-east, south-west, north-west and count
# from the equator and Greenwich (CSIRO, C-squares specification). m3s "implements" all three.
# Seen: Munich is F8HW+H4FPXR instead of 8FWH4HPG+R2, which is read as latitude 101.6. The GARS cell is 384KQ14
# instead of 384MN34: I and O are counted, and quadrants are numbered from the south instead of from the north.
# Sydney is in 7515 instead of 3315. Each class reads its own codes rightly.
#
# Versions: m3s 0.5.1 (the newest for Python 3.11), openlocationcode 1.0.1, pygeodesy 26.10.26. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check m3s==0.5.1 openlocationcode==1.0.1 pygeodesy==26.10.26 \
  numpy==1.26.4 pandas==2.2.3 shapely==2.1.2 geopandas==1.1.4

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from m3s.csquares import CSquaresGrid
from m3s.gars import GARSGrid
from m3s.pluscode import PlusCodeGrid
from openlocationcode import openlocationcode
from pygeodesy import gars

print("m3s", version("m3s"))
seen = []
for place, latitude, longitude in (("Munich", 48.137, 11.575), ("Sydney", -33.86, 151.2)):
    names = {
        "plus code": PlusCodeGrid(5).encode(latitude, longitude),
        "GARS": GARSGrid(3).encode(latitude, longitude),
        "C-square": CSquaresGrid(1).get_cell_from_point(latitude, longitude).identifier,
    }
    true = [openlocationcode.encode(latitude, longitude), gars.encode(latitude, longitude, precision=2)]
    print(place, names, "others:", *true)
    seen.append((*names.values(), *true))
south, west, north, east = PlusCodeGrid(5).decode("8FWH4HPG+R2")
print(f"8FWH4HPG+R2 of Munich is read as {south:.3f}, {west:.3f}")
print("its own code:", *(f"{part:.3f}" for part in PlusCodeGrid(5).decode(seen[0][0])[:2]))

if seen != [
    ("F8HW+H4FPXR", "384KQ14", "1401", "8FWH4HPG+R2", "384MN34"),
    ("R4HR+54XRX2", "663EI16", "7515", "4RRH46R2+22", "663ES36"),
]:
    sys.exit("changed: places have other codes")
if round(south, 1) != 101.6:
    sys.exit("changed: true plus codes are read in another way")
PYTHON
venv/bin/python run.py
