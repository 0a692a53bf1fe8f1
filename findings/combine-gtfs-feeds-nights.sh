#!/usr/bin/env bash
# combine-gtfs-feeds: one missing time in a feed puts all trips after midnight a day earlier.
#
# Expected: times count from the start of the service day and go beyond 24:00:00 for trips after midnight (GTFS
# reference, "Time"). combine-gtfs-feeds fills in times where a feed leaves them out, which GTFS allows, and makes
# trips of frequencies.txt.
# Seen: if any time of a feed is missing, all of them are written again, modulo 24 hours: 25:00:00 becomes 01:00:00,
# and a trip from 23:50:00 to 24:30:00 arrives before it departs. So do trips of frequencies.txt. A trip that begins
# at 00:00:00 begins half-way between its second stop and the end of the trip before, here at 12:20:00, since 0
# seconds count as missing.
#
# Versions: combine-gtfs-feeds 0.1.9, pandas 2.2.3, numpy 1.26.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  combine-gtfs-feeds==0.1.9 pandas==2.2.3 numpy==1.26.4 pandera==0.20.4 pyyaml==6.0.2

cat >run.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")

import pandas
from combine_gtfs_feeds.cli.run import frequencies_to_trips, interpolate_arrival_departure_time

COLUMNS = ["trip_id", "stop_sequence", "stop_id", "arrival_time", "departure_time"]


def times(**trips):
    rows = [
        (trip, number, f"s{number}", time, time)
        for trip, stops in trips.items()
        for number, time in enumerate(stops, start=1)
    ]
    return pandas.DataFrame(rows, columns=COLUMNS)


def shown(frame):
    ordered = frame.sort_values(["trip_id", "stop_sequence"])
    return {trip: rows["arrival_time"].tolist() for trip, rows in ordered.groupby("trip_id")}


print("combine-gtfs-feeds", version("combine-gtfs-feeds"))
feed = times(
    day=["08:00:00", None, "08:20:00"],
    late=["25:00:00", "25:10:00"],
    night=["23:50:00", None, "24:30:00"],
    zero=["00:00:00", "00:10:00"],
)
filled = shown(interpolate_arrival_departure_time(feed))
for trip, stops in filled.items():
    print(trip, *stops)
every_hour = pandas.DataFrame(
    [("bus", "23:30:00", "25:30:00", 3600)], columns=["trip_id", "start_time", "end_time", "headway_secs"]
)
trips = pandas.DataFrame([("r", "daily", "bus")], columns=["route_id", "service_id", "trip_id"])
made = shown(frequencies_to_trips(every_hour, trips, times(bus=["08:00:00", "08:10:00"]))[1])
print("of frequencies:", made)

if filled != {
    "day": ["08:00:00", "08:10:00", "08:20:00"],
    "late": ["01:00:00", "01:10:00"],
    "night": ["23:50:00", "00:10:00", "00:30:00"],
    "zero": ["12:20:00", "00:10:00"],
}:
    sys.exit("changed: other times are filled in")
if made != {"bus_1": ["23:30:00", "23:40:00"], "bus_2": ["00:30:00", "00:40:00"]}:
    sys.exit("changed: trips of frequencies have other times")
PYTHON
venv/bin/python run.py
