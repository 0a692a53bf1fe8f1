#!/usr/bin/env bash
# isodate: a year less a month is written as minus a year and a month.
#
# Expected: parse_duration() reads the duration that duration_isoformat() wrote, or the latter fails. ISO 8601-2 has a
# sign for each part, P1Y-1M; isoduration writes and reads it so.
# Seen: Duration(years=1) - Duration(months=1) added to 2026-01-01 is 2026-12-01, as it should. It is written as -P1Y1M,
# which added is 2024-12-01: the sign of one part goes to all. A month less a day is written as -P1M1D.
#
# Versions: isodate 0.7.2 beside isoduration 20.11.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check isodate==0.7.2 isoduration==20.11.0

cat >run.py <<'PYTHON'
import sys
from datetime import datetime, timedelta

from isodate import Duration, duration_isoformat, parse_duration
from isoduration import format_duration
from isoduration import parse_duration as other_parse_duration

start = datetime(2026, 1, 1)
seen = {}
for duration in (Duration(years=1) - Duration(months=1), Duration(months=1) - timedelta(days=1)):
    text = duration_isoformat(duration)
    seen[text] = (f"{start + duration:%Y-%m-%d}", f"{start + parse_duration(text):%Y-%m-%d}")
    print(f"isodate: a duration that leads to {seen[text][0]} is written {text}, which leads to {seen[text][1]}")
for text in ("P1Y-1M", "P1M-1D"):
    duration = other_parse_duration(text)
    print(f"isoduration: {text} leads to {start + duration:%Y-%m-%d}, and is written {format_duration(duration)}")

if seen != {"-P1Y1M": ("2026-12-01", "2024-12-01"), "-P1M1D": ("2026-01-31", "2025-11-30")}:
    sys.exit("changed: durations of mixed signs are written in another way")
PYTHON
venv/bin/python run.py
