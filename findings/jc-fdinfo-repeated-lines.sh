#!/usr/bin/env bash
# jc: of the files that an epoll or inotify descriptor watches, and of its locks, only the last is left.
#
# Expected: /proc/PID/fdinfo/FD has one line "tfd:" for each descriptor that an epoll instance watches, one line
# "inotify" for each watch, and one line "lock:" for each lock (proc(5), /proc/pid/fdinfo; the kernel's
# proc.rst, 3.8).
# Seen: three lines become one, the last; jc's schema has one place for each. Here the text is the kernel's own,
# of descriptors that the script opens.
#
# Version: jc 1.26.1. Seen on 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check jc==1.26.1

cat >run.py <<'PYTHON'
import fcntl
import os
import select
import sys
from importlib.metadata import version
from pathlib import Path

import jc


def fdinfo(descriptor):
    return Path(f"/proc/self/fdinfo/{descriptor}").read_text()


print("jc", version("jc"))
epoll = select.epoll()
watched = [os.pipe()[0] for _ in range(3)]
for descriptor in watched:
    epoll.register(descriptor, select.EPOLLIN)
lines = [line for line in fdinfo(epoll.fileno()).splitlines() if line.startswith("tfd:")]
epoll_seen = jc.parse("proc_pid_fdinfo", fdinfo(epoll.fileno()))["epoll"]
listed = [int(line.split()[1]) for line in lines]
print(f"the kernel lists the watched descriptors {listed}, jc gives {epoll_seen['tfd']}")

with open("locked", "wb") as file:
    for start in (0, 10, 20):
        fcntl.lockf(file, fcntl.LOCK_EX, 1, start)
    text = fdinfo(file.fileno())
    locks = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("lock:")]
    lock_seen = jc.parse("proc_pid_fdinfo", text)["lock"]
print(f"the kernel lists {len(locks)} locks, the last {locks[-1]!r}; jc gives {lock_seen!r}")

if sorted(listed) != watched or epoll_seen["tfd"] != listed[-1] or len(locks) != 3 or lock_seen != locks[-1]:
    sys.exit("changed: repeated lines are read in another way")
PYTHON
venv/bin/python run.py
