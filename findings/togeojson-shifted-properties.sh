#!/usr/bin/env bash
# togeojson: times of GPX and heart rates of TCX move to other points if the first points have none.
#
# Expected: coordinateProperties holds one value for each coordinate, so that the value at a place in the list belongs
# to the coordinate at that place. In GPX the time of a point is optional, in TCX its heart rate. For heart rates of
# GPX a missing value is null in the list, since Mapbox's togeojson#129.
# Seen: a track whose first of three points has no time has two times, and the first of them is at the first point. If
# the first of two segments has no times, the times of the second are in the place of the first. In the same way
# two heart rates of a TCX lap are at the first two of its three points.
#
# Versions: @tmcw/togeojson 7.1.3 with @xmldom/xmldom 0.9.12, Node.js 20. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit @tmcw/togeojson@7.1.3 @xmldom/xmldom@0.9.12 >/dev/null
cat >tracks.gpx <<'GPX'
<gpx version="1.1" creator="hand" xmlns="http://www.topografix.com/GPX/1/1">
  <trk>
    <trkseg>
      <trkpt lat="48" lon="11.1"/>
      <trkpt lat="48" lon="11.2"><time>2026-01-01T12:00:02Z</time></trkpt>
      <trkpt lat="48" lon="11.3"><time>2026-01-01T12:00:03Z</time></trkpt>
    </trkseg>
  </trk>
  <trk>
    <trkseg>
      <trkpt lat="48" lon="11.1"/>
      <trkpt lat="48" lon="11.2"/>
    </trkseg>
    <trkseg>
      <trkpt lat="48" lon="11.3"><time>2026-01-01T12:00:03Z</time></trkpt>
      <trkpt lat="48" lon="11.4"><time>2026-01-01T12:00:04Z</time></trkpt>
    </trkseg>
  </trk>
</gpx>
GPX
cat >lap.tcx <<'TCX'
<TrainingCenterDatabase xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2">
  <Activities>
    <Activity Sport="Running">
      <Id>2026-01-01T12:00:01Z</Id>
      <Lap StartTime="2026-01-01T12:00:01Z">
        <TotalTimeSeconds>2</TotalTimeSeconds>
        <DistanceMeters>0</DistanceMeters>
        <Calories>0</Calories>
        <Intensity>Active</Intensity>
        <TriggerMethod>Manual</TriggerMethod>
        <Track>
          <Trackpoint>
            <Time>2026-01-01T12:00:01Z</Time>
            <Position><LatitudeDegrees>48</LatitudeDegrees><LongitudeDegrees>11.1</LongitudeDegrees></Position>
          </Trackpoint>
          <Trackpoint>
            <Time>2026-01-01T12:00:02Z</Time>
            <Position><LatitudeDegrees>48</LatitudeDegrees><LongitudeDegrees>11.2</LongitudeDegrees></Position>
            <HeartRateBpm><Value>102</Value></HeartRateBpm>
          </Trackpoint>
          <Trackpoint>
            <Time>2026-01-01T12:00:03Z</Time>
            <Position><LatitudeDegrees>48</LatitudeDegrees><LongitudeDegrees>11.3</LongitudeDegrees></Position>
            <HeartRateBpm><Value>103</Value></HeartRateBpm>
          </Trackpoint>
        </Track>
      </Lap>
    </Activity>
  </Activities>
</TrainingCenterDatabase>
TCX
cat >run.mjs <<'SCRIPT'
import { readFileSync } from 'node:fs';
import { gpx, tcx } from '@tmcw/togeojson';
import { DOMParser } from '@xmldom/xmldom';

for (const [file, read, name] of [['tracks.gpx', gpx, 'times'], ['lap.tcx', tcx, 'heart']]) {
    for (const feature of read(new DOMParser().parseFromString(readFileSync(file, 'utf8'), 'text/xml')).features) {
        const values = JSON.stringify(feature.properties.coordinateProperties[name]).replaceAll('2026-01-01T12:', '');
        console.log(JSON.stringify(feature.geometry.coordinates), name, values);
    }
}
SCRIPT
seen=$(node run.mjs)
echo "$seen"
if [ "$seen" != '[[11.1,48],[11.2,48],[11.3,48]] times ["00:02Z","00:03Z"]
[[[11.1,48],[11.2,48]],[[11.3,48],[11.4,48]]] times [["00:03Z","00:04Z"]]
[[11.1,48],[11.2,48],[11.3,48]] heart [102,103]' ]; then
    echo "changed: values of points are listed in another way" >&2
    exit 1
fi
