#!/usr/bin/env bash
# pygeoif: of a line with a measure, the times of its points become their heights.
#
# Expected: in LINESTRING M the third number of a point is a measure, and it has no height (OGC 06-103r4, Simple Feature
# Access, 6.1.2.5 and 7.2). PostGIS keeps the trajectory of a vehicle so, with the seconds since 1970 as the measure.
# Seen: from_wkt() takes LINESTRING M for LINESTRING Z, with no error: a car is at a height of 1,764,324,000 m, and is
# written back as Z. POINT M likewise. POINT ZM and POINT EMPTY raise WKTParserError, and so does a coordinate such as
# 1.15e+1, an approximate numeric literal of the same grammar. shapely reads them all.
#
# Versions: pygeoif 1.6.0 beside shapely 2.1.2. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pygeoif==1.6.0 shapely==2.1.2 numpy==1.26.4

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import pygeoif
import shapely

print("pygeoif", version("pygeoif"), "shapely", version("shapely"))
text = "LINESTRING M (11.5 48.1 1764324000, 11.6 48.2 1764324060)"
line = pygeoif.from_wkt(text)
heights = [point.z for point in line.geoms]
other = shapely.from_wkt(text)
print(f"{text}: heights by pygeoif {heights}; by shapely, has heights {other.has_z}, has measures {other.has_m}")
print("written back:", line.wkt)

refused = []
for text in ("POINT ZM (11.5 48.1 520 1764324000)", "POINT EMPTY", "POINT (1.15e+1 48.1)"):
    shapely.from_wkt(text)
    try:
        pygeoif.from_wkt(text)
    except Exception as error:
        refused.append(text)
        print(f"{text}: {type(error).__name__}")

if heights != [1764324000.0, 1764324060.0] or (other.has_z, other.has_m) != (False, True):
    sys.exit("changed: measures are read in another way")
if not line.wkt.startswith("LINESTRING Z") or len(refused) != 3:
    sys.exit("changed: other texts are written or refused")
PYTHON
venv/bin/python run.py
