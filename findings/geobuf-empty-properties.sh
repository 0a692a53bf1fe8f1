#!/usr/bin/env bash
# geobuf: a feature without properties comes back as no valid feature, and an empty collection as null.
#
# Expected: what was encoded comes back. A Feature has a member "properties", an object or null, and a member
# "geometry", which may be null; a FeatureCollection may have no features (RFC 7946, 3.2 and 3.3). The package calls
# itself "lossless compression of GeoJSON".
# Seen: of {} and null for the properties, the member itself is left out, which RFC 7946 does not allow. A collection
# of no features comes back as null. A Feature whose geometry is null raises TypeError. Of the longitude 11.123456789
# is left 11.123457, since six digits are kept unless more are asked for.
#
# Versions: geobuf 2.0.1, protobuf 6.33.1. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check geobuf==2.0.1 protobuf==6.33.1

cat >run.py <<'PYTHON'
import json
import sys
from importlib.metadata import version

import geobuf

print("geobuf", version("geobuf"))
point = {"type": "Point", "coordinates": [11.123456789, 48.1]}
seen = []
for data in (
    {"type": "Feature", "properties": {"name": "A"}, "geometry": point},
    {"type": "Feature", "properties": {}, "geometry": point},
    {"type": "Feature", "properties": None, "geometry": point},
    {"type": "FeatureCollection", "features": []},
    {"type": "Feature", "properties": {"name": "A"}, "geometry": None},
):
    try:
        seen.append(json.dumps(geobuf.decode(geobuf.encode(data)), sort_keys=True))
    except TypeError as error:
        seen.append(type(error).__name__)
    print(f"{json.dumps(data)} becomes {seen[-1]}")

left = '"geometry": {"coordinates": [11.123457, 48.1], "type": "Point"}'
if seen != [
    '{%s, "properties": {"name": "A"}, "type": "Feature"}' % left,
    '{%s, "type": "Feature"}' % left,
    '{%s, "type": "Feature"}' % left,
    "null",
    "TypeError",
]:
    sys.exit("changed: features come back in another way")
PYTHON
venv/bin/python run.py
