#!/usr/bin/env bash
# influx-line-protocol: positions and times as float lose all behind their sixth digit.
#
# Expected: a float of the line protocol is a 64-bit floating point number (InfluxDB, "Line protocol", "Data types and
# format"); what is written reads as the number that it was.
# Seen: 48.1375612 is written as 48.1376 and 11.5754815 as 11.5755, which is 4 m away, and the time 1764442147.25 as
# 1.76444e+09, which is 36 minutes earlier. Integers are whole.
#
# Versions: influx-line-protocol 0.1.5, read with line-protocol-parser 2.0.1. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check influx-line-protocol==0.1.5 line-protocol-parser==2.0.1

cat >run.py <<'PYTHON'
import sys

from influx_line_protocol import Metric
from line_protocol_parser import parse_line

fix = {"latitude": 48.1375612, "longitude": 11.5754815, "measured": 1764442147.25, "count": 1764442147}
metric = Metric("fix")
for name, value in fix.items():
    metric.add_value(name, value)
print(metric)
read = parse_line(f"{metric} 1764442147250000000")["fields"]
for name, value in fix.items():
    print(f"{name}: {value} is written, {read[name]} is read, {value - read[name]:.7f} less")

if read != {"latitude": 48.1376, "longitude": 11.5755, "measured": 1764440000.0, "count": 1764442147}:
    sys.exit("changed: floats are written in another way")
PYTHON
venv/bin/python run.py
