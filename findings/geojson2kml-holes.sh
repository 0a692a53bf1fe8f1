#!/usr/bin/env bash
# geojson2kml: the hole of a polygon becomes a part of its rim, and whole degrees are an error.
#
# Expected: the rings behind the first one of a polygon are its holes (RFC 7946, 3.1.6), for which KML has
# innerBoundaryIs (OGC KML 2.3, kml:Polygon). Numbers of a position can be written without a fraction (RFC 8259, 6).
# Seen: all rings are written one behind the other into outerBoundaryIs: ten points in one ring, which crosses itself,
# and the hole is gone. A position such as [11, 48] raises TypeError, as the type of its first number is compared with
# float.
#
# Versions: geojson2kml 0.2.0, simplekml 1.3.6, geojson 3.2.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check geojson2kml==0.2.0 simplekml==1.3.6 geojson==3.2.0
echo "geojson2kml 0.2.0, simplekml 1.3.6, geojson 3.2.0, $(python3 --version)"
cat >run.py <<'PYTHON'
import json
import re
from pathlib import Path

from geojson2kml import convert_file

OUTER = [[11.0, 48.0], [11.9, 48.0], [11.9, 48.9], [11.0, 48.9], [11.0, 48.0]]
HOLE = [[11.4, 48.4], [11.4, 48.5], [11.5, 48.5], [11.5, 48.4], [11.4, 48.4]]


def convert(name, kind, coordinates):
    geometry = {"type": kind, "coordinates": coordinates}
    Path("area.geojson").write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": geometry}))
    try:
        text = Path(convert_file("area.geojson", ".")).read_text()
    except TypeError as error:
        print(f"{name}: TypeError: {error}")
        return
    rings = [len(ring.split()) for ring in re.findall(r"<coordinates>(.*?)</coordinates>", text, re.DOTALL)]
    print(f"{name}: points of each ring: {rings}, holes: {text.count('<innerBoundaryIs>')}")


convert("polygon", "Polygon", [OUTER])
convert("polygon with a hole", "Polygon", [OUTER, HOLE])
convert("point 11.5, 48.5", "Point", [11.5, 48.5])
convert("point 11, 48", "Point", [11, 48])
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != "polygon: points of each ring: [5], holes: 0
polygon with a hole: points of each ring: [10], holes: 0
point 11.5, 48.5: points of each ring: [1], holes: 0
point 11, 48: TypeError: 'int' object is not subscriptable" ]; then
    echo "changed: polygons are written in another way" >&2
    exit 1
fi
