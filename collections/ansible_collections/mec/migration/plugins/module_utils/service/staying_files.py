# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a service uses and that do not move with it, as they lie on bind mounts of the host."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..kernel.mountinfo import is_below, mounts
from ..kernel.process_memory import areas
from ..kernel.processes import descriptors
from ..kernel.removed_files import DELETED
from .open_files import fields

# Beyond it none is asked about.
MOST = 2000


class StayingFile(NamedTuple):
    """A file or directory that is open, mapped, or somebody's working directory.

    :ivar path: on the host.
    :ivar mode: type and permissions; CRIU restores it with the same ones only.
    :ivar size_bytes: likewise; -1 where that does not matter (directories, and logs: what is only written,
        at its end).
    """

    path: str
    mode: int
    size_bytes: int


def staying_files(pids: Iterable[int], places: Mapping[str, str]) -> list[StayingFile]:
    """What these processes use of such mounts.

    :param places: mount point in the container -> path on the host.
    """
    found: dict[str, StayingFile] = {}
    points: list[str] = []
    for pid in pids if places else ():
        with contextlib.suppress(OSError):
            points = points or [mount.point for mount in mounts(pid)]
            for link, path, is_log in _used(pid):
                place = max((point for point in points if is_below(link, point)), key=len, default="")
                # Ansible's results are text.
                if place in places and not link.endswith(DELETED) and link.isprintable():
                    with contextlib.suppress(OSError):
                        status = os.stat(path)
                        on_host = os.path.normpath(f"{places[place]}/{link[len(place) :]}")
                        sized = stat.S_ISREG(status.st_mode) and not is_log
                        size_bytes = status.st_size if sized else -1
                        if on_host not in found or size_bytes >= 0:
                            found[on_host] = StayingFile(on_host, status.st_mode, size_bytes)
    return list(found.values())[:MOST]


def _used(pid: int) -> Iterator[tuple[str, str, bool]]:
    """What it is called in the container, a path to look at it, and whether it is a log."""
    for name in ("cwd", "root"):
        path = f"/proc/{pid}/{name}"
        yield os.readlink(path), path, False
    for number, link in descriptors(pid):
        if link.startswith("/"):
            with contextlib.suppress(OSError):
                yield link, f"/proc/{pid}/fd/{number}", _is_log(pid, number)
    mapped = {area.path for area in areas(pid) if area.path.startswith("/")}
    for link in sorted(mapped):
        yield link, f"/proc/{pid}/root{link}", False


def _is_log(pid: int, descriptor: int) -> bool:
    flags = int(fields(f"/proc/{pid}/fdinfo/{descriptor}")["flags"], 8)
    return flags & os.O_ACCMODE == os.O_WRONLY and bool(flags & os.O_APPEND)
