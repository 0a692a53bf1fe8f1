#!/usr/bin/env bash
# gtfs-parser: a bus every ten minutes counts as one a day if the feed gives it by its headway.
#
# Expected: read_route_frequency() counts the trips between two stops, on a day or in a span of time. A trip in
# frequencies.txt runs from start_time to end_time every headway_secs; its times in stop_times.txt only give the time
# from stop to stop (GTFS reference, frequencies.txt and stop_times.txt).
# Seen: frequencies.txt is not read. Six trips in an hour, written one by one, have the frequency 6, and 1 as one trip
# with a headway of 600 seconds. In the hour in question the latter has none at all if the times in stop_times.txt
# begin with 00:00:00, as they may.
#
# Versions: gtfs-parser 0.3.0, pandas 2.2.3. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check gtfs-parser==0.3.0 pandas==2.2.3 numpy==1.26.4

cat >run.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

warnings.simplefilter("ignore")

from gtfs_parser.aggregate import Aggregator
from gtfs_parser.gtfs import GTFSFactory

FEED = {
    "agency.txt": "agency_id,agency_name,agency_url,agency_timezone\na,A,http://example.com,Europe/Berlin\n",
    "stops.txt": "stop_id,stop_name,stop_lat,stop_lon,location_type,parent_station\n"
    "s1,One,50.0,8.0,0,\ns2,Two,50.0,8.1,0,\n",
    "routes.txt": "route_id,agency_id,route_short_name,route_long_name,route_type\nr,a,1,Line,3\n",
    "calendar.txt": "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
    "daily,1,1,1,1,1,1,1,20261101,20261130\n",
}


def count(name, starts, frequencies="", **span):
    folder = Path(name)
    folder.mkdir(exist_ok=True)
    trips = "route_id,service_id,trip_id\n"
    times = "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
    for number, (hour, minute) in enumerate(starts):
        trips += f"r,daily,t{number}\n"
        for stop, at in ((1, minute), (2, minute + 5)):
            times += f"t{number},{hour:02}:{at:02}:00,{hour:02}:{at:02}:00,s{stop},{stop}\n"
    files = {**FEED, "trips.txt": trips, "stop_times.txt": times, "frequencies.txt": frequencies}
    for file, text in files.items():
        if text:
            (folder / file).write_text(text)
    found = Aggregator(GTFSFactory(name), yyyymmdd="20261128", **span).read_route_frequency()
    return [int(path["properties"]["frequency"]) for path in found]


print("gtfs-parser", version("gtfs-parser"))
headway = "trip_id,start_time,end_time,headway_secs\nt0,08:00:00,09:00:00,600\n"
hour = {"begin_time": "080000", "end_time": "090000"}
seen = [
    count("single", [(8, minute) for minute in range(0, 60, 10)], **hour),
    count("headway", [(8, 0)], headway, **hour),
    count("from-zero", [(0, 0)], headway),
    count("from-zero", [(0, 0)], headway, **hour),
]
print("six trips written one by one:", seen[0])
print("one trip every 600 seconds from 08:00 to 09:00:", seen[1])
print("the same with times from 00:00:00 on: of the day", seen[2], "of the hour", seen[3])
if seen != [[6], [1], [1], []]:
    sys.exit("changed: trips are counted in another way")
PYTHON
venv/bin/python run.py
