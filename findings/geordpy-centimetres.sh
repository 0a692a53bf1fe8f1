#!/usr/bin/env bash
# geordpy: with thresholds below some decimetres a straight line keeps nearly all points, and others are lost.
#
# Expected: rdp_filter() drops points as long as the line left is nearer than the threshold ("keeping the error below
# a specified threshold"; "the value of 'threshold' must be greater than zero"). Tracks of RTK receivers, right to a
# centimetre or two, are simplified with thresholds of 1 to 10 cm.
# Seen: distances are compared by their cosines. Near 1 a double has steps of 1.1e-16, which are 9 cm on the ground, so
# that a threshold of 5 cm becomes 0. Of 101 points of a straight line of 1 km along the equator, of which two are
# needed, 0.5 m leaves 2 and 5 cm some 90. A point 2 cm off a line of 1 km is dropped at a threshold of 1 cm.
#
# Versions: geordpy 3.1, numpy 1.26.4. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check geordpy==3.1 numpy==1.26.4

cat >run.py <<'PYTHON'
import math
import sys
from importlib.metadata import version

from geordpy import rdp_filter

METRE = math.degrees(1 / 6_371_000)  # of a great circle, in degrees
print("geordpy", version("geordpy"))
kept = {}
for threshold in (0.5, 0.05, 0.01):
    kept[threshold] = int(rdp_filter([(0.0, 11 + 10 * step * METRE) for step in range(101)], threshold).sum())
    print(f"straight line of 101 points, threshold {threshold} m: {kept[threshold]} are kept")

east = METRE / math.cos(math.radians(48))
off = {}
for threshold in (1.0, 0.01):
    bend = [(48.0, 11.5), (48 + 500 * METRE, 11.5 + 2 * threshold * east), (48 + 1000 * METRE, 11.5)]
    off[threshold] = bool(rdp_filter(bend, threshold)[1])
    print(f"point {2 * threshold} m off the line, threshold {threshold} m: kept is {off[threshold]}")

if kept[0.5] != 2 or kept[0.05] < 50 or kept[0.01] < 50 or off != {1.0: True, 0.01: False}:
    sys.exit("changed: small thresholds keep other points")
PYTHON
venv/bin/python run.py
