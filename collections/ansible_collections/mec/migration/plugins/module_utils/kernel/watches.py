# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a container's root file system are watched by inotify or fanotify, and under which names.

The kernel tells a watch's inode only. CRIU opens it by its handle, which overlay does not offer, or looks for
it below paths that it is told (``irmap_lookup``, criu/irmap.c).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator

WATCH = re.compile(r"^(?:inotify|fanotify) .*?ino:([0-9a-f]+) sdev:([0-9a-f]+)", re.MULTILINE)
WATCHERS = ("anon_inode:inotify", "anon_inode:[fanotify]")


def watched_paths(first: int, pids: Iterable[int]) -> list[str]:
    """The paths of what is watched on the root file system; deep ones first, as CRIU searches below each.

    :param first: a process of the container, for its root directory.
    """
    root = f"/proc/{first}/root"
    try:
        device = os.stat(root).st_dev
    except OSError:
        return []
    # As the kernel writes it there: 20 bits for the minor number.
    number = os.major(device) << 20 | os.minor(device)
    wanted = {inode for inode, where in _watched(pids) if where == number}
    if not wanted:
        return []
    found: dict[int, str] = {}
    for path, inode in _everything(root, device):
        if inode in wanted and inode not in found:
            found[inode] = path
            if len(found) == len(wanted):
                break
    return sorted(found.values(), key=lambda path: (-path.rstrip("/").count("/"), path))


def _watched(pids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Inode and device of each watch."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{name}") in WATCHERS:
                        with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as info:
                            for inode, device in WATCH.findall(info.read()):
                                yield int(inode, 16), int(device, 16)


def _everything(root: str, device: int) -> Iterator[tuple[str, int]]:
    """Paths below *root* on its device, as a process with that root sees them, and their inodes."""
    yield "/", os.stat(root).st_ino
    left = [""]
    while left:
        directory = left.pop(0)
        with contextlib.suppress(OSError), os.scandir(f"{root}{directory}/") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    path = f"{directory}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        if status.st_dev != device:
                            continue
                        left.append(path)
                    yield path, status.st_ino
