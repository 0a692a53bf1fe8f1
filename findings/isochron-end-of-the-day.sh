#!/usr/bin/env bash
# isochron: 24:00 of a day is read as 00:00 of the same day, so that an interval ends before it begins.
#
# Expected: 24:00:00 is the end of a calendar day, the same moment as 00:00:00 of the next one (ISO 8601:2004, 4.2.3;
# RFC 3339, appendix A; dateutil reads it so).
# Seen: parse_datetime() gives midnight at the beginning of the day, 24 hours early, in all forms, and parse_interval()
# an evening of minus 20 hours. Hour 24 is accepted on purpose, and only as 24:00:00.
#
# Versions: isochron 0.1.0 with python-dateutil 2.9.0.post0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check isochron==0.1.0 python-dateutil==2.9.0.post0
echo "isochron 0.1.0, python-dateutil 2.9.0.post0, $(python3 --version)"
cat >run.py <<'PYTHON'
from dateutil.parser import isoparse
from isochron import parse_datetime, parse_interval

for text in ("2026-11-30T24:00:00Z", "2026-11-30T24:00+01:00", "20261231T240000Z"):
    print(f"{text}: {parse_datetime(text)}, by dateutil {isoparse(text)}")
evening = parse_interval("2026-11-30T20:00Z/2026-11-30T24:00Z")
print("an evening of", (evening.end - evening.start).total_seconds() / 3600, "hours")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != '2026-11-30T24:00:00Z: 2026-11-30 00:00:00+00:00, by dateutil 2026-12-01 00:00:00+00:00
2026-11-30T24:00+01:00: 2026-11-30 00:00:00+01:00, by dateutil 2026-12-01 00:00:00+01:00
20261231T240000Z: 2026-12-31 00:00:00+00:00, by dateutil 2027-01-01 00:00:00+00:00
an evening of -20.0 hours' ]; then
    echo "changed: the end of a day is read in another way" >&2
    exit 1
fi
