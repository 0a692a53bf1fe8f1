#!/usr/bin/env bash
# cgroup-monitor: a cgroup without a memory limit has no statistics, and the mean of the last 30 values is too
# low.
#
# Expected: memory.max holds "max" if there is no limit, which is the default (cgroup-v2.rst); the averages of
# get_last_n_stats(n) are those of the last n values.
# Seen: without a limit both get_last_n_stats() and stop_monitor() raise ValueError on "max", so that nothing
# of what was measured can be had. With a limit the sum is divided by n even if there are fewer values: of 100
# MiB that were seen three times the mean of the last 30 is 10 MiB.
#
# Version: cgroup-monitor 1.0.0. Seen on 2026-11-30. The files of a cgroup v2 are written by the script.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cgroup-monitor==1.0.0

mkdir -p cgroup/edge
echo "max 100000" >cgroup/edge/cpu.max
echo "usage_usec 1000000" >cgroup/edge/cpu.stat
echo 104857600 >cgroup/edge/memory.current
cat >run.py <<'PYTHON'
import sys
import time
from importlib.metadata import version
from pathlib import Path

from cgroup_monitor.v2_monitor import CGroupMonitor

print("cgroup-monitor", version("cgroup-monitor"))


def asked(function):
    try:
        return function()["average_memory_usage_gib"]
    except ValueError as error:
        return str(error)


seen = {}
for limit in ("max", "1073741824"):
    Path("cgroup/edge/memory.max").write_text(limit + "\n")
    monitor = CGroupMonitor("edge", "cgroup")
    monitor.start_monitor(0.1)
    while len(monitor.memory_usage) < 3:
        time.sleep(0.02)
    of_few = asked(lambda: monitor.get_last_n_stats(2))
    of_many = asked(lambda: monitor.get_last_n_stats(30))
    seen[limit] = (of_few, of_many, asked(monitor.stop_monitor))
    print(f"limit {limit}: mean of 2, of 30 and of all, in GiB: {seen[limit]}")

if any("'max'" not in str(value) for value in seen["max"]):
    sys.exit("changed: a cgroup without a limit has statistics")
few, many, whole = seen["1073741824"]
if few != 0.1 or whole != 0.1 or not 0 < many < 0.05:
    sys.exit("changed: the mean of the last values is counted in another way")
PYTHON
venv/bin/python run.py
