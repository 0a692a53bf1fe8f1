#!/usr/bin/env bash
# durationpy: to_str() writes durations that from_str() refuses, and leaves out microseconds.
#
# Expected: what to_str() writes is a duration in Go's syntax (ParseDuration of Go's package time), and from_str() gives
# the same timedelta for it. Kubernetes' Python client depends on durationpy.
# Seen: from a minute on, a rest of less than 100 microseconds is written with an exponent: 1m9e-05s, which from_str()
# refuses. The seconds keep six digits in all: 1 min 12.345678 s becomes 1m12.3457s, 22 microseconds too much.
# Below one second all is right, since durationpy#15.
#
# Version: durationpy 0.11. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check durationpy==0.11

cat >run.py <<'PYTHON'
import sys
from datetime import timedelta
from importlib.metadata import version

import durationpy

print("durationpy", version("durationpy"))
seen = {}
for microseconds in (90, 60_000_090, 72_345_678, 3_600_000_001):
    duration = timedelta(microseconds=microseconds)
    text = durationpy.to_str(duration)
    try:
        again = durationpy.from_str(text)
    except durationpy.DurationError as error:
        again = error
    seen[text] = again == duration
    print(f"{duration} becomes {text!r}, which is read as {again}")

if seen != {"90us": True, "1m9e-05s": False, "1m12.3457s": False, "1h1e-06s": False}:
    sys.exit("changed: durations are written or read in another way")
PYTHON
venv/bin/python run.py
