#!/usr/bin/env bash
# iso6709: a height of 519.6 m is 519 m.
#
# Expected: in a location such as +48.1375+011.5755+519.6CRSWGS_84/ the height can have a decimal fraction, as latitude
# and longitude can (ISO 6709, Annex H, "Height or depth"). Phones write the place of a film so, in the tag
# com.apple.quicktime.location.ISO6709, with three digits.
# Seen: the height is cut at its point, without an error: 519.6 becomes 519, and -0.9 becomes -0. Latitude and longitude
# keep their fractions.
#
# Version: iso6709 0.1.5. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check iso6709==0.1.5
echo "iso6709 0.1.5, $(python3 --version)"
cat >run.py <<'PYTHON'
from iso6709 import Location

for height in ("+519/", "+519.6CRSWGS_84/", "-0.9CRSWGS_84/"):
    text = "+48.1375+011.5755" + height
    location = Location(text)
    print(text, round(location.lat.decimal, 4), round(location.lng.decimal, 4), location.alt)
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != '+48.1375+011.5755+519/ 48.1375 11.5755 519
+48.1375+011.5755+519.6CRSWGS_84/ 48.1375 11.5755 519
+48.1375+011.5755-0.9CRSWGS_84/ 48.1375 11.5755 -0' ]; then
    echo "changed: heights are read in another way" >&2
    exit 1
fi
