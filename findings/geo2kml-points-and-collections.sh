#!/usr/bin/env bash
# geo2kml: no point can be written, and collections of geometries are left out.
#
# Expected: to_kml() converts from GeoJSON; Point, MultiPoint and GeometryCollection are among its types (docstring of
# WrongFormatGeoJson). The coordinates of a point are numbers, and a collection has geometries instead of coordinates
# (RFC 7946, 3.1.2 and 3.1.8).
# Seen: a point raises TypeError, "expected str instance, float found", as its numbers are joined as if they were texts;
# so does MultiPoint. A collection, which is valid only if it has a member GeometryCollection, becomes an empty
# Document. Lines and polygons are right.
#
# Version: geo2kml 0.0.3. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check geo2kml==0.0.3
echo "geo2kml 0.0.3, $(python3 --version)"
cat >run.py <<'PYTHON'
from geo2kml import to_kml

LINE = {"type": "LineString", "coordinates": [[11.5, 48.1], [11.6, 48.2]]}
for geometry in (
    LINE,
    {"type": "Point", "coordinates": [11.5, 48.1]},
    {"type": "MultiPoint", "coordinates": [[11.5, 48.1], [11.6, 48.2]]},
    {"type": "GeometryCollection", "geometries": [LINE]},
):
    try:
        text = to_kml({"type": "Feature", "properties": {}, "geometry": geometry})
        seen = text.split("<Document>")[1].split("</Document>")[0].replace("\n", " ")
    except Exception as error:
        seen = f"{type(error).__name__}: {error}"
    print(f"{geometry['type']}: {seen}")
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'LineString: <Placemark><LineString><coordinates>11.5,48.1 11.6,48.2</coordinates></LineString></Placemark>
Point: TypeError: sequence item 0: expected str instance, float found
MultiPoint: TypeError: sequence item 0: expected str instance, float found
GeometryCollection: ' ]; then
    echo "changed: points or collections are written in another way" >&2
    exit 1
fi
