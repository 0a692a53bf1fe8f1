#!/usr/bin/env bash
# haversine: what inverse_haversine() returns is refused by haversine().
#
# Expected: the point that lies 100 km east of 0 N 179.9 E has a longitude of -179.2007, and can be
# given to the library's other functions.
# Seen: inverse_haversine() returns a longitude of 180.7993; haversine() then raises ValueError, since
# it checks its input against -180 to 180.
#
# Version: haversine 2.9.0. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check haversine==2.9.0

"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

from haversine import Direction, Unit, haversine, inverse_haversine

print("haversine", version("haversine"))
start = (0.0, 179.9)
end = inverse_haversine(start, 100, Direction.EAST, unit=Unit.KILOMETERS)
print("100 km east of", start, "is", end)
try:
    haversine(start, end)
    answer = "accepted"
except ValueError as error:
    answer = str(error)
print("haversine(start, end):", answer)

if not 180.79 < end[1] < 180.81 or "out of range" not in answer:
    sys.exit("changed: the longitude is brought back into range, or accepted")
PYTHON
