#!/usr/bin/env bash
# shapefile-to-geojson: "12 Elm Street" becomes 12, "007" becomes 7, and the second of two islands a hole.
#
# Expected: the type of a column stands in the .dbf file, C for text (dBASE III file structure). The parts of a polygon
# are rings, of which those that go clockwise are outer rims (ESRI Shapefile Technical Description, "Polygon"); several
# rims are a MultiPolygon, and a record without a shape has the geometry null (RFC 7946, 3.1.6, 3.1.7 and 3.2). pyshp,
# which wrote the file, gives that.
# Seen: the type is read but not used: each value goes through parseFloat(), which takes the number at the front of any
# text; 1e3, a name, becomes 1000. All rings of a polygon are put into one Polygon, where each but the first is a hole.
# A record without a shape has the geometry {}, which is no GeoJSON.
#
# Versions: shapefile-to-geojson 1.0.1 with pyshp 3.1.6, Node.js 20. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit shapefile-to-geojson@1.0.1 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyshp==3.1.6
echo "shapefile-to-geojson 1.0.1, Node.js $(node --version), pyshp 3.1.6"
cat >run.py <<'PYTHON'
import json

import shapefile


def square(west):
    return [[west, 0], [west, 1], [west + 1, 1], [west + 1, 0], [west, 0]]


with shapefile.Writer("areas", shapeType=shapefile.POLYGON) as writer:
    writer.field("ADDRESS", "C", 20)
    writer.field("REF", "C", 8)
    writer.poly([square(0), square(2)])
    writer.record("12 Elm Street", "007")
    writer.null()
    writer.record("3rd Avenue", "1e3")
with shapefile.Reader("areas") as reader:
    for one in reader.shapeRecords():
        kind = one.shape.__geo_interface__ if one.shape.points else {"type": "none"}
        print("pyshp:", json.dumps({"type": kind["type"], **one.record.as_dict()}))
PYTHON
cat >run.js <<'SCRIPT'
const { parseFiles } = require('shapefile-to-geojson');

parseFiles('areas.shp', 'areas.dbf').then(({ features }) => {
    for (const { geometry, properties } of features) {
        const holes = geometry.coordinates && geometry.coordinates.length - 1;
        console.log(`shapefile-to-geojson: ${geometry.type}, ${holes} holes,`, JSON.stringify(properties));
    }
});
SCRIPT
seen=$(venv/bin/python run.py && node run.js)
echo "$seen"
if [ "$seen" != 'pyshp: {"type": "MultiPolygon", "ADDRESS": "12 Elm Street", "REF": "007"}
pyshp: {"type": "none", "ADDRESS": "3rd Avenue", "REF": "1e3"}
shapefile-to-geojson: Polygon, 1 holes, {"ADDRESS":12,"REF":7}
shapefile-to-geojson: undefined, undefined holes, {"ADDRESS":3,"REF":1000}' ]; then
    echo "changed: texts or rings are read in another way" >&2
    exit 1
fi
