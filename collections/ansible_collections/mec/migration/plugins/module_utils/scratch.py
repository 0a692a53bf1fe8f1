# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing a migration's directory with memory in it."""

from __future__ import annotations

import os
import shutil
import subprocess


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
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        points = [line.split()[4] for line in lines]
    return [point for point in points if point.startswith(os.path.join(path, ""))]
