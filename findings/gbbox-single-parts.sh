#!/usr/bin/env bash
# gbbox: a position with an altitude, and a MultiPolygon of one polygon, are refused.
#
# Expected: the objects "are implemented according to RFC 7946" (docstring of GeoJSON). A position can have a third
# number, the altitude (3.1.1), and the coordinates of the Multi types are arrays of any length (3.1.3, 3.1.5 and
# 3.1.7); many tools write single parts so.
# Seen: three numbers raise a validation error, "ensure this value has at most 2 items", and so does one part, "at least
# 2 items", for MultiPoint, MultiLineString and MultiPolygon. Two parts are fine. MultiPoint and MultiPolygon are not
# among the names that the package gives.
#
# Version: gbbox 0.1.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check gbbox==0.1.1
echo "gbbox 0.1.1, $(python3 --version)"
cat >run.py <<'PYTHON'
from gbbox.objects import LineString, MultiPoint, MultiPolygon, Point

RING = [[11.0, 48.0], [12.0, 48.0], [12.0, 49.0], [11.0, 48.0]]
for kind, coordinates in (
    (Point, [11.5, 48.1]),
    (Point, [11.5, 48.1, 520.0]),
    (LineString, [[11.5, 48.1, 520.0], [11.6, 48.2, 530.0]]),
    (MultiPoint, [[11.5, 48.1]]),
    (MultiPolygon, [[RING]]),
    (MultiPolygon, [[RING], [RING]]),
):
    try:
        seen = kind(type=kind.__name__, coordinates=coordinates).bbox()
    except ValueError as error:
        seen = str(error).splitlines()[-1].split(" (")[0].strip()
    print(kind.__name__, len(coordinates), seen)
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'Point 2 [11.5, 48.1, 11.5, 48.1]
Point 3 ensure this value has at most 2 items
LineString 2 ensure this value has at most 2 items
MultiPoint 1 ensure this value has at least 2 items
MultiPolygon 1 ensure this value has at least 2 items
MultiPolygon 2 [11.0, 48.0, 12.0, 49.0]' ]; then
    echo "changed: other geometries are read" >&2
    exit 1
fi
