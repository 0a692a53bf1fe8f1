#!/usr/bin/env bash
# igc2kml: a glider that flies north at 100 km/h does 73 km/h in Austria and none at the equator.
#
# Expected: the speed over ground is the way between two fixes over the time, in whatever direction; 1,666.8 m in a
# minute is 100 km/h. The date is in HFDTE281126, or in HFDTEDATE:281126,01, as the IGC has it since 2016 (FAI IGC,
# Technical Specification for GNSS Flight Recorders, A3.2.1).
# Seen: positions are projected on the plane of the equator, in which a way to the north is shortened by the sine of the
# latitude: 73.3 km/h at 47.14 degrees, 1.8 at the first degree. A way to the east is right. The date line of today's
# recorders is refused, with "time data 'DATE:2' does not match format".
#
# Version: igc2kml 0.1.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check igc2kml==0.1.0
echo "igc2kml 0.1.0, $(python3 --version)"
cat >run.py <<'PYTHON'
from igc2kml.igc2kml import parse_igc, process_data


def fix(time, latitude, longitude):
    degrees = []
    for value, width, letters in ((latitude, 2, "NS"), (longitude, 3, "EW")):
        minutes = round(abs(value) * 60000)
        degrees.append(f"{minutes // 60000:0{width}}{minutes % 60000:05}{letters[value < 0]}")
    return f"B{time}{''.join(degrees)}A0100001000"


def speed(date, first, second):
    with open("flight.igc", "w") as file:
        file.write("\n".join(["AXXXABC", date, fix("100000", *first), fix("100100", *second), ""]))
    try:
        data, _ = process_data(*parse_igc("flight.igc"), speed_unit="kmh")
    except ValueError as error:
        return error
    return f"{data.speed[0]:.1f} km/h"


minute = 1666.8 / 6371000 * 57.29578
old = "HFDTE281126"
print("north at 47 degrees:", speed(old, (47.14, 15.0), (47.14 + minute, 15.0)))
print("east at the equator:", speed(old, (0.0, 15.0), (0.0, 15.0 + minute)))
print("north at 1 degree:", speed(old, (1.0, 15.0), (1.0 + minute, 15.0)))
print("north at 60 degrees:", speed(old, (60.0, 15.0), (60.0 + minute, 15.0)))
print("with the newer date line:", speed("HFDTEDATE:281126,01", (0.0, 15.0), (0.0, 15.0 + minute)))
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "north at 47 degrees: 73.3 km/h
east at the equator: 100.0 km/h
north at 1 degree: 1.8 km/h
north at 60 degrees: 86.6 km/h
with the newer date line: time data 'DATE:2' does not match format '%d%m%y'" ]; then
    echo "changed: speeds are computed or dates are read in another way" >&2
    exit 1
fi
