#!/usr/bin/env bash
# gtfs-lite: the trip of the last full hour is not counted, and a bus every ten minutes comes every 6.7 minutes.
#
# Expected: route_frequency_matrix() gives the number of trips of each interval and trips per hour; route_summary() the
# "average time in minutes between trips on the route"; service_hours() of a slice counts trips that go on behind it
# "as having stopped at the end of the time slice" (docstrings).
# Seen: of trips at 7:00, 8:00 and 9:00 the matrix has two, since its last interval ends with the start of the last
# trip. Frequencies are cut to whole numbers: one trip in two hours is 0. Trips at 8:00, 8:10 and 8:20 have a headway
# of 6.67 minutes: 20 minutes are divided by three trips. Of the three trips of 20 minutes, the slice from 8:10 to
# 8:30 has 20 minutes of service, those of one trip; up to 8:30 the third runs for ten minutes, too.
#
# Versions: gtfs-lite 0.2.1, pandas 2.2.3. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check gtfs-lite==0.2.1 pandas==2.2.3 numpy==1.26.4

cat >run.py <<'PYTHON'
import datetime
import sys
import warnings
import zipfile
from importlib.metadata import version

warnings.simplefilter("ignore")

import gtfslite

FEED = {
    "agency.txt": "agency_id,agency_name,agency_url,agency_timezone\na,A,http://example.com,Europe/Berlin\n",
    "stops.txt": "stop_id,stop_name,stop_lat,stop_lon\ns1,One,50.0,8.0\ns2,Two,50.0,8.1\n",
    "routes.txt": "route_id,agency_id,route_short_name,route_long_name,route_type\nr,a,1,Line,3\n",
    "trips.txt": "route_id,service_id,trip_id\nr,daily,t1\nr,daily,t2\nr,daily,t3\n",
    "calendar.txt": "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
    "daily,1,1,1,1,1,1,1,20261101,20261130\n",
}
DAY = datetime.date(2026, 11, 28)


def load(*minutes):
    """A feed of three trips of 20 minutes."""
    times = "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
    for trip, minute in enumerate(minutes, 1):
        for stop, at in ((1, minute), (2, minute + 20)):
            time = f"{at // 60:02}:{at % 60:02}:00"
            times += f"t{trip},{time},{time},s{stop},{stop}\n"
    with zipfile.ZipFile("feed.zip", "w") as archive:
        for name, text in (*FEED.items(), ("stop_times.txt", times)):
            archive.writestr(name, text)
    return gtfslite.GTFS.load_zip("feed.zip")


print("gtfs-lite", version("gtfs-lite"))
hourly = load(420, 480, 540)
matrix = {}
for interval in (60, 120):
    rows = hourly.route_frequency_matrix(DAY, interval)
    columns = (rows.bin_start, rows.bin_end, rows.trips.tolist(), rows.frequency.tolist())
    matrix[interval] = list(zip(*columns, strict=True))
    print(f"trips at 7:00, 8:00 and 9:00, by {interval} minutes (trips, per hour): {matrix[interval]}")

dense = load(480, 490, 500)
headway = round(float(dense.route_summary(DAY, "r").average_headway), 2)
hours = round(float(dense.service_hours(DAY, "08:10:00", "08:30:00")), 2)
print(f"trips at 8:00, 8:10 and 8:20: headway {headway} minutes, service from 8:10 to 8:30 {hours} hours")

if matrix != {
    60: [("07:00", "08:00", 1, 1), ("08:00", "09:00", 1, 1)],
    120: [("06:00", "08:00", 1, 0), ("08:00", "10:00", 2, 1)],
}:
    sys.exit("changed: trips are counted in another way")
if (headway, hours) != (6.67, 0.33):
    sys.exit("changed: headways or hours of service are found in another way")
PYTHON
venv/bin/python run.py
