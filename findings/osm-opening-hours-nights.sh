#!/usr/bin/env bash
# osm-opening-hours: a bar is never open at night, and nothing from Friday to Monday or on "Mo,We".
#
# Expected: Fr 22:00-03:00 ends on Saturday; Fr-Mo goes over the end of the week, "Mo,We" are two days; a time of
# opening belongs to the hours (OpenStreetMap wiki, "Key:opening_hours", with all these forms). opening_hours.js, a
# second reader, says so.
# Seen: the end of a range is compared with the same day, so that nothing lies between 22:00 and 03:00. The days from
# Friday to Monday are a slice of a list from 4 to 1, which is empty. "mo,we" is kept as the name of one day. At 08:00
# a shop that opens at 08:00 is closed. None of this is an error.
#
# Versions: osm-opening-hours 0.1.1 with opening_hours 3.8.0 (npm), Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit opening_hours@3.8.0 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check osm-opening-hours==0.1.1
echo "osm-opening-hours 0.1.1, $(python3 --version), opening_hours 3.8.0, Node.js $(node --version)"
cat >run.py <<'PYTHON'
import subprocess

from osm_time.opening_hours import OpeningHours

# 30 November 2026 is a Monday
DAYS = {"mo": "2026-11-30", "we": "2026-12-02", "fr": "2026-12-04", "sa": "2026-12-05"}
CASES = (
    ("Mo-Fr 08:00-18:00", "we", "12:00"),
    ("Mo-Fr 08:00-18:00", "we", "08:00"),
    ("Mo,We 08:00-18:00", "we", "12:00"),
    ("Fr-Mo 08:00-18:00", "sa", "12:00"),
    ("Fr 22:00-03:00", "fr", "23:00"),
    ("Fr 22:00-03:00", "sa", "01:00"),
)
for value, day, time in CASES:
    command = ["node", "run.js", value, f"{DAYS[day]}T{time}:00"]
    true = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    seen = "open" if OpeningHours(value).is_open(day, time) else "closed"
    print(f"{value}, {day} {time}: {true}, by osm-opening-hours {seen}")
PYTHON
cat >run.js <<'SCRIPT'
const OpeningHours = require('opening_hours');

const [value, time] = process.argv.slice(2);
console.log(new OpeningHours(value).getState(new Date(time)) ? 'open' : 'closed');
SCRIPT
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "Mo-Fr 08:00-18:00, we 12:00: open, by osm-opening-hours open
Mo-Fr 08:00-18:00, we 08:00: open, by osm-opening-hours closed
Mo,We 08:00-18:00, we 12:00: open, by osm-opening-hours closed
Fr-Mo 08:00-18:00, sa 12:00: open, by osm-opening-hours closed
Fr 22:00-03:00, fr 23:00: open, by osm-opening-hours closed
Fr 22:00-03:00, sa 01:00: open, by osm-opening-hours closed" ]; then
    echo "changed: hours are read in another way" >&2
    exit 1
fi
