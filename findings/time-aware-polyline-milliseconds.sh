#!/usr/bin/env bash
# time-aware-polyline: a fix with half a second moves itself by 21 s, and the next one by 41 s.
#
# Expected: the times are kept to the second; the library of the same authors for Python writes the same track and
# reads every time right, with the milliseconds cut off. Nothing asks for whole seconds, and what phones report has
# milliseconds.
# Seen: of 10:00:00, 10:00:10.500 and 10:00:20 are read again 10:00:00, 09:59:49 and 09:59:39. With 10.001 the second
# time is right and the third is 10:00:00. The difference in seconds is shifted as an integer, but not cut to one
# before its lowest bits are taken.
#
# Versions: time-aware-polyline 0.2.2 (npm) beside 0.1.2 (pip), Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit time-aware-polyline@0.2.2 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check time-aware-polyline==0.1.2
cat >run.js <<'SCRIPT'
const { TimeAwareEncoder } = require('time-aware-polyline');
const encoder = new TimeAwareEncoder();
for (const rest of ['000', '001', '500']) {
    const track = encoder.encodeTimeAwarePolyline([
        [48.1, 11.5, '2026-11-29T10:00:00.000Z'],
        [48.2, 11.6, `2026-11-29T10:00:10.${rest}Z`],
        [48.3, 11.7, '2026-11-29T10:00:20.000Z'],
    ]);
    console.log('npm', rest, ...encoder.decodeTimeAwarePolyline(track).map((fix) => fix[2].slice(11, 19)));
}
SCRIPT
cat >run.py <<'PYTHON'
from time_aware_polyline import decode_time_aware_polyline, encode_time_aware_polyline

for rest in ("000", "001", "500"):
    track = encode_time_aware_polyline([
        [48.1, 11.5, "2026-11-29T10:00:00.000Z"],
        [48.2, 11.6, f"2026-11-29T10:00:10.{rest}Z"],
        [48.3, 11.7, "2026-11-29T10:00:20.000Z"],
    ])
    print("pip", rest, *(fix[2][11:19] for fix in decode_time_aware_polyline(track)))
PYTHON
seen=$(venv/bin/python run.py && node run.js)
echo "$seen"
if [ "$seen" != "pip 000 10:00:00 10:00:10 10:00:20
pip 001 10:00:00 10:00:10 10:00:20
pip 500 10:00:00 10:00:10 10:00:20
npm 000 10:00:00 10:00:10 10:00:20
npm 001 10:00:00 10:00:10 10:00:00
npm 500 10:00:00 09:59:49 09:59:39" ]; then
    echo "changed: times are written or read in another way" >&2
    exit 1
fi
