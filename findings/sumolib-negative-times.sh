#!/usr/bin/env bash
# sumolib: an hour before the start is read back as an hour after it, and fractions of a second are cut off.
#
# Expected: parseTime() reads what humanReadableTime() of the same module writes: DD:HH:MM:SS with a leading minus for
# negative times (parseTime() looks for the minus, too).
# Seen: the minus is taken once with the first part and once for the whole: -01:00:00 is +3600 s, -01:30:00 is
# +1800 s, -1:01:01:01 is +82,739 s, while -00:30:00 is -1800 s. humanReadableTime() also cuts 59.7 s down to 59 s.
#
# Version: sumolib 1.28.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check sumolib==1.28.0

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from sumolib.miscutils import humanReadableTime, parseTime

print("sumolib", version("sumolib"))
seen = {}
for seconds in (3600, 90061, -1800, -3600, -5400, -90061, 59.7):
    text = humanReadableTime(seconds)
    seen[seconds] = (text, parseTime(text))
    print(f"{seconds} s is written {text} and read as {seen[seconds][1]:g} s")

if seen != {
    3600: ("01:00:00", 3600),
    90061: ("1:01:01:01", 90061),
    -1800: ("-00:30:00", -1800),
    -3600: ("-01:00:00", 3600),
    -5400: ("-01:30:00", 1800),
    -90061: ("-1:01:01:01", 82739),
    59.7: ("00:00:59", 59),
}:
    sys.exit("changed: times are written or read in another way")
PYTHON
venv/bin/python run.py
