#!/usr/bin/env bash
# gtfs-kit: a trip at 8:00:00 is not active at 08:10:00.
#
# Expected: GTFS allows H:MM:SS beside HH:MM:SS, so that 8:00:00 and 08:00:00 are one time. A trip from
# 8:00:00 to 8:20:00 is among get_trips(date, "08:10:00").
# Seen: it is not, since the times are compared as text. get_trips(date, "8:10:00") finds it, and the
# same feed with 08:00:00 is found by "08:10:00". compute_trip_stats() understands both.
#
# Versions: gtfs-kit 13.0.1, pandas 2.2.3. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gtfs-kit==13.0.1 geopandas==1.1.4 pandas==2.2.3 numpy==1.26.4 shapely==2.1.2

"$folder/venv/bin/python" - <<'PYTHON'
import pathlib
import sys
import tempfile
import warnings
import zipfile
from importlib.metadata import version

warnings.simplefilter("ignore")

import gtfs_kit

FEED = {
    "agency.txt": "agency_id,agency_name,agency_url,agency_timezone\na,A,http://example.com,Europe/Berlin\n",
    "stops.txt": "stop_id,stop_name,stop_lat,stop_lon\ns1,One,50.0,8.0\ns2,Two,50.0,8.1\n",
    "routes.txt": "route_id,agency_id,route_short_name,route_long_name,route_type\nr,a,1,Line,3\n",
    "trips.txt": "route_id,service_id,trip_id\nr,daily,t\n",
    "calendar.txt": "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
    "daily,1,1,1,1,1,1,1,20261101,20261130\n",
}
TIMES = "trip_id,arrival_time,departure_time,stop_id,stop_sequence\nt,{0}8:00:00,{0}8:00:00,s1,1\nt,{0}8:20:00,{0}8:20:00,s2,2\n"

print("gtfs-kit", version("gtfs-kit"))
seen = {}
with tempfile.TemporaryDirectory() as folder:
    for zero in ("", "0"):
        path = pathlib.Path(folder) / f"feed{zero}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in {**FEED, "stop_times.txt": TIMES.format(zero)}.items():
                archive.writestr(name, text)
        feed = gtfs_kit.read_feed(path, dist_units="km")
        start = feed.compute_trip_stats().start_time[0]
        for time in ("08:10:00", "8:10:00"):
            seen[zero, time] = feed.get_trips("20261126", time).trip_id.tolist()
            print(f"feed says {zero}8:00:00 (statistics: {start}), active at {time}: {seen[zero, time]}")

if seen != {("", "08:10:00"): [], ("", "8:10:00"): ["t"], ("0", "08:10:00"): ["t"], ("0", "8:10:00"): []}:
    sys.exit("changed: other trips are active")
PYTHON
