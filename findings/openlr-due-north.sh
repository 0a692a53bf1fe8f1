#!/usr/bin/env bash
# openlr: a road that goes due north is written as one that goes 354 degrees.
#
# Expected: a bearing is one of 32 sectors, of which sector 0 holds 0 degrees and all below 11.25 (OpenLR White Paper
# 1.5 rev. 2, Bearing), and is decoded as its middle, 6. The rounding is "java like", for the sake of OpenLR's own
# implementation in Java (docstring of j_round()). openlr-js writes 0.
# Seen: 0 degrees are written as sector 31 and read as 354: half a sector less is -0.5, which Java rounds to 0 and
# j_round() to -1, of which five bits are 31. In XML bearings are whole degrees, so that 0 is one road in 360 or more
# where streets are laid out to the north. All other bearings are right.
#
# Version: openlr 1.0.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check openlr==1.0.1
echo "openlr 1.0.1, $(python3 --version)"
cat >run.py <<'PYTHON'
import openlr

print("degrees, sector, read again")
wrong = []
for bearing in range(360):
    road = (openlr.FRC.FRC3, openlr.FOW.SINGLE_CARRIAGEWAY)
    first = openlr.LocationReferencePoint(11.5, 48.1, *road, bearing, openlr.FRC.FRC3, 300)
    last = openlr.LocationReferencePoint(11.5, 48.103, *road, 180, openlr.FRC.FRC7, 0)
    data = openlr.binary_encode(openlr.LineLocationReference([first, last], 0, 0), is_base64=False)
    sector = data[8] & 31
    again = openlr.binary_decode(bytes(data), is_base64=False).points[0].bear
    if bearing in (0, 1, 11, 12, 90, 180, 359):
        print(bearing, sector, again)
    if sector != int(bearing / 11.25):
        wrong.append(bearing)
print("wrong:", wrong)
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'degrees, sector, read again
0 31 354
1 0 6
11 0 6
12 1 17
90 8 96
180 16 186
359 31 354
wrong: [0]' ]; then
    echo "changed: bearings are written in another way" >&2
    exit 1
fi
