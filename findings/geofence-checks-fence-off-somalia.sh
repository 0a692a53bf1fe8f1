#!/usr/bin/env bash
# geofence-checks: a fence around Munich lies off Somalia, and a truck that stays inside enters again.
#
# Expected: detect_geofence_check_events() takes fences as shapely polygons or GeoJSON, both with the
# longitude first, and trucks with columns "latitude" and "longitude". A truck inside the fence enters and
# leaves it.
# Seen: the fence is handed to h3.polyfill() without geo_json_conformant, so that its longitudes are read as
# latitudes: the truck in the fence has no event, one at 11.5 degrees north and 48.1 degrees east, in the Gulf
# of Aden, has. A truck that was inside at the last call (already_inside) and still is enters a second time;
# one that then leaves and comes back enters before it left.
#
# Versions: geofence-checks 0.1.1 with h3 3.7.6, shapely 2.1.2 and pandas 2.2.3 (the pandas 1.4.1 that it asks
# for has no package for Python 3.11). Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check h3==3.7.6 shapely==2.1.2 pandas==2.2.3 numpy==1.26.4

venv/bin/pip install --quiet --disable-pip-version-check --no-deps geofence-checks==0.1.1
cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import pandas
from geofence_checks import detect_geofence_check_events
from shapely.geometry import box

print("geofence-checks", version("geofence-checks"), "h3", version("h3"))
fence = {"geofence_name": "yard", "dept_code": "A", "plant_code": "1", "geofence_type": {"label": "yard"}}
yard = pandas.DataFrame([fence | {"geofence_coordinates": box(11.50, 48.10, 11.51, 48.11)}])
START = "2026-11-30 10:0{}:00"
since_nine = {"truck_no": "T", "geofence_name": "yard", "dept_code": "A"}
before = pandas.DataFrame([since_nine | {"first_inside_fence": "2026-11-30 09:00:00"}])


def minute(time):
    return None if pandas.isna(time) else time.strftime("%H:%M")


def events(places, already=None):
    rows = [
        {"truck_no": "T", "latitude": place[0], "longitude": place[1], "timestamp": START.format(minutes)}
        for minutes, place in enumerate(places)
    ]
    results = detect_geofence_check_events(pandas.DataFrame(rows), yard, already, h3_res=9)
    return [
        [(minute(row.first_inside_fence), minute(row.first_outside_fence)) for row in result.itertuples()]
        for result in results
    ]


inside, outside = (48.105, 11.505), (48.2, 11.6)
turned_inside, turned_outside = (11.505, 48.105), (11.6, 48.2)
munich = events([outside, inside, inside, outside])
gulf = events([turned_outside, turned_inside, turned_inside, turned_outside])
stays = events([turned_inside, turned_inside], before)
again = events([turned_inside, turned_outside, turned_inside, turned_outside], before)
print("events of the truck in the fence:", munich)
print("events with latitude and longitude exchanged:", gulf)
print("inside since 09:00, still inside:", stays)
print("inside since 09:00, left at 10:01, back at 10:02, left at 10:03:", again)

if munich != [[], []] or gulf != [[("10:01", "10:03")], []]:
    sys.exit("changed: the fence lies elsewhere")
if stays != [[("10:00", None)], []] or again != [[("10:00", "10:03")], [("09:00", "10:01")]]:
    sys.exit("changed: a truck that was inside has other events")
PYTHON
venv/bin/python run.py
