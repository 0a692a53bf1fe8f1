#!/usr/bin/env bash
# turfpy: a point on a line is 79 km away from it, and one beside it is on it.
#
# Expected: point_to_line_distance() is the least distance to any segment of the line (its docstring).
# @turf/point-to-line-distance, of which it is a port, gives 0 km for a point in the middle of the last segment of the
# line 0, 0 - 0, 2 - 2, 2 - 2, 0, and 111.2 km for one in the middle between all.
# Seen: 78.6 km for the first and 0 for the second. From the second segment on each segment begins at the first point
# of the line instead of its own. Lines of two points are right.
#
# Versions: turfpy 0.0.8 beside @turf/point-to-line-distance 7.4.0, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit @turf/point-to-line-distance@7.4.0 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check turfpy==0.0.8
cat >run.py <<'PYTHON'
from geojson import Feature, LineString, Point
from turfpy.measurement import point_to_line_distance

line = Feature(geometry=LineString([(0, 0), (0, 2), (2, 2), (2, 0)]))
for point in ((2, 1), (1, 1)):
    print("turfpy", *point, round(point_to_line_distance(Feature(geometry=Point(point)), line), 1))
PYTHON
cat >run.mjs <<'SCRIPT'
import { pointToLineDistance } from '@turf/point-to-line-distance';

const line = { type: 'LineString', coordinates: [[0, 0], [0, 2], [2, 2], [2, 0]] };
for (const point of [[2, 1], [1, 1]]) {
    console.log('turf', ...point, pointToLineDistance(point, line).toFixed(1));
}
SCRIPT
seen=$(venv/bin/python run.py && node run.mjs)
echo "$seen"
if [ "$seen" != "turfpy 2 1 78.6
turfpy 1 1 0.0
turf 2 1 0.0
turf 1 1 111.2" ]; then
    echo "changed: distances are another" >&2
    exit 1
fi
