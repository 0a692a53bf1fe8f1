#!/usr/bin/env bash
# ctop (pip): 90 seconds of processor time are shown as two and a half hours, and bytes of five seconds as
# those of one.
#
# Expected: the column TIME+ is the processor time that a cgroup has used; cpuacct.stat counts it in ticks of
# 1/100 s (USER_HZ). The column BLKIO is a rate in B/s.
# Seen: the ticks are taken as seconds: 9000 of them are shown as 0d 02:30, with a part of an hour in each
# field, since "/" is no whole division in Python 3. The bytes since the last refresh are shown as B/s
# whatever the interval: 5 MiB in five seconds are 5.0MB/s. The percentage of the processors is right.
#
# Version: ctop 1.0.0. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ctop==1.0.0

cat >run.py <<'PYTHON'
import sys
import time
from importlib.metadata import version

import cgroup_top

print("ctop", version("ctop"))
HOST = {"scheduler_frequency": 100, "total_cpu": 4, "total_memory": 2**30}
measured = {
    "tasks": [1],
    "cpuacct.stat": {"user": 6000, "system": 3000},
    "cpuacct.stat.diff": {"user": 500, "system": 0},
    "blkio.throttle.io_service_bytes.diff": {"total": 5 * 2**20},
}
measures = {"global": HOST | {"time": time.time() - 5}, "data": {"/docker/a": measured}}
(line,) = cgroup_top.built_statistics(measures, cgroup_top.CONFIGURATION)
shown = [line["cpu_total_str"].strip(), line["blkio_bw"].strip(), f"{line['cpu_user']:.2f}"]
print("9000 ticks, 5 MiB and 500 ticks on four processors in 5 s:", shown)

if shown != ["0d 02:30.00", "5.0MB/s", "0.25"]:
    sys.exit("changed: times or rates are shown in another way")
PYTHON
venv/bin/python run.py
