# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing what a migration leaves behind."""

from __future__ import annotations

import os
import shutil
import subprocess

from .mountinfo import mounts


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
