# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories in which CRIU has to make names, and cannot: immutable or append-only ones (chattr +i, +a).

It binds a UNIX socket anew, in place of the file that came with the others; and it gives a file that is open
and has no name one for a moment.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..kernel.bound_files import open_directory, path_of_file
from ..kernel.inode_flags import IMMUTABLE, protection
from ..kernel.removed_files import DELETED
from ..kernel.unix_diag import UnixSocket
from .open_files import NAMELESS, OpenFile


class ProtectedDirectory(NamedTuple):
    """One, and what is in it.

    :ivar process: that has it.
    :ivar path: of the socket or the file.
    :ivar what: the same, the first half of a sentence that begins with the process.
    :ivar how: it is protected.
    """

    process: int
    path: str
    what: str
    how: str


def protected_directories(
    init: int,
    processes: Mapping[int, tuple[Iterable[OpenFile], Iterable[str]]],
    unix: Mapping[int, UnixSocket],
) -> Iterator[ProtectedDirectory]:
    """Those of a container.

    :param init: its first process.
    :param processes: process -> the files that it has open, and the names of those that it has mapped which
        were removed.
    :param unix: the sockets of its network, by inode.
    """
    seen: dict[str, int] = {}
    for pid, path, what in _names_to_make(processes, unix):
        directory = os.path.dirname(path)
        if directory not in seen:
            seen[directory] = _protection(init, directory)
        if seen[directory]:
            how = "immutable (chattr +i)" if seen[directory] & IMMUTABLE else "append-only (chattr +a)"
            yield ProtectedDirectory(pid, path, what, how)


def _names_to_make(
    processes: Mapping[int, tuple[Iterable[OpenFile], Iterable[str]]], unix: Mapping[int, UnixSocket]
) -> Iterator[tuple[int, str, str]]:
    for pid, (files, removed) in processes.items():
        for file in files:
            bound = unix.get(file.socket_inode) if file.socket_inode else None
            if bound is not None and bound.file_inode:
                # One that was bound to a relative name is where the kernel has its file.
                at = bound.name if bound.name.startswith("/") else path_of_file((pid, file.number))
                yield pid, at.removesuffix(DELETED), f"has bound a UNIX socket to {bound.name}"
            elif file.link.endswith(DELETED) and not file.link.startswith(NAMELESS):
                path = file.link.removesuffix(DELETED)
                yield pid, path, f"has the file {path} open, which was removed"
        for path in removed:
            if not path.startswith(NAMELESS):
                yield pid, path, f"has mapped the file {path}, which was removed"


def _protection(init: int, directory: str) -> int:
    """Of a directory as the container's first process sees it; none where it is gone."""
    with contextlib.suppress(OSError):
        opened = open_directory(init, directory)
        try:
            return protection(f"/proc/self/fd/{opened}")
        finally:
            os.close(opened)
    return 0
