#!/usr/bin/env bash
# hdrhistogram: adding an empty histogram makes the minimum 0.
#
# Expected: add() gives the histogram of all values of both; of 120, 130 and 450 ms and of no value the
# minimum is 120.
# Seen: an empty histogram says that its minimum is 0, and add() takes the smaller of both: the minimum is 0,
# though the percentile 0 is still 120 and no value 0 was counted. So one host without a sample, of which
# results are added up, hides the fastest of all others. Adding to an empty histogram is right.
#
# Versions: hdrhistogram 0.10.8, and the same in hdrpy 0.3.3. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check hdrhistogram==0.10.8 hdrpy==0.3.3

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import hdrh.histogram
import hdrpy

seen = {}
for name, kind in (("hdrhistogram", hdrh.histogram.HdrHistogram), ("hdrpy", hdrpy.HdrHistogram)):
    total, other, empty = (kind(1, 3_600_000, 3) for _ in range(3))
    for value in (120, 130, 450):
        other.record_value(value)
    total.add(other)
    before = total.get_min_value()
    total.add(empty)
    seen[name] = (before, total.get_min_value(), total.get_value_at_percentile(0), total.get_total_count())
    print(name, version(name), "minimum before and after, percentile 0, number of values:", seen[name])

if set(seen.values()) != {(120, 0, 120, 3)}:
    sys.exit("changed: histograms are added in another way")
PYTHON
venv/bin/python run.py
