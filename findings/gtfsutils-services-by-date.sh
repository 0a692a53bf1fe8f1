#!/usr/bin/env bash
# gtfsutils: filtering gives a service of single dates a row of calendar.txt whose columns are shifted.
#
# Expected: a service can be defined by its dates in calendar_dates.txt alone, without a row in calendar.txt (GTFS
# reference, calendar_dates.txt, service_id). A feed filtered by the types of its routes, of which none is left out, is
# the same.
# Seen: a row is added for such a service, in an order of columns that is not that of the reference: service_id is 1,
# for Monday, sunday is 20261207, start_date 20261221, and end_date the name of the service. With service_id as the last
# column the row fits, and then the service runs on each Monday between its two dates, on 14 December as well.
#
# Versions: gtfsutils 0.2.5, pandas 2.2.3, geopandas 1.1.4. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check gtfsutils==0.2.5 pandas==2.2.3 geopandas==1.1.4
echo "gtfsutils 0.2.5, pandas 2.2.3, geopandas 1.1.4, $(python3 --version)"
cat >run.py <<'PYTHON'
import io

import pandas

from gtfs_utils.filter import RouteTypeFilter, filter_gtfs
from gtfs_utils.utils import GtfsDict

FEED = {
    "agency": "agency_id,agency_name,agency_url,agency_timezone\na,Edge,https://edge.example/,Europe/Berlin\n",
    "routes": "route_id,agency_id,route_short_name,route_type\nr,a,N1,3\n",
    "stops": "stop_id,stop_name,stop_lat,stop_lon\np1,One,48.1,11.5\np2,Two,48.2,11.6\n",
    "trips": "route_id,service_id,trip_id\nr,week,t1\nr,mondays,t2\n",
    "calendar_dates": "service_id,date,exception_type\nmondays,20261207,1\nmondays,20261221,1\n",
    "stop_times": """trip_id,arrival_time,departure_time,stop_id,stop_sequence
t1,08:00:00,08:00:00,p1,1
t1,08:10:00,08:10:00,p2,2
t2,09:00:00,09:00:00,p1,1
t2,09:10:00,09:10:00,p2,2
""",
}
DAYS = "monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date"
for calendar in (
    f"service_id,{DAYS}\nweek,1,1,1,1,1,0,0,20261201,20261231\n",
    f"{DAYS},service_id\n1,1,1,1,1,0,0,20261201,20261231,week\n",
):
    texts = FEED | {"calendar": calendar}
    feed = GtfsDict({name: pandas.read_csv(io.StringIO(text)) for name, text in texts.items()})
    print(filter_gtfs(feed, [RouteTypeFilter([3])])["calendar"].to_csv(index=False).strip())
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date
week,1,1,1,1,1,0,0,20261201,20261231
1,0,0,0,0,0,0,20261207,20261221,mondays
monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date,service_id
1,1,1,1,1,0,0,20261201,20261231,week
1,0,0,0,0,0,0,20261207,20261221,mondays' ]; then
    echo "changed: feeds are filtered in another way" >&2
    exit 1
fi
