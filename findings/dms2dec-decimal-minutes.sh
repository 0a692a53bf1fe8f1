#!/usr/bin/env bash
# dms2dec: 30.5 minutes count as 30 minutes and 5 seconds, and a minus in front as nothing.
#
# Expected: a position in degrees and decimal minutes, as receivers and NMEA give it, is read as such: 12°30.5'S is
# -12.508333; where no letter is given, negative degrees are south or west (ISO 6709). A text of another form is
# refused.
# Seen: what stands behind the second point or sign, whatever it is, counts as the next unit. 12°30.5'S is read as
# 12°30'5", half a kilometre and more away, 12.5°S as 12°5', 46 km away, and -12°30'0" as +12.5. The seconds, which are
# the form that the README shows, are right.
#
# Versions: dms2dec 0.1 beside lat-lon-parser 1.3.1. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dms2dec==0.1 lat-lon-parser==1.3.1

cat >run.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")

import lat_lon_parser
from dms2dec.dms_convert import dms2dec

print("dms2dec", version("dms2dec"), "lat-lon-parser", version("lat-lon-parser"))
seen = {}
for text in ("36°44'47.69\"N", "12°30.5'S", "12.5°S", "-12°30'0\""):
    true = lat_lon_parser.parse(text)
    seen[text] = round(dms2dec(text), 6)
    away = abs(seen[text] - true) * 111.2
    print(f"{text}: {seen[text]}, by lat-lon-parser {true:.6f}, {away:.2f} km apart")

if seen != {"36°44'47.69\"N": 36.746581, "12°30.5'S": -12.501389, "12.5°S": -12.083333, "-12°30'0\"": 12.5}:
    sys.exit("changed: positions are read in another way")
PYTHON
venv/bin/python run.py
