#!/usr/bin/env bash
# gtfsmerger: merged feeds have dates that GTFS does not know, and the vehicles of one feed run the trips of another.
#
# Expected: two feeds in one are a feed again. Dates are written YYYYMMDD, and pickup_type is one of the whole numbers 0
# to 3. Trips with the same block_id are run by the same vehicle, so that passengers can stay in it (GTFS reference,
# "Field Types", stop_times.txt and trips.txt).
# Seen: 20261201 becomes 2026-12-01 in calendar.txt and calendar_dates.txt. pickup_type becomes 0.0 where another row of
# the file has none. Ids of trips, stops and services get the number of their feed, block_id does not, so that the
# blocks b1 of both feeds, and zones, are one. Each file has a first column without a name.
#
# Versions: gtfsmerger 0.1.6, pandas 2.2.3, numpy 1.26.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check gtfsmerger==0.1.6 pandas==2.2.3 numpy==1.26.4
echo "gtfsmerger 0.1.6, pandas 2.2.3, numpy 1.26.4, $(python3 --version)"
cat >run.py <<'PYTHON'
import warnings
import zipfile

warnings.simplefilter("ignore")
from gtfsmerger import GTFSMerger

FEED = {
    "calendar": """service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date
s,1,1,1,1,1,0,0,20261201,20261231
""",
    "trips": "route_id,service_id,trip_id,block_id\nr,s,t1,b1\n",
    "stop_times": """trip_id,arrival_time,departure_time,stop_id,stop_sequence,pickup_type
t1,08:00:00,08:00:00,p1,1,0
t1,08:10:00,08:10:00,p2,2,
""",
}
with zipfile.ZipFile("feed.zip", "w") as archive:
    for name, text in FEED.items():
        archive.writestr(f"{name}.txt", text)
merger = GTFSMerger()
merger.merge_from_fpaths(["feed.zip", "feed.zip"])
merger.get_zipfile("merged.zip")
with zipfile.ZipFile("merged.zip") as archive:
    for name in sorted(FEED):
        print(archive.read(f"{name}.txt").decode("utf-8-sig").strip())
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != ',service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date
0,0-s,1,1,1,1,1,0,0,2026-12-01,2026-12-31
0,1-s,1,1,1,1,1,0,0,2026-12-01,2026-12-31
,trip_id,arrival_time,departure_time,stop_id,stop_sequence,pickup_type
0,0-t1,08:00:00,08:00:00,0-p1,1,0.0
1,0-t1,08:10:00,08:10:00,0-p2,2,
0,1-t1,08:00:00,08:00:00,1-p1,1,0.0
1,1-t1,08:10:00,08:10:00,1-p2,2,
,route_id,service_id,trip_id,block_id
0,0-r,0-s,0-t1,b1
0,1-r,1-s,1-t1,b1' ]; then
    echo "changed: feeds are merged in another way" >&2
    exit 1
fi
