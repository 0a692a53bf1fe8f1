#!/usr/bin/env bash
# s2sphere: CellUnion.expand() fails on every union with AttributeError.
#
# Expected: expand() adds all neighbouring cells of a level to a union, as Expand() of Google's S2, of which this is a
# port; the reference of s2sphere lists it. The eight neighbours of a cell can be had from get_all_neighbors().
# Seen: "'CellId' object has no attribute 'append_all_neighbors'", for a level as well as for a radius: the
# method is called by its name of C++, which is get_all_neighbors() here.
#
# Version: s2sphere 0.2.5. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check s2sphere==0.2.5

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from s2sphere import Angle, CellId, CellUnion, LatLng

print("s2sphere", version("s2sphere"))
cell = CellId.from_lat_lng(LatLng.from_degrees(48.1, 11.5)).parent(10)
neighbours = sorted(neighbour.to_token() for neighbour in cell.get_all_neighbors(10))
print(f"get_all_neighbors(10) of {cell.to_token()}:", *neighbours)
seen = []
for arguments in ((10,), (Angle.from_degrees(0.1), 2)):
    try:
        CellUnion([cell.id()]).expand(*arguments)
        seen.append("done")
    except AttributeError as error:
        seen.append(str(error))
    print("expand", arguments, seen[-1])

if len(neighbours) != 8 or seen != ["'CellId' object has no attribute 'append_all_neighbors'"] * 2:
    sys.exit("changed: unions are expanded in another way")
PYTHON
venv/bin/python run.py
