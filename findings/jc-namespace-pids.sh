#!/usr/bin/env bash
# jc: a container's process 4021, which is 1 inside, is said to be 40211.
#
# Expected: the fields NStgid, NSpid, NSpgid and NSsid of /proc/PID/status have one number for each PID namespace
# that the process is in, from the outermost to the innermost (proc(5), /proc/pid/status).
# Seen: the numbers are joined into one, 40211, which is no process; jc's schema has one integer here. Three
# namespaces, as of a container in a container, give 402131.
#
# Version: jc 1.26.1. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check jc==1.26.1

cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version

import jc

print("jc", version("jc"))
seen = []
for inner in ((), (1,), (3, 1)):
    numbers = "\t".join(str(number) for number in (4021, *inner))
    status = (
        "Name:\tserver\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4021\nNgid:\t0\nPid:\t4021\nPPid:\t3999\n"
        "TracerPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t64\nGroups:\t0 \n"
        f"NStgid:\t{numbers}\nNSpid:\t{numbers}\nNSpgid:\t{numbers}\nNSsid:\t{numbers}\nThreads:\t1\n"
    )
    parsed = jc.parse("proc_pid_status", status)
    seen.append(parsed["NSpid"])
    print(f"NSpid: {numbers.replace(chr(9), ' ')} becomes {parsed['NSpid']!r}")

if seen != [4021, 40211, 402131]:
    sys.exit("changed: several numbers are read in another way")
PYTHON
venv/bin/python run.py
