#!/usr/bin/env bash
# pynmea2: the local time of zones such as -3:30 is an hour late.
#
# Expected: the last field of a ZDA sentence holds the minutes of the local zone, 00 to 59, with the sign of the
# hours (NMEA 0183; pynmea2's own comment says "same sign as hours"): -03,30 is 3 h 30 min, as in
# Newfoundland, and 08:27:10 UTC is 04:57:10 there. The gps package for Node.js says -210 minutes.
# Seen: the minutes are added to the negative hours, which gives -2:30 and 05:57:10. Zones with a positive half
# hour, such as +05,30, are right.
#
# Versions: pynmea2 1.19.0 beside gps 0.9.0, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit gps@0.9.0 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pynmea2==1.19.0
cat >sentences <<'NMEA'
$GPZDA,082710.00,16,09,2026,05,30*64
$GPZDA,082710.00,16,09,2026,-03,30*4F
NMEA
cat >run.py <<'PYTHON'
from pathlib import Path

import pynmea2

for line in Path("sentences").read_text().splitlines():
    local = pynmea2.parse(line, check=True).localdatetime
    print("pynmea2", local.strftime("%H:%M:%S"), round(local.utcoffset().total_seconds() / 60))
PYTHON
cat >run.js <<'SCRIPT'
const GPS = require('gps');
for (const line of require('fs').readFileSync('sentences', 'utf8').trim().split('\n')) {
    const read = GPS.Parse(line);
    console.log('gps', read.valid, read.offsetMin);
}
SCRIPT
seen=$(venv/bin/python run.py && node run.js)
echo "$seen"
if [ "$seen" != "pynmea2 13:57:10 330
pynmea2 05:57:10 -150
gps true 330
gps true -210" ]; then
    echo "changed: the zone of ZDA is read in another way" >&2
    exit 1
fi
