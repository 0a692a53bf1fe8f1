#!/usr/bin/env bash
# gtfstools: Wednesdays are like Tuesdays, and a stop at midnight has no time.
#
# Expected: reading a feed and writing it again keeps what it keeps, though under new ids. The column wednesday of
# calendar.txt says whether the service runs on Wednesdays, and 00:00:00 is a time of the day; the first stop of a trip
# must have times (GTFS reference, calendar.txt and stop_times.txt).
# Seen: wednesday is read from the column tuesday, so that a service of Tuesdays runs on Wednesdays, too, and one of
# Wednesdays never. Times of 00:00:00 are written as nothing, which makes the feed invalid, as 0 seconds count as no
# time; 24:00:00 is kept.
#
# Version: gtfstools 0.1.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check gtfstools==0.1.1
echo "gtfstools 0.1.1, $(python3 --version)"
cat >run.py <<'PYTHON'
import zipfile

from gtfstools import gtfs

FEED = {
    "agency": "agency_id,agency_name,agency_url,agency_timezone\na,Edge,https://edge.example/,Europe/Berlin\n",
    "routes": "route_id,agency_id,route_short_name,route_long_name,route_type\nr,a,N1,Night,3\n",
    "stops": "stop_id,stop_name,stop_lat,stop_lon,parent_station\np1,One,48.1,11.5,\np2,Two,48.2,11.6,\n",
    "trips": "route_id,service_id,trip_id\nr,tue,t1\nr,wed,t2\n",
    "calendar": """service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date
tue,0,1,0,0,0,0,0,20261201,20261231
wed,0,0,1,0,0,0,0,20261201,20261231
""",
    "stop_times": """trip_id,arrival_time,departure_time,stop_id,stop_sequence
t1,23:40:00,23:40:00,p1,1
t1,24:00:00,24:00:00,p2,2
t2,00:00:00,00:00:00,p1,1
t2,00:20:00,00:20:00,p2,2
""",
}
with zipfile.ZipFile("before.zip", "w") as archive:
    for name, text in FEED.items():
        archive.writestr(f"{name}.txt", text)
gtfs.write("after.zip", gtfs.read("before.zip"))
with zipfile.ZipFile("after.zip") as archive:
    for name in ("calendar", "stop_times"):
        print(archive.read(f"{name}.txt").decode().replace("\r", "").strip())
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'service_id,start_date,end_date,monday,tuesday,wednesday,thursday,friday,saturday,sunday
0,20261201,20261231,0,1,1,0,0,0,0
1,20261201,20261231,0,0,0,0,0,0,0
trip_id,stop_sequence,stop_id,arrival_time,departure_time
0,1,0,23:40:00,23:40:00
0,2,1,24:00:00,24:00:00
1,1,0,,
1,2,1,00:20:00,00:20:00' ]; then
    echo "changed: feeds are read or written in another way" >&2
    exit 1
fi
