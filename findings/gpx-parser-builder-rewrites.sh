#!/usr/bin/env bash
# gpx-parser-builder: reading and writing a track changes names and cuts times to seconds.
#
# Expected: the name of a waypoint or track is text, and the time of a point may have fractions of a second (GPX 1.1
# schema, xsd:string and xsd:dateTime), so that what is read and written again is the same.
# Seen: waypoint 007 is 7 afterwards, track 1e3 is 1000 and track 0x10 is 16, since all that looks like a number is
# made one. Points at 00.250 and 00.500 seconds are both at 00 when written, so that every speed between points of a
# receiver with 4 Hz is infinite or zero. The times that are read are right.
#
# Version: gpx-parser-builder 1.2.0, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit gpx-parser-builder@1.2.0 >/dev/null
cat >before.gpx <<'GPX'
<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="hand" xmlns="http://www.topografix.com/GPX/1/1">
  <wpt lat="48" lon="11"><name>007</name></wpt>
  <trk>
    <name>1e3</name>
    <trkseg>
      <trkpt lat="48" lon="11.0001"><time>2026-01-01T12:00:00.250Z</time></trkpt>
      <trkpt lat="48" lon="11.0002"><time>2026-01-01T12:00:00.500Z</time></trkpt>
    </trkseg>
  </trk>
  <trk>
    <name>0x10</name>
    <trkseg/>
  </trk>
</gpx>
GPX
cat >run.js <<'SCRIPT'
const fs = require('fs');
const loaded = require('gpx-parser-builder');
const GPX = loaded.default || loaded;

fs.writeFileSync('after.gpx', GPX.parse(fs.readFileSync('before.gpx', 'utf8')).toString());
SCRIPT
node run.js
show() {
    grep -oE '<(name|time)>[^<]*' "$1" | sed 's/.*>//' | paste -sd ' ' -
}
before=$(show before.gpx)
after=$(show after.gpx)
echo "before: $before"
echo "after:  $after"
if [ "$after" != "7 1000 2026-01-01T12:00:00Z 2026-01-01T12:00:00Z 16" ]; then
    echo "changed: names or times are written in another way" >&2
    exit 1
fi
