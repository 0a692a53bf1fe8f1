#!/usr/bin/env bash
# jc: of the options of a mount only the digits are left.
#
# Expected: the last field of a line of /proc/PID/mountinfo holds the options of the super block (proc(5)); for an
# overlay these are the folders of the layers, for a tmpfs its size. jc's schema says: the values of
# super_options_fields are strings, and conversions to integers are attempted.
# Seen: the digits of a value are joined to a number: lowerdir=/snapshots/12/fs:/snapshots/11/fs becomes 1211; the
# sizes 64k and 64m both become 64; a value without digits becomes null. With --raw the whole field is there as
# one text.
#
# Version: jc 1.26.1. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check jc==1.26.1

cat >mountinfo <<'MOUNTINFO'
412 367 0:66 / / rw,relatime - overlay overlay rw,lowerdir=/snapshots/12/fs:/snapshots/11/fs,upperdir=/snapshots/13/fs,workdir=/snapshots/13/work
419 412 0:69 / /run rw,nosuid - tmpfs tmpfs rw,size=64k,mode=755,mpol=local
420 412 0:70 / /tmp rw,nosuid - tmpfs tmpfs rw,size=64m,mode=1777
MOUNTINFO
cat >run.py <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

import jc

print("jc", version("jc"))
lines = Path("mountinfo").read_text().splitlines()
seen = {}
for line, mount in zip(lines, jc.parse("proc_pid_mountinfo", "\n".join(lines)), strict=True):
    seen[mount["mount_point"]] = mount["super_options_fields"]
    print(f"{line.rsplit(' ', 1)[1]} becomes {mount['super_options_fields']}")

if seen != {
    "/": {"lowerdir": 1211, "upperdir": 13, "workdir": 13},
    "/run": {"size": 64, "mode": 755, "mpol": None},
    "/tmp": {"size": 64, "mode": 1777},
}:
    sys.exit("changed: the options are read in another way")
PYTHON
venv/bin/python run.py
