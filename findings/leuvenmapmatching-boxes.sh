#!/usr/bin/env bash
# leuvenmapmatching: of the nodes within 100 m those to the north, south, east and west are left out from 71 m on.
#
# Expected: nodes_closeto(location, max_dist) returns "all nodes close to the given location", and edges_closeto()
# all edges; both compute each distance and compare it with max_dist.
# Seen: they look only into a box around the location, whose corners are max_dist away, so that its sides are 71 %
# of that: a node 80 m to the north is missing, one 80 m to the north-east is found. With use_latlon=False the box
# is right. Without an index of edges, a road is found only if one of its ends is in the box: a fix in the middle of
# a road of 1 km, 5 m beside it, has no road. So a matcher has too few candidates where roads run along the compass.
#
# Version: leuvenmapmatching 1.1.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check leuvenmapmatching==1.1.4 numpy==1.26.4 scipy==1.14.1

cat >run.py <<'PYTHON'
import logging
import sys
from importlib.metadata import version

from leuvenmapmatching.map.inmem import InMemMap
from leuvenmapmatching.util.dist_latlon import destination_radians
from math import degrees, radians

logging.disable(logging.CRITICAL)
HERE = (48.1, 11.5)


def place(bearing, metres):
    return tuple(map(degrees, destination_radians(*map(radians, HERE), radians(bearing), metres)))


print("leuvenmapmatching", version("leuvenmapmatching"))
found = {}
for metres in (60, 70, 80, 99):
    nodes = InMemMap("nodes", use_latlon=True)
    for number, bearing in enumerate(range(0, 360, 45)):
        nodes.add_node(number, place(bearing, metres))
    found[metres] = sorted(45 * label for _, label, _ in nodes.nodes_closeto(HERE, max_dist=100))
    print(f"of eight nodes {metres} m away those in these directions are found: {found[metres]}")
flat = InMemMap("flat", use_latlon=False)
flat.add_node(0, (80, 0))
flat = len(flat.nodes_closeto((0, 0), max_dist=100))
print("without latitudes, 80 m to the north:", flat)

road = InMemMap("road", use_latlon=True)
middle = place(0, 5)
for label, longitude in ((0, 11.4933), (1, 11.5067)):
    road.add_node(label, (middle[0], longitude))
road.add_edge(0, 1)
road.add_edge(1, 0)
roads = [len(road.edges_closeto(HERE, max_dist=metres)) for metres in (100, 800)]
print("edges of a road 5 m away, within 100 m and within 800 m:", *roads)

diagonals = [45, 135, 225, 315]
everywhere = list(range(0, 360, 45))
if found != {60: everywhere, 70: everywhere, 80: diagonals, 99: diagonals} or flat != 1:
    sys.exit("changed: other nodes are found")
if roads != [0, 2]:
    sys.exit("changed: other roads are found")
PYTHON
venv/bin/python run.py
