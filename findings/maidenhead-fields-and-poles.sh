#!/usr/bin/env bash
# maidenhead: at precision 1 the field is a wrong one, and near the north pole the locator is one of the south pole.
#
# Expected: a locator names the cell that holds the place, so that the short locator of a place is the beginning of the
# long one: 52.52, 13.405 is in JO, in JO62 and in JO62qm.
# Seen: to_maiden() at precision 1 says GQ for it, whose middle is 3,700 km away, and AA, the field at the south pole,
# for 0, 0. Of 648 places, two in each of the 324 fields, none has the right field. At the other precisions a place is
# rounded, not cut: 89.9999, 13.405 is JA60qa at precision 3, the default, which is at the south pole, and
# JR69qx89 at precision 4. That locators of two lengths can disagree by one cell for this reason is known
# (maidenhead#16).
#
# Version: maidenhead 1.8.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check maidenhead==1.8.0

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import maidenhead

print("maidenhead", version("maidenhead"))
seen = {}
for place in ((52.52, 13.405), (0.0, 0.0), (89.9999, 13.405)):
    seen[place] = [maidenhead.to_maiden(*place, precision) for precision in (1, 2, 3, 4)]
    corners = [maidenhead.to_location(locator)[0] for locator in seen[place]]
    print(place, *(f"{locator} from {south:.2f}" for locator, south in zip(seen[place], corners, strict=True)))

right = 0
for row in range(18):
    for column in range(18):
        for shift in (2.5, 7.5):
            place = (row * 10 - 90 + shift, column * 20 - 180 + 2 * shift)
            right += maidenhead.to_maiden(*place, 1) == chr(ord("A") + column) + chr(ord("A") + row)
print(f"right fields at precision 1: {right} of 648")

if right != 0 or seen != {
    (52.52, 13.405): ["GQ", "JO62", "JO62qm", "JO62qm84"],
    (0.0, 0.0): ["AA", "JJ00", "JJ00aa", "JJ00aa00"],
    (89.9999, 13.405): ["GA", "JA60", "JA60qa", "JR69qx89"],
}:
    sys.exit("changed: to_maiden() gives other locators")
PYTHON
venv/bin/python run.py
