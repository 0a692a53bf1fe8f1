#!/usr/bin/env bash
# fastkml: a line of which one point has an altitude and another has none disappears.
#
# Expected: the altitude of each point in <coordinates> is optional (OGC KML 2.2, kml:coordinates).
# Seen: such a line is read without an error, though reading is strict by default, but its geometry is None, and
# writing leaves it out: the Placemark is empty. A line with altitudes at all points, or at none, is kept.
#
# Version: fastkml 1.4.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check fastkml==1.4.0

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from fastkml import KML

print("fastkml", version("fastkml"))
seen = {}
for coordinates in ("11.1,48.1 11.2,48.2", "11.1,48.1,500 11.2,48.2,500", "11.1,48.1 11.2,48.2,500"):
    text = f"""<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark>
        <LineString><coordinates>{coordinates}</coordinates></LineString>
    </Placemark></Document></kml>"""
    kml = KML.from_string(text)
    geometry = kml.features[0].features[0].geometry
    seen[coordinates] = (geometry is not None, "LineString" in kml.to_string())
    print(f"{coordinates} becomes {geometry}, written again: {seen[coordinates][1]}")

if list(seen.values()) != [(True, True), (True, True), (False, False)]:
    sys.exit("changed: points with and without altitude are read in another way")
PYTHON
venv/bin/python run.py
