#!/usr/bin/env bash
# justnow: the 31st of each month is an error, and Friday to Monday is Monday to Friday.
#
# Expected: *-*-31 is the 31st of those months that have one (systemd.time(7), "Calendar Events"; systemd-analyze
# calendar goes from 31 January to 31 March). A range of weekdays has two names, and fri..mon is four days, or refused,
# as systemd 252 does. The README has days as two digits and ranges as two names.
# Seen: at the first month without that day "day is out of range for month" is raised: for *-*-31 and *-*-30 in
# February, though *-*-29 passes over a February of 28 days. The ends of fri..mon are sorted, so that Tuesday is in and
# Saturday is not. Asking an event of one date for two raises RuntimeError.
#
# Versions: justnow 0.1.4, lark 1.2.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check justnow==0.1.4 lark==1.2.2
echo "justnow 0.1.4, lark 1.2.2, $(python3 --version)"
cat >run.py <<'PYTHON'
import datetime

from justnow.parser import EventParser

start = datetime.datetime(2026, 12, 30)
for event, count in (
    ("*-*-29 00:00:00", 3),
    ("*-*-30 00:00:00", 2),
    ("*-*-30 00:00:00", 3),
    ("*-*-31 00:00:00", 2),
    ("*-*-31 00:00:00", 3),
    ("sat..sun *-*-* 00:00:00", 4),
    ("fri..mon *-*-* 00:00:00", 4),
    ("2027-01-01 00:00:00", 1),
    ("2027-01-01 00:00:00", 2),
):
    try:
        seen = ", ".join(f"{date:%a %d.%m.}" for date in EventParser(event, start).get_next_n(limit=count))
    except Exception as error:
        seen = f"{type(error).__name__}: {error}"
    print(f"{event}, {count} times: {seen}")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != '*-*-29 00:00:00, 3 times: Fri 29.01., Mon 29.03., Thu 29.04.
*-*-30 00:00:00, 2 times: Wed 30.12., Sat 30.01.
*-*-30 00:00:00, 3 times: ValueError: day is out of range for month
*-*-31 00:00:00, 2 times: Thu 31.12., Sun 31.01.
*-*-31 00:00:00, 3 times: ValueError: day is out of range for month
sat..sun *-*-* 00:00:00, 4 times: Sat 02.01., Sun 03.01., Sat 09.01., Sun 10.01.
fri..mon *-*-* 00:00:00, 4 times: Wed 30.12., Thu 31.12., Fri 01.01., Mon 04.01.
2027-01-01 00:00:00, 1 times: Fri 01.01.
2027-01-01 00:00:00, 2 times: RuntimeError: generator raised StopIteration' ]; then
    echo "changed: events come in another way" >&2
    exit 1
fi
