#!/usr/bin/env bash
# nmeasim: without heading_variation a target is never headed for, and behind the first target nothing moves again.
#
# Expected: a simulated receiver with a target drives there; heading_variation is how much its heading strays. A new
# target sends it on. GGA has the age of differential corrections as a number (NMEA 0183).
# Seen: with heading_variation=0 the target is not looked at, and the receiver goes straight on. On arrival the
# speed is lowered to what is left to go, and stays so: with a second target it turns and stands. In GGA the age of
# 1.5 s is written as the text %06.3f.
#
# Versions: nmeasim 1.1.1.0, geographiclib 2.1. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nmeasim==1.1.1.0 geographiclib==2.1

cat >run.py <<'PYTHON'
import sys
from datetime import datetime, timezone
from importlib.metadata import version

from nmeasim.models import GpsReceiver
from nmeasim.simulator import Simulator

print("nmeasim", version("nmeasim"))
TARGET, SECOND = (48.101, 11.5), (48.2, 11.5)
seen = {}
for variation in (0, 1):
    start = datetime(2026, 11, 30, 10, tzinfo=timezone.utc)
    receiver = GpsReceiver(lat=48.1, lon=11.5, kph=36, heading=90, date_time=start, output=("RMC",))
    simulator = Simulator(gps=receiver, heading_variation=variation)
    simulator.target = TARGET
    list(simulator.get_output(60))
    away = 1000 * receiver.distance(*TARGET)
    before = (receiver.lat, receiver.lon)
    simulator.target = SECOND
    list(simulator.get_output(60))
    seen[variation] = (round(away), round(1000 * receiver.distance(*before)))
    print(
        f"heading_variation {variation}: after a minute at 36 km/h {seen[variation][0]} m from a target 111 m away,"
        f" then {seen[variation][1]} m in a minute towards the second target"
    )
gga = GpsReceiver(lat=48.1, lon=11.5, last_dgps=1.5, dgps_station=7, output=("GGA",)).get_output()[0]
age = gga.split(",")[-2]
print("age in GGA:", age)

if not 590 < seen[0][0] < 630 or seen[1] != (0, 0):
    sys.exit("changed: targets are reached in another way")
if age != "%06.3f":
    sys.exit("changed: the age is written in another way")
PYTHON
venv/bin/python run.py
