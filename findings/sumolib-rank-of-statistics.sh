#!/usr/bin/env bash
# sumolib: Statistics.rank(0.75) of four values fails, and the rank of 0 is not the smallest.
#
# Expected: rank(fraction) gives the value below which that part of the values lies, the smallest for 0, the largest
# for 1, the median for 0.5.
# Seen: the index is one too large throughout. Of the values 1 to 100, rank(0.5) is 52, where median() is 51, and
# rank(0) is 2. rank(1) always fails with IndexError, rank(0.9) for ten values or less, rank(0.75) for four, so that
# a script that reports 90 % values of travel times works until a run has few vehicles. median() of an even number of
# values is the upper of the two in the middle: 3 of 1, 2, 3, 4.
#
# Version: sumolib 1.28.0. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check sumolib==1.28.0

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from sumolib.statistics import Statistics

print("sumolib", version("sumolib"))
seen = {}
for count in (4, 10, 100):
    statistics = Statistics("travel times")
    for value in range(1, count + 1):
        statistics.add(value)
    ranks = []
    for fraction in (0, 0.5, 0.75, 0.9, 1):
        try:
            ranks.append(statistics.rank(fraction))
        except IndexError as error:
            ranks.append(type(error).__name__)
    seen[count] = (statistics.median(), ranks)
    print(f"values 1 to {count}: median {seen[count][0]}, ranks of 0, 0.5, 0.75, 0.9 and 1: {ranks}")

if seen != {
    4: (3, [2, 4, "IndexError", "IndexError", "IndexError"]),
    10: (6, [2, 7, 9, "IndexError", "IndexError"]),
    100: (51, [2, 52, 77, 92, "IndexError"]),
}:
    sys.exit("changed: ranks are found in another way")
PYTHON
venv/bin/python run.py
