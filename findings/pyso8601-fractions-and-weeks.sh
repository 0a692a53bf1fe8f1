#!/usr/bin/env bash
# PySO8601: half a second is 5 microseconds, and Sunday of week 48 is a Saturday six days later.
#
# Expected: a fraction is a decimal fraction of a second, .5 and .500 being the same; a week has its number by ISO 8601,
# whose first week holds the first Thursday, and 1 is Monday (ISO 8601-1, 5.3.1.4 and 4.2.2). The README says that any
# valid ISO 8601 string is accepted, with week dates as its example. Python's date.fromisocalendar() has the weeks
# right.
# Seen: the digits are taken for microseconds: .5 is 5 and .250 is 250 of them. Weeks are counted from the first Sunday
# of the year, and days from Sunday: 2026-W48-7 is 5 December instead of 29 November. 2026-W48 without a day is 1
# January. No year is right: the README's own example, day 2 of week 5 of 2010, is 1 February, a Monday.
#
# Version: PySO8601 0.2.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check PySO8601==0.2.0
echo "PySO8601 0.2.0, $(python3 --version)"
cat >run.py <<'PYTHON'
import datetime
import warnings

warnings.simplefilter("ignore", SyntaxWarning)
import PySO8601

for text in ("2026-11-30T10:00:00.5", "2026-11-30T10:00:00.250", "2026-11-30T10:00:00.500000"):
    print(text, PySO8601.parse(text).microsecond)
for year, week, day in ((2026, 48, 7), (2026, 48, 1), (2024, 1, 1), (2023, 48, 1), (2010, 5, 2)):
    text = f"{year}-W{week:02}-{day}"
    print(text, PySO8601.parse(text).date(), datetime.date.fromisocalendar(year, week, day))
print("2026-W48", PySO8601.parse("2026-W48").date())
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != '2026-11-30T10:00:00.5 5
2026-11-30T10:00:00.250 250
2026-11-30T10:00:00.500000 500000
2026-W48-7 2026-12-05 2026-11-29
2026-W48-1 2026-11-29 2026-11-23
2024-W01-1 2024-01-07 2024-01-01
2023-W48-1 2023-11-26 2023-11-27
2010-W05-2 2010-02-01 2010-02-02
2026-W48 2026-01-01' ]; then
    echo "changed: fractions or weeks are read in another way" >&2
    exit 1
fi
