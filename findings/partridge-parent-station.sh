#!/usr/bin/env bash
# partridge: load_feed() drops every station that platforms go on referring to.
#
# Expected: load_feed() gives a feed, or the part of it that belongs to the wanted trips; either is a feed
# again. parent_station must name a station of stops.txt (GTFS reference, stops.txt).
# Seen: stations have no stop times of their own, so they count as unused and are dropped, while the
# platforms go on naming them: platform p1 has parent_station "st", and "st" is gone, even where no view
# is asked for. load_raw_feed() has it.
#
# Versions: partridge 1.1.2, pandas 2.2.3. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check partridge==1.1.2 pandas==2.2.3 numpy==1.26.4

"$folder/venv/bin/python" - <<'PYTHON'
import pathlib
import sys
import tempfile
import warnings
import zipfile
from importlib.metadata import version

warnings.simplefilter("ignore")

import partridge

FEED = {
    "agency.txt": "agency_id,agency_name,agency_url,agency_timezone\na,A,http://example.com,Europe/Berlin\n",
    "stops.txt": "stop_id,stop_name,stop_lat,stop_lon,location_type,parent_station\n"
    "st,Station,50.0,8.0,1,\np1,Platform 1,50.0,8.0,0,st\ns2,Two,50.0,8.1,0,\n",
    "routes.txt": "route_id,agency_id,route_short_name,route_long_name,route_type\nr,a,1,Line,3\n",
    "trips.txt": "route_id,service_id,trip_id\nr,daily,t1\nr,daily,t2\n",
    "stop_times.txt": "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
    "t1,08:00:00,08:00:00,p1,1\nt1,08:20:00,08:20:00,s2,2\nt2,09:00:00,09:00:00,p1,1\nt2,09:20:00,09:20:00,s2,2\n",
    "calendar.txt": "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
    "daily,1,1,1,1,1,1,1,20261101,20261130\n",
}
print("partridge", version("partridge"))
seen = {}
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "feed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in FEED.items():
            archive.writestr(name, text)
    whole = partridge.load_feed(str(path))
    part = partridge.load_feed(str(path), view={"trips.txt": {"trip_id": "t1"}})
    raw = partridge.load_raw_feed(str(path))
    for name, feed in (("load_feed", whole), ("load_feed with a view", part), ("load_raw_feed", raw)):
        seen[name] = (sorted(feed.stops.stop_id), feed.stops.parent_station.dropna().tolist())
        print(f"{name}: stops {seen[name][0]}, parent stations named {seen[name][1]}")

if seen != {
    "load_feed": (["p1", "s2"], ["st"]),
    "load_feed with a view": (["p1", "s2"], ["st"]),
    "load_raw_feed": (["p1", "s2", "st"], ["st"]),
}:
    sys.exit("changed: load_feed keeps other stops")
PYTHON
