#!/usr/bin/env bash
# rrule-humanize: "the first Monday of each month", "its last Friday" and "its last day" are all "Every month".
#
# Expected: BYDAY=1MO is the first Monday of the month, BYDAY=-1FR its last Friday, BYMONTHDAY=-1 its last day (RFC
# 5545, 3.3.10). humanize() takes "a valid RRULE string following RFC 5545" (docstring).
# Seen: weekdays with a number and days counted from the end are left out without a word, also beside others: the 1st
# and the last day is the 1st. The summer time of Europe begins "in March". A rule without a day names the weekday of
# today, though its start, given as the second argument, is a Wednesday.
#
# Versions: rrule-humanize 0.1.0 with python-dateutil 2.9.0.post0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check rrule-humanize==0.1.0 python-dateutil==2.9.0.post0
echo "rrule-humanize 0.1.0, python-dateutil 2.9.0.post0, $(python3 --version)"
cat >run.py <<'PYTHON'
from datetime import date

from rrule_humanize import humanize

for rule in (
    "FREQ=MONTHLY;BYDAY=1MO",
    "FREQ=MONTHLY;BYDAY=-1FR",
    "FREQ=MONTHLY;BYMONTHDAY=-1",
    "FREQ=MONTHLY;BYMONTHDAY=1,-1",
    "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
):
    print(f"{rule}: {humanize(rule)}")
start = humanize("FREQ=WEEKLY", "20261202T080000Z")
print(start.replace(f"on {date.today():%A}", "on the weekday of today"))
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'FREQ=MONTHLY;BYDAY=1MO: Every month
FREQ=MONTHLY;BYDAY=-1FR: Every month
FREQ=MONTHLY;BYMONTHDAY=-1: Every month
FREQ=MONTHLY;BYMONTHDAY=1,-1: Every month, on the 1st
FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU: Every year, in March
Every week starting December 2, 2026 at 08:00 UTC, on the weekday of today' ]; then
    echo "changed: rules are told in another way" >&2
    exit 1
fi
