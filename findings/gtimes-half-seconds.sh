#!/usr/bin/env bash
# gtimes: GPS times from half a second on become UTC times that are a second late, and datetimes are local ones.
#
# Expected: UTCFromGps(2086, 388818.5, leapSecs=18) is 2020-01-02 12:00:00.5 UTC; with dtimeObj=True a "UTC datetime
# object" (docstring). gpsFromUTC() is its inverse.
# Seen: the fraction is added twice before the seconds are cut, and then once more: 12:00:01.5, from .5 on for every
# time. With dtimeObj=True it is right where the time zone of the process is UTC, and 13:00:00.5, without a zone, in
# Berlin. The way there, gpsFromUTC(), is right. mkUTC() raises TypeError for every argument.
#
# Version: gtimes 0.6.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check gtimes==0.6.0

cat >run.py <<'PYTHON'
import os
import sys
import time
from importlib.metadata import version

from gtimes.gpstime import UTCFromGps, gpsFromUTC, mkUTC

print("gtimes", version("gtimes"))
seen = {}
for zone in ("UTC", "CET-1CEST,M3.5.0,M10.5.0/3"):
    os.environ["TZ"] = zone
    time.tzset()
    for fraction in (0.25, 0.5, 0.75):
        second_of_week = 388_818 + fraction
        assert gpsFromUTC(2020, 1, 2, 12, 0, fraction, leapSecs=18)[:2] == (2086, second_of_week)
        *_, hour, minute, second = UTCFromGps(2086, second_of_week, leapSecs=18)
        moment = UTCFromGps(2086, second_of_week, leapSecs=18, dtimeObj=True)
        seen[zone[:3], fraction] = (hour, minute, second, moment.isoformat(timespec="milliseconds"))
        print(f"12:00:{fraction} in {zone[:3]}: {hour}:{minute}:{second}, as a datetime {moment}, zone {moment.tzinfo}")
try:
    mkUTC(2020, 1, 2, 12, 0, 0)
    failed = None
except TypeError as error:
    failed = str(error)
print("mkUTC:", failed)

if seen != {
    ("UTC", 0.25): (12, 0, 0.25, "2020-01-02T12:00:00.250"),
    ("UTC", 0.5): (12, 0, 1.5, "2020-01-02T12:00:00.500"),
    ("UTC", 0.75): (12, 0, 1.75, "2020-01-02T12:00:00.750"),
    ("CET", 0.25): (12, 0, 0.25, "2020-01-02T13:00:00.250"),
    ("CET", 0.5): (12, 0, 1.5, "2020-01-02T13:00:00.500"),
    ("CET", 0.75): (12, 0, 1.75, "2020-01-02T13:00:00.750"),
}:
    sys.exit("changed: GPS times are converted in another way")
if failed is None:
    sys.exit("changed: mkUTC() works")
PYTHON
venv/bin/python run.py
