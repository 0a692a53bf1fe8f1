# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slowing a service down that writes its memory faster than the link can send it, so that rounds converge.

Other hypervisors call it auto-converge. The share is of what the service used before, not of the host: one
that writes much with little of a processor is slowed as well.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable

from ..kernel.cpu_quota import CpuQuota
from ..kernel.processes import stat_fields

# Of what it has, with each step.
STEP = 0.6
# A service that used less than this looks idle; it is given so much all the same.
LEAST_PROCESSORS = 0.02
# Should we die: the end of the pipe says so, and the shell writes what was there before.
GUARD = 'read word || printf %s "$1" > "$2"'


class Throttle:
    """One service's. What was changed is put back by :meth:`put_back`, or by a child should we die before it.

    :param pids: gives the service's processes.
    :param floor_percent: never less than this share of what it used.
    :ivar percent: what it has now.
    :ivar lowest_percent: the least that it ever had.
    :ivar obstacle: why it cannot be slowed, as a clause; empty if it can, or was not tried.
    """

    def __init__(
        self,
        pids: Callable[[], list[int]],
        floor_percent: float,
        quota: Callable[[int], CpuQuota] = CpuQuota,
    ) -> None:
        self._pids = pids
        self._floor = floor_percent
        self._open = quota
        self._quota: CpuQuota | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._used = (0.0, 0.0)
        self._processors = 0.0
        self.percent = self.lowest_percent = 100.0
        self.obstacle = ""

    def watch(self) -> None:
        """From now on it is seen what the service uses."""
        if self._quota is None:
            self._used = time.monotonic(), processor_seconds(self._pids())

    def lower(self) -> bool:
        """One step down; False if it has as little as it may have, or cannot be slowed."""
        percent = max(self._floor, round(self.percent * STEP, 1))
        if self.obstacle or percent >= self.percent:
            return False
        try:
            if self._quota is None:
                self._begin()
            if self._quota is not None:
                self._quota.limit(self._processors * percent / 100)
        except (OSError, ValueError, IndexError) as error:
            self.obstacle = f"the service cannot be slowed down: {error}"
            self.put_back()
            return False
        self.percent = percent
        self.lowest_percent = min(self.lowest_percent, percent)
        return True

    def _begin(self) -> None:
        pids = self._pids()
        since, used = self._used
        seconds = time.monotonic() - since
        self._processors = max((processor_seconds(pids) - used) / max(seconds, 1e-3), LEAST_PROCESSORS)
        quota = self._open(pids[0])
        # Before anything is changed.
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, "sh", quota.before, quota.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A signal to our group must not end it.
            start_new_session=True,
        )
        self._quota = quota

    def put_back(self) -> None:
        """Let the service have what it had. A second call does nothing."""
        quota, self._quota = self._quota, None
        guard, self._guard = self._guard, None
        self.percent = 100.0
        if quota is not None:
            # Gone with its container.
            with contextlib.suppress(OSError):
                quota.put_back()
        if guard is not None and guard.stdin is not None:
            with contextlib.suppress(OSError):
                guard.stdin.write(b"released\n")
                guard.stdin.close()
            guard.wait()


def processor_seconds(pids: list[int]) -> float:
    """What processes have used of processors since they began."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = stat_fields(pid)
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
