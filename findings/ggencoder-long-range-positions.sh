#!/usr/bin/env bash
# ggencoder: long-range AIS reports from south of the equator or west of Greenwich have no position.
#
# Expected: longitude (18 bits) and latitude (17 bits) of an AIS message of type 27 are signed, in tenths of a minute
# (ITU-R M.1371, "Long-range automatic identification system broadcast message"). Satellites receive this message.
# Seen: both are read without a sign, so that 33.9 south becomes more than 90 degrees. The message is then not
# valid and has no lat and lon, but an empty error. Of four ships, one in each quarter of the Earth, only the one in
# the north-east is read. Messages of type 1 from the same places are read rightly.
#
# Versions: ggencoder 1.0.10 beside pyais 3.3.1, which wrote the messages, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit ggencoder@1.0.10 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyais==3.3.1
cat >run.py <<'PYTHON'
from pyais import decode, encode_dict

for kind in (1, 27):
    for lat, lon in ((48.1, 11.5), (48.1, -11.5), (-33.9, 151.2), (-33.9, -70.2)):
        (line,) = encode_dict({"type": kind, "mmsi": "211000001", "lat": lat, "lon": lon, "speed": 12, "course": 90})
        again = decode(line).asdict()
        print(line, kind, round(again["lat"], 1), round(again["lon"], 1))
PYTHON
cat >run.js <<'SCRIPT'
const { AisDecode } = require('ggencoder');
for (const line of require('fs').readFileSync(0, 'utf8').trim().split('\n')) {
    const [sentence, kind, lat, lon] = line.split(' ');
    const read = new AisDecode(sentence);
    console.log(`type ${kind} at ${lat}, ${lon}: ${read.valid}, ${read.lat}, ${read.lon}, error "${read.error}"`);
}
SCRIPT
seen=$(venv/bin/python run.py | node run.js)
echo "$seen"
if [ "$seen" != 'type 1 at 48.1, 11.5: true, 48.1, 11.5, error ""
type 1 at 48.1, -11.5: true, 48.1, -11.5, error ""
type 1 at -33.9, 151.2: true, -33.9, 151.2, error ""
type 1 at -33.9, -70.2: true, -33.9, -70.2, error ""
type 27 at 48.1, 11.5: true, 48.1, 11.5, error ""
type 27 at 48.1, -11.5: false, undefined, undefined, error ""
type 27 at -33.9, 151.2: false, undefined, undefined, error ""
type 27 at -33.9, -70.2: false, undefined, undefined, error ""' ]; then
    echo "changed: positions of type 27 are read in another way" >&2
    exit 1
fi
