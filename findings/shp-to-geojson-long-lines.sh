#!/usr/bin/env bash
# shp-to-geojson: a line of 32768 points or more is empty, and the height of a point is the longitude of the next.
#
# Expected: the numbers of parts and points of a shape are integers of 4 bytes; of a PolyLineZ the heights stand behind
# all points, in an array of their own (ESRI Shapefile Technical Description, "PolyLine" and "PolyLineZ"). pyshp, which
# wrote the files, reads them so.
# Seen: of the number of points two bytes are read, with a sign: a coastline of 40000 points has none, without an error,
# while one of 30000 is right, and of 70000 the first 4464 are left. Heights are read eight bytes behind each point, as
# if they stood there: of the points at 520, 530 and 540 m the first two have the heights 11.6 and 11.7, the longitudes
# of the points behind them, and the third has 520, the lower end of the range of heights.
#
# Versions: shp-to-geojson 1.1.0 with pyshp 3.1.6, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit shp-to-geojson@1.1.0 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyshp==3.1.6
echo "shp-to-geojson 1.1.0, Node.js $(node --version), pyshp 3.1.6"
cat >run.py <<'PYTHON'
import shapefile

COUNTS = (30000, 40000, 70000)
with shapefile.Writer("coast", shapeType=shapefile.POLYLINE) as writer:
    writer.field("COUNT", "N", 6)
    for count in COUNTS:
        writer.line([[[step / 1000, step / 2000] for step in range(count)]])
        writer.record(count)
with shapefile.Writer("climb", shapeType=shapefile.POLYLINEZ) as writer:
    writer.field("REF", "C", 4)
    writer.linez([[[11.5, 48.1, 520], [11.6, 48.2, 530], [11.7, 48.3, 540]]])
    writer.record("A")
with shapefile.Reader("coast") as reader:
    print("pyshp:", [len(shape.points) for shape in reader.shapes()])
with shapefile.Reader("climb") as reader:
    (shape,) = reader.shapes()
    print("pyshp:", [[*point[:2], height] for point, height in zip(shape.points, shape.z)])
PYTHON
cat >run.mjs <<'SCRIPT'
import { readFileSync } from 'node:fs';
import ShpToGeoJson from 'shp-to-geojson/dist/shp-to-geojson.browser.js';

const lines = (name) => {
    const [shpBuffer, dbfBuffer] = ['shp', 'dbf'].map((kind) => readFileSync(`${name}.${kind}`));
    const { features } = new ShpToGeoJson({ arraybuffers: { shpBuffer, dbfBuffer } }).getGeoJson();
    return features.map(({ geometry }) => geometry.coordinates);
};
console.log('shp-to-geojson:', JSON.stringify(lines('coast').map((line) => line.length)));
console.log('shp-to-geojson:', JSON.stringify(lines('climb')[0]));
SCRIPT
seen=$(venv/bin/python run.py && node run.mjs)
echo "$seen"
if [ "$seen" != 'pyshp: [30000, 40000, 70000]
pyshp: [[11.5, 48.1, 520.0], [11.6, 48.2, 530.0], [11.7, 48.3, 540.0]]
shp-to-geojson: [30000,0,4464]
shp-to-geojson: [[11.5,48.1,11.6],[11.6,48.2,11.7],[11.7,48.3,520]]' ]; then
    echo "changed: lines or heights are read in another way" >&2
    exit 1
fi
