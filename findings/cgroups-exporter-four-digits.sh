#!/usr/bin/env bash
# cgroups-exporter: all values are cut to four digits, and a container with the processors 0-3 has one.
#
# Expected: values as the kernel gives them; cpuset.cpus is a list of numbers and ranges (cpuset(7)), so that
# cgroups_cpuset_count_cpu of "0-3" is 4.
# Seen: each value is written with %.3e. A counter of 5,123,456,789 bytes is 5.123e+09 and moves in steps of a
# megabyte, so that rates are zero or far too high. Ranges count as one processor: "0-3" is 1, "8-11,16-23" is
# 2, an empty list 1, but "0,1,2,3" is 4.
#
# Version: cgroups-exporter 0.8.8. Seen on 2026-11-30. The files of a cgroup v1 are written by the script.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cgroups-exporter==0.8.8

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

from cgroups_exporter.metrics._metrics import STORAGE
from cgroups_exporter.metrics.base import CGroupTask
from cgroups_exporter.metrics.cpuset import cpuset_collector
from cgroups_exporter.metrics.memory import memory_collector

print("cgroups-exporter", version("cgroups-exporter"))


def exported(group, name, content, collector, metric):
    path = Path(group, "edge")
    path.mkdir(parents=True, exist_ok=True)
    Path(path, name).write_text(content + "\n")
    collector(CGroupTask(path, path.parent, group, Path("edge")))
    return [line.split()[-1] for line in STORAGE if line.startswith(metric + "{")]


counts = {}
for cpus in ("0,1,2,3", "0-3", "8-11,16-23", ""):
    (counts[cpus],) = exported("cpuset", "cpuset.cpus", cpus, cpuset_collector, "cgroups_cpuset_count_cpu")
sizes = {}
for usage in ("5123456789", "5123499999", "5123500001"):
    name = "memory.usage_in_bytes"
    (sizes[usage],) = exported("memory", name, usage, memory_collector, "cgroups_memory_usage")
print("processors:", counts)
print("bytes:", sizes)

if counts != {"0,1,2,3": "4.000e+00", "0-3": "1.000e+00", "8-11,16-23": "2.000e+00", "": "1.000e+00"}:
    sys.exit("changed: processors are counted in another way")
if list(sizes.values()) != ["5.123e+09", "5.123e+09", "5.124e+09"]:
    sys.exit("changed: values have other digits")
PYTHON
venv/bin/python run.py
