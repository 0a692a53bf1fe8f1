# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that do not have in common with the others of their process what threads usually do.

A thread gets its own by unshare(2) or setns(2). CRIU looks at the first thread of each process, and gives
all others the same.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from ..kernel import kcmp

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "time", "uts")
# Of children to come.
FOR_CHILDREN = {"pid_for_children": "pid", "time_for_children": "time"}


def apart(pid: int) -> Iterator[str]:
    """What threads of a process have for themselves, in words, each once."""
    found: dict[str, None] = {}
    with contextlib.suppress(OSError):
        found.update(dict.fromkeys(_for_children(pid)))
        threads = sorted(map(int, os.listdir(f"/proc/{pid}/task")))
        # It may have ended, and then has neither.
        if len(threads) > 1 and os.listdir(f"/proc/{pid}/fd"):
            common = _namespaces(pid, pid)
            for thread in threads:
                if thread != pid:
                    with contextlib.suppress(OSError):
                        found.update(dict.fromkeys(_apart(pid, thread, common)))
    yield from found


def _apart(pid: int, thread: int, common: dict[str, str]) -> Iterator[str]:
    # One that is about to end has neither any more.
    if _differ(pid, thread, kcmp.FILES) and os.listdir(f"/proc/{pid}/task/{thread}/fd"):
        yield "a thread with open files of its own (unshare, CLONE_FILES)"
    if _differ(pid, thread, kcmp.FS) and os.readlink(f"/proc/{pid}/task/{thread}/cwd"):
        yield "a thread with a working directory and umask of its own (unshare, CLONE_FS)"
    for name, link in _namespaces(pid, thread).items():
        if link != common.get(name):
            yield f"a thread with a namespace of its own ({name})"


def _for_children(pid: int) -> Iterator[str]:
    known = os.listdir(f"/proc/{pid}/ns")
    for name, usual in FOR_CHILDREN.items():
        if name in known:
            common = os.readlink(f"/proc/{pid}/ns/{usual}")
            try:
                own = os.readlink(f"/proc/{pid}/ns/{name}")
            except FileNotFoundError:
                # A PID namespace that has no process yet cannot be looked at.
                own = ""
            if own != common:
                yield f"a namespace for its children ({usual})"


def _namespaces(pid: int, thread: int) -> dict[str, str]:
    return {name: os.readlink(f"/proc/{pid}/task/{thread}/ns/{name}") for name in NAMESPACES}


def _differ(pid: int, thread: int, what: int) -> bool:
    return kcmp.compare(pid, thread, what) in (1, 2)
