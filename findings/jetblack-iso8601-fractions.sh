#!/usr/bin/env bash
# jetblack-iso8601: 50 ms past ten is written as 500 ms past ten.
#
# Expected: what datetime_to_iso8601() wrote is read as the time that it was, as the README shows. The digits behind
# the decimal sign are a decimal fraction of a second (ISO 8601-1, 5.3.1.4), so that .05 is 50 ms.
# Seen: 50 ms is written .50, 5 ms is .05 and 1 ms is .01, since the milliseconds have no zeros in front. From 100 ms on
# they are right. Of durations the fraction is dropped without a word: 1.5 s is PT1S.
#
# Version: jetblack-iso8601 2.0.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check jetblack-iso8601==2.0.0

cat >run.py <<'PYTHON'
import sys
from datetime import datetime, timedelta, timezone
from importlib.metadata import version

from jetblack_iso8601 import datetime_to_iso8601, iso8601_to_datetime, timedelta_to_iso8601

print("jetblack-iso8601", version("jetblack-iso8601"))
seen = {}
for milliseconds in (1, 5, 50, 123):
    text = datetime_to_iso8601(datetime(2026, 11, 29, 10, 0, 0, milliseconds * 1000, tzinfo=timezone.utc))
    seen[milliseconds] = iso8601_to_datetime(text).microsecond // 1000
    print(f"{milliseconds} ms past ten is written {text} and read as {seen[milliseconds]} ms past ten")
duration = timedelta_to_iso8601(timedelta(seconds=1.5))
print("1.5 s is written", duration)

if seen != {1: 10, 5: 50, 50: 500, 123: 123} or duration != "PT1S":
    sys.exit("changed: fractions of a second are written in another way")
PYTHON
venv/bin/python run.py
