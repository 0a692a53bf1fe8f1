#!/usr/bin/env bash
# lxstats: time of guests counts twice, one cgroup with a colon ends the list of all processes, and commands
# end at a line feed.
#
# Expected: in /proc/stat the time of guests is part of that of user (proc_stat(5)), so that a host that is
# idle for half of the time has the share 0.5; /proc/PID/cgroup has three fields of which the last may hold
# colons, as a.slice:cri-containerd:3f1c of Kubernetes does; /proc/PID/cmdline has NUL between words, which
# may hold line feeds.
# Seen: the shares are those of a sum with the guests in it twice: 0.345 instead of 0.5. A line of cgroup with
# a colon in the path raises ValueError, which is not caught per process: of three processes none is listed
# behind it. Of ["sh", "-c", "cd /srv (line feed) exec serve"] are left ["sh", "-c", "cd /srv "].
#
# Version: lxstats 0.4.0. Seen on 2026-11-30. The files of /proc are written by the script.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-deps lxstats==0.4.0

for pid in 1 2 3; do
    mkdir -p "proc/$pid"
    echo "name$pid" >"proc/$pid/comm"
    echo "0::/system.slice" >"proc/$pid/cgroup"
done
printf 'sh\0-c\0cd /srv \nexec serve\0' >proc/1/cmdline
echo "cpu 1000 0 0 1000 0 0 0 0 900 0" >proc/stat
cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

from lxstats.files.proc import ProcDirectory
from lxstats.process.collection import Collector

print("lxstats", version("lxstats"))
shares = ProcDirectory("proc")["stat"].parse()["cpu"]
print(f"share of idle, 1000 of 2000 ticks: {shares['idle']:.3f}, sum of all shares but guests: "
      f"{sum(share for name, share in shares.items() if 'guest' not in name):.3f}")


def listed():
    found = []
    try:
        for process in Collector("proc", pids=(1, 2, 3)).collect():
            found.append(process.pid)
    except ValueError as error:
        found.append(str(error))
    return found


before = listed()
Path("proc/2/cgroup").write_text("0::/a.slice:cri-containerd:3f1c\n")
after = listed()
print("processes:", before, "with a colon in the cgroup of the second:", after)
(first,) = Collector("proc", pids=(1,)).collect()
command = first.get("cmdline")
print("command:", command)

if round(shares["idle"], 3) != 0.345 or before != [1, 2, 3] or after[0] != 1 or "unpack" not in after[1]:
    sys.exit("changed: shares or cgroups are read in another way")
if command != ["sh", "-c", "cd /srv "]:
    sys.exit("changed: commands are read in another way")
PYTHON
venv/bin/python run.py
