#!/usr/bin/env bash
# py-gtfs-loader: one monorail, or one route of an extended type, makes the whole feed unreadable.
#
# Expected: route_type 12 is a monorail (GTFS reference, routes.txt). Many feeds of Europe have extended types, such
# as 100 for railways and 700 for buses.
# Seen: in its list the monorail has the number 0, which is the tram's: RouteType.MONORAIL is RouteType.TRAM, and a
# route of type 12 raises ParseError, "12 is not a valid RouteType", as do extended types. A program that asks for
# RouteType.MONORAIL gets trams.
#
# Version: py-gtfs-loader 0.4.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check py-gtfs-loader==0.4.0 zstandard==0.25.0

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

import gtfs_loader
from gtfs_loader.schema import RouteType

FILES = {
    "agency.txt": "agency_id,agency_name,agency_url,agency_timezone\na,A,http://example.com,Europe/Berlin\n",
    "stops.txt": "stop_id,stop_name,stop_lat,stop_lon\ns1,One,50.0,8.0\ns2,Two,50.0,8.1\n",
    "trips.txt": "route_id,service_id,trip_id\nr,daily,t\n",
    "calendar.txt": "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
    "daily,1,1,1,1,1,1,1,20261101,20261130\n",
    "stop_times.txt": "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
    "t,08:00:00,08:00:00,s1,1\nt,08:20:00,08:20:00,s2,2\n",
}
print("py-gtfs-loader", version("py-gtfs-loader"))
feed = Path("feed")
feed.mkdir()
for name, text in FILES.items():
    (feed / name).write_text(text)
seen = {}
for kind in (0, 11, 12, 100):
    (feed / "routes.txt").write_text(f"route_id,agency_id,route_short_name,route_type\nr,a,1,{kind}\n")
    try:
        seen[kind] = gtfs_loader.load(feed, verbose=False).routes["r"].route_type.name
    except gtfs_loader.ParseError as error:
        seen[kind] = str(error)
    print(kind, seen[kind])
print("RouteType.MONORAIL is", RouteType.MONORAIL.name)

if (seen[0], seen[11], RouteType.MONORAIL) != ("TRAM", "TROLLEYBUS", RouteType.TRAM):
    sys.exit("changed: route types have other names")
if not all("is not a valid RouteType" in seen[kind] for kind in (12, 100)):
    sys.exit("changed: monorails or extended types are read")
PYTHON
venv/bin/python run.py
