# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of the runtime that make or restore a container: how they end, and what a killed one leaves."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from ..kernel.cgroup import CGROUP_ROOT, container_cgroups
from ..kernel.libc import unmount
from ..kernel.mountinfo import mounts
from ..kernel.processes import stat_fields

# An armed runtime that was told to end does so within tenths of a second.
RUNTIME_END_S = 5.0
# Where runc, in its directory of the container, mounts the root file system for CRIU.
CRIU_ROOT = "criu-root"


def end_restore(container_id: str, runtime_pid: int = 0, patience_s: float = 0.0) -> None:
    """Kill the runtime's calls that create or restore a container, and all that came out of them.

    :param patience_s: so long they may end by themselves, as they do where their agent is dead: only runc
        puts away what it has mounted and made, unless it is killed. Not for a restore that was let through
        the gate.
    """
    end = time.monotonic() + patience_s
    while (left := _restoring(container_id, runtime_pid)) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _restoring(container_id: str, runtime_pid: int) -> set[int]:
    """Processes that create or restore a container, and all that came out of them.

    They are found by what they were called with, too: one whose parent has died is nobody's child any more.
    """
    parents, family = {}, {runtime_pid} if runtime_pid else set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(name)] = int(stat_fields(name)[1])
                with open(f"/proc/{name}/cmdline", "rb") as words:
                    argv = words.read().decode(errors="replace").rstrip("\0").split("\0")
                if argv[-1] == container_id and ("restore" in argv or "create" in argv):
                    family.add(int(name))
    while True:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        if not more:
            break
        family |= more
    return family & set(parents)


def put_away(container_id: str, cgroup_root: str = CGROUP_ROOT) -> None:
    """Remove what a killed runc leaves of a container: a mount of its root file system, directories, cgroups.

    Only for a container that has no process any more. A directory that is in use, or not empty, stays.
    """
    for mount in mounts():
        directory, name = os.path.split(mount.point)
        if name == CRIU_ROOT and os.path.basename(directory) == container_id:
            for remove, path in ((unmount, mount.point), (os.rmdir, mount.point), (os.rmdir, directory)):
                with contextlib.suppress(OSError):
                    remove(path)
    for cgroup in container_cgroups(container_id, cgroup_root):
        for path, _directories, _files in os.walk(cgroup, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)
