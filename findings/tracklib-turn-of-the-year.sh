#!/usr/bin/env bash
# tracklib: New Year's Day is in month 13, and the afternoon of 31 December of a leap year has the hour -12.
#
# Expected: ObsTime.readUnixTime() gives the date and the time of day (UTC) of a number of seconds since 1970, and
# addSec() those of a later time.
# Seen: the first second of a year is in month 13 of the year before, unless that was a leap year. In leap years
# 31 December from the first second on is 1 January with negative hours, minutes or seconds: 12:00 is -12:00. The
# text that tracklib writes, such as 2024-12-31 12:00 as 2025-01-01T-12:00:00Z, is no valid time. toAbsTime()
# gives the right seconds.
#
# Version: tracklib 0.8.4.2. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tracklib==0.8.4.2

cat >run.py <<'PYTHON'
import sys
from datetime import datetime, timezone
from importlib.metadata import version

from tracklib import ObsTime

print("tracklib", version("tracklib"))
seen = []
for true in (
    datetime(2024, 12, 30, 12, tzinfo=timezone.utc),
    datetime(2024, 12, 31, 12, tzinfo=timezone.utc),
    datetime(2025, 12, 31, 12, tzinfo=timezone.utc),
    datetime(2026, 1, 1, tzinfo=timezone.utc),
):
    read = ObsTime.readUnixTime(int(true.timestamp()))
    seen.append(read.timeWithZone())
    print(f"{true:%Y-%m-%dT%H:%M:%SZ} becomes {seen[-1]}")
seen.append(str(ObsTime(2025, 12, 31, 23, 59, 59).addSec(1)))
print("a second after 31/12/2025 23:59:59:", seen[-1])

if seen != [
    "2024-12-30T12:00:00Z",
    "2025-01-01T-12:00:00Z",
    "2025-12-31T12:00:00Z",
    "2025-13-01T00:00:00Z",
    "01/13/2025 00:00:00",
]:
    sys.exit("changed: times are read in another way")
PYTHON
venv/bin/python run.py
