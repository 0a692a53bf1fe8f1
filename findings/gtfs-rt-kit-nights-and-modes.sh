#!/usr/bin/env bash
# gtfs-rt-kit: a night bus two minutes late is a day early, a ferry is a funicular, and a funicular an aerial lift.
#
# Expected: a trip of 24:50:00 and 25:10:00 belongs to the day before (GTFS, "service day"); start_date may be left
# out where trip_id alone settles the trip (GTFS-realtime, TripDescriptor). Extended route types are 800 for trolley
# buses, 1200 for ferries, 1300 for aerial lifts, 1400 for funiculars (Google, extended GTFS route types).
# Seen: without a start_date the date of the timestamp is the service day: at 01:12 the arrival of 25:10:00 is taken
# for that of the next night, and the delay is -86,280 s instead of 120 s, for positions as for trip updates. 1200
# is "funicular", 1400 "aerial_lift", and 800 "bus", though basic type 11 is "trolleybus".
#
# Versions: gtfs-rt-kit 0.1.0, gtfs-realtime-bindings 3.0.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check gtfs-rt-kit==0.1.0 gtfs-realtime-bindings==3.0.0

cat >run.py <<'PYTHON'
import io
import sys
import zipfile
from datetime import date, datetime, timezone
from importlib.metadata import version

from google.transit import gtfs_realtime_pb2
from gtfs_rt_kit.decode import parse_feed
from gtfs_rt_kit.delay import estimate_vehicle_delay, trip_delays
from gtfs_rt_kit.static import StaticGtfs

TYPES = (3, 11, 700, 800, 1000, 1200, 1300, 1400)
FILES = {
    "agency.txt": "agency_id,agency_name,agency_url,agency_timezone\na,A,http://example.com,Europe/Berlin\n",
    "stops.txt": "stop_id,stop_name,stop_lat,stop_lon\ns1,One,50,8\ns2,Two,50,8.1\n",
    "routes.txt": "route_id,agency_id,route_short_name,route_type\n"
    + "".join(f"r{kind},a,{kind},{kind}\n" for kind in TYPES),
    "trips.txt": "route_id,service_id,trip_id\nr3,daily,night\n",
    "stop_times.txt": "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
    "night,24:50:00,24:50:00,s1,1\nnight,25:10:00,25:10:00,s2,2\n",
}
with zipfile.ZipFile(packed := io.BytesIO(), "w") as archive:
    for name, text in FILES.items():
        archive.writestr(name, text)
static = StaticGtfs(packed.getvalue())
now = int(datetime(2026, 11, 30, 0, 12, tzinfo=timezone.utc).timestamp())
message = gtfs_realtime_pb2.FeedMessage()
message.header.gtfs_realtime_version = "2.0"
position = message.entity.add(id="1").vehicle
position.trip.trip_id = "night"
position.current_stop_sequence = 2
position.current_status = gtfs_realtime_pb2.VehiclePosition.STOPPED_AT
position.timestamp = now
update = message.entity.add(id="2").trip_update
update.trip.trip_id = "night"
update.timestamp = now
update.stop_time_update.add(stop_sequence=2).arrival.time = now
feed = parse_feed(message.SerializeToString())

print("gtfs-rt-kit", version("gtfs-rt-kit"))
delays = (
    estimate_vehicle_delay(feed.vehicles[0], static),
    trip_delays(feed.trip_updates[0], static)[0].delay,
    estimate_vehicle_delay(feed.vehicles[0], static, service_date=date(2026, 11, 29)),
)
print("delay of the vehicle, of the trip update, and with the service date:", *delays)
modes = {route.route_type: route.mode for route in static.routes.values()}
print(modes)

if delays != (-86_280, -86_280, 120):
    sys.exit("changed: night trips have other delays")
if [modes[kind] for kind in TYPES] != [
    "bus",
    "trolleybus",
    "bus",
    "bus",
    "ferry",
    "funicular",
    "aerial_lift",
    "aerial_lift",
]:
    sys.exit("changed: route types have other modes")
PYTHON
venv/bin/python run.py
