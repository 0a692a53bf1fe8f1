# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a migration leaves behind, and how much it may hurry while a service is frozen."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

from .mountinfo import mounts

# Before what else a busy host does, behind what the kernel does for itself.
HURRIED_NICE = -15


_usual_nice = os.getpriority(os.PRIO_PROCESS, 0)


def hurry() -> None:
    """Let this thread, and what it starts, run before others: a service is frozen meanwhile."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, HURRIED_NICE)


def no_hurry() -> None:
    """Let this thread no longer run before others, the service that goes on among them."""
    os.setpriority(os.PRIO_PROCESS, 0, _usual_nice)


def wipe(path: str) -> None:
    """Remove *path* and all below it.

    A CRIU that was killed in a restore leaves cgroup hierarchies mounted in its work directory; those
    are unmounted first, for nothing in them may be removed.
    """
    for point in sorted(_mounts_below(path), reverse=True):
        if subprocess.run(["umount", "--lazy", point], capture_output=True, check=False).returncode:
            return
    shutil.rmtree(path, ignore_errors=True)


def _mounts_below(path: str) -> list[str]:
    return [mount.point for mount in mounts() if mount.point.startswith(os.path.join(path, ""))]
