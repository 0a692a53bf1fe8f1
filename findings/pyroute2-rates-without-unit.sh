#!/usr/bin/env bash
# pyroute2: a rate of 8000000 is eight times the rate of "8000000", and a latency of "50" a thousand times that of 50.
#
# Expected: a rate without a unit is in bits per second, and a time without one in microseconds (tc(8), "PARAMETERS").
# pyroute2 takes the same names and units for its traffic control; its examples give rates as text.
# Seen: for the token bucket filter rate=8000000 is 8,000,000 bytes per second, that is 64 Mbit/s, while rate="8000000"
# is 1,000,000 bytes per second, as tc has it. latency=50 is 50 microseconds, as tc has it, while latency="50" is
# 50 ms, for which the queue holds 60,000 instead of 10,050 bytes. So a number from a settings file sets another
# limit than the same digits from a command line.
#
# Version: pyroute2 0.9.7. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyroute2==0.9.7

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

from pyroute2.netlink.rtnl.tcmsg import sched_tbf

print("pyroute2", version("pyroute2"))
seen = []
for rate, latency in (("8mbit", "50us"), ("8000000", 50), (8_000_000, 50), ("8mbit", "50"), ("8mbit", "50ms")):
    parameters = sched_tbf.get_parameters({"rate": rate, "burst": 10_000, "latency": latency})
    message = dict(map(tuple, parameters["attrs"]))["TCA_TBF_PARMS"]
    seen.append((message["rate"], message["limit"]))
    print(f"rate {rate!r}, latency {latency!r}: {seen[-1][0]} bytes/s, queue of {seen[-1][1]} bytes")

if seen != [(1_000_000, 10_050), (1_000_000, 10_050), (8_000_000, 10_400), (1_000_000, 60_000), (1_000_000, 60_000)]:
    sys.exit("changed: rates or times without a unit are read in another way")
PYTHON
venv/bin/python run.py
