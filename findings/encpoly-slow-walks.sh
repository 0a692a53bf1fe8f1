#!/usr/bin/env bash
# encpoly: a walk of 445 m whose fixes are 0.4 m apart does not move at all, and one of 0.7 m steps goes 445 m too
# far.
#
# Expected: Google's encoded polyline algorithm rounds each latitude and longitude and then takes differences of the
# rounded numbers, so that no point is off by more than half a step of 0.00001 degrees (Google Maps Platform,
# Encoded Polyline Algorithm Format). polyline does so.
# Seen: encpoly takes differences first and rounds those. Steps below half of 0.00001 degrees, as of a pedestrian
# with one fix a second or of a car in a traffic jam with five, are rounded to nothing each time; those above are
# rounded up each time. With points that are far apart, or with precision=7, both agree.
#
# Versions: encpoly 0.2.0, polyline 2.0.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check encpoly==0.2.0 polyline==2.0.4

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import encpoly
import polyline

print("encpoly", version("encpoly"), "polyline", version("polyline"))
seen = []
for step, precision in ((0.000004, 5), (0.000006, 5), (0.01, 5), (0.000004, 7)):
    walk = [(48.1 + step * number, 11.5) for number in range(1001)]
    ends = []
    for module in (encpoly, polyline):
        points = list(module.decode(module.encode(walk, precision), precision))
        ends.append(round(points[-1][0], 5))
    seen.append((round(walk[-1][0], 5), *ends))
    print(f"step {step:g}, precision {precision}: ends at {seen[-1][0]}, encpoly {ends[0]}, polyline {ends[1]}")

if seen != [(48.104, 48.1, 48.104), (48.106, 48.11, 48.106), (58.1, 58.1, 58.1), (48.104, 48.104, 48.104)]:
    sys.exit("changed: tracks of small steps end elsewhere")
PYTHON
venv/bin/python run.py
