#!/usr/bin/env bash
# rangeset: &= leaves rubbish in every other name of the same ranges, and ranges that touch after ^ have
# holes.
#
# Expected: a RangeSet "does not support setting values", so that a &= b gives a new one and leaves the old
# one to whoever holds it; "in" agrees with the ranges that are printed.
# Seen: &= puts the ends of the other into the list of the old one: of 1 -- 10, cut with 3 -- 5, the other
# holder sees 1 -- 3, 5 -- 10, which is just what was cut off. The ranges 10 -- 13 and 13 -- 17 that ^ gives
# are not joined, and 13.5 is in neither of them. No RangeSet can be in a set or be a key: hash() raises
# TypeError.
#
# Versions: rangeset 0.0.15 with sortedcontainers 2.4.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check rangeset==0.0.15 sortedcontainers==2.4.0

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from rangeset import RangeSet

print("rangeset", version("rangeset"))
dirty = RangeSet(1, 10)
holder = dirty
dirty &= RangeSet(3, 5)
print(f"cut: {dirty}; what was 1 -- 10 for another holder: {holder}")
either = RangeSet.mutual_union((10, 13), (17, 22)) ^ RangeSet(13, 18)
print(f"{either}: 13.5 in it: {13.5 in either}, 16 in it: {16 in either}")
try:
    hash(dirty)
    hashed = None
except TypeError as error:
    hashed = str(error)
print("hash():", hashed)

if list(dirty) != [(3, 5)] or list(holder) != [(1, 3), (5, 10)]:
    sys.exit("changed: &= works in another way")
if list(either) != [(10, 13), (13, 17), (18, 22)] or 13.5 in either or hashed is None:
    sys.exit("changed: ranges are joined or hashed")
PYTHON
venv/bin/python run.py
