# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the processors a cgroup may use: the quota of its CPU controller. cgroup v1 and v2."""

from __future__ import annotations

import os

from .cgroup import CGROUP_ROOT, memberships

# The kernel takes no quota below it (kernel/sched/core.c, min_cfs_quota_period).
LEAST_US = 1000


class CpuQuota:
    """Of the cgroup that *pid* is in.

    :ivar path: the file that holds it.
    :ivar before: what was in it.
    :raises OSError: there is no CPU controller for it here, or the process is gone.
    """

    def __init__(self, pid: int, root: str = CGROUP_ROOT, proc: str = "/proc") -> None:
        self.path, self._v2 = _quota_file(pid, root, proc)
        self.before = _read(self.path)
        if self._v2:
            self._period_us = int(self.before.split()[1])
        else:
            self._period_us = int(_read(os.path.join(os.path.dirname(self.path), "cpu.cfs_period_us")))

    def limit(self, processors: float) -> None:
        """Let it use no more than so many processors, as the kernel counts them.

        :raises OSError: the kernel does not take it.
        """
        quota_us = max(int(processors * self._period_us), LEAST_US)
        self._write(f"{quota_us} {self._period_us}" if self._v2 else str(quota_us))

    def put_back(self) -> None:
        """:raises OSError: the cgroup is gone."""
        self._write(self.before)

    def _write(self, value: str) -> None:
        # Never made anew, should the cgroup be gone.
        with open(self.path, "r+", encoding="ascii") as file:
            file.write(value)


def _quota_file(pid: int, root: str, proc: str) -> tuple[str, bool]:
    """The file, and whether it is one of cgroup v2."""
    unified = ""
    for controllers, path in memberships(pid, proc):
        if "cpu" in controllers.split(","):
            for hierarchy in ("cpu", controllers):
                found = os.path.join(root, hierarchy, path.lstrip("/"), "cpu.cfs_quota_us")
                if os.path.exists(found):
                    return found, False
        if not controllers:
            unified = path
    found = os.path.join(root, unified.lstrip("/"), "cpu.max")
    if unified.strip("/") and os.path.exists(found):
        return found, True
    raise FileNotFoundError(2, "no CPU controller", found)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()
