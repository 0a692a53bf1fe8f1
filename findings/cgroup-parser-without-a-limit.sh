#!/usr/bin/env bash
# cgroup-parser: without a limit, a container on a host of any size has one processor.
#
# Expected: get_max_procs() gives the number of processors that the quota allows, or that of the host if there is no
# quota ("degraded with cpu_count", its comment). cpu.cfs_quota_us is -1 where there is none (the kernel's
# scheduler/sched-bwc.rst).
# Seen: whether a quota is there is found out and then dropped: -1 goes on as the quota, is less than the least number,
# and becomes 1. So it is on hosts with cgroup v2 only, where nothing is found. With a quota of 2.5 processors it gives
# 2.
#
# Version: cgroup-parser 0.0.2. Seen on 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cgroup-parser==0.0.2
echo "cgroup-parser 0.0.2, $(python3 --version)"
cat >run.py <<'PYTHON'
import os
import tempfile
from pathlib import Path

os.sysconf = lambda name: 16
import cgroup_parser
from cgroup_parser.cgroups import new_cgroups
from cgroup_parser.runtime import runtime

folder = Path(tempfile.mkdtemp(dir="."))
mounted = f"30 23 0:26 / {folder.resolve()} rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
(folder / "mountinfo").write_text(mounted)
(folder / "cgroup").write_text("4:cpu,cpuacct:/\n")
(folder / "cpu.cfs_period_us").write_text("100000\n")
print("processors of the host:", cgroup_parser.cpu_count())
for quota in (250000, 400000, -1):
    (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    runtime.GLOBAL_CGROUP = new_cgroups(folder / "mountinfo", folder / "cgroup")
    print(f"with cpu.cfs_quota_us {quota}:", cgroup_parser.get_max_procs())
PYTHON
seen=$(venv/bin/python run.py)
echo "$seen"
if [ "$seen" != 'processors of the host: 16
with cpu.cfs_quota_us 250000: 2
with cpu.cfs_quota_us 400000: 4
with cpu.cfs_quota_us -1: 1' ]; then
    echo "changed: processors are counted in another way" >&2
    exit 1
fi
