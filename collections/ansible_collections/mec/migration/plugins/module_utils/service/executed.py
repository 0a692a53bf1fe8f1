# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `docker exec` and health checks start in a container: it does not belong to the service.

CRIU does not dump such processes, and they end on the source. Two things of them count: their connections,
for of a UNIX connection CRIU cannot dump one end alone; and whether they are traced, for CRIU stops all that
runs in the container for the time of the dump.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import NamedTuple

from ..kernel.processes import start_time, tracer_of
from ..kernel.sockets import open_sockets
from ..kernel.unix_diag import unix_sockets
from .open_files import fields

# Docker starts health checks as it does `docker exec`; only what is younger may be one, which ends by itself.
HEALTH_CHECK_S = 5


class Executed(NamedTuple):
    """One such process.

    :param age_s: since when it runs.
    :param tracer: number of the process that traces it; 0 if nobody does.
    """

    pid: int
    command: str
    age_s: float
    tracer: int

    @property
    def may_be_check(self) -> bool:
        """Whether it may be a health check, which is over in a moment."""
        return self.age_s <= HEALTH_CHECK_S

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


def executed(pids: Iterable[int]) -> list[Executed]:
    """:param pids: of a container, and not of its service. Those that have ended are left out."""
    with open("/proc/uptime", encoding="ascii") as uptime:
        now_s = float(uptime.read().split()[0])
    found = []
    for pid in pids:
        # One that ends meanwhile lacks the one or the other.
        with contextlib.suppress(OSError, KeyError, ValueError):
            said = fields(f"/proc/{pid}/status")
            # A zombie with several threads is one whose first thread has ended.
            if not said["State"].startswith("Z") or int(said["Threads"]) > 1:
                age_s = now_s - int(start_time(pid)) / os.sysconf("SC_CLK_TCK")
                found.append(Executed(pid, said["Name"], age_s, tracer_of(pid)))
    return found


def asked_by_check(first: int, pids: Iterable[int], moving: Iterable[int]) -> bool:
    """Whether one of *pids*, as in :func:`executed`, may be a health check and has a UNIX connection to the
    service.

    :param first: the container's first process.
    :param moving: the service's processes.
    """
    theirs = {inode for one in executed(pids) if one.may_be_check for inode in open_sockets(one.pid)}
    if not theirs:
        return False
    with contextlib.suppress(OSError):
        found = unix_sockets(first)
        asked = {found[inode].peer for inode in theirs if inode in found} - theirs
        # Also where the service has not accepted the connection yet.
        asked |= {each.inode for each in found.values() if not theirs.isdisjoint(each.pending)}
        asked.discard(0)
        return bool(asked) and any(not asked.isdisjoint(open_sockets(pid)) for pid in moving)
    return False
