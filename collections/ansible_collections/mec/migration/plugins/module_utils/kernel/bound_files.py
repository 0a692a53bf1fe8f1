# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of UNIX sockets that have another name than the one that the socket was bound to.

A program that wants its socket to appear at once, and with the right permissions, binds it to a temporary
name and renames or links the file. The kernel goes on telling the first name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..base.paths import ADDRESS_BYTES
from .calls import SYS_OPENAT2, syscall
from .processes import descriptors
from .removed_files import DELETED
from .socket_options import socket_of

# include/uapi/linux/openat2.h
RESOLVE_IN_ROOT = 0x10
HOW = struct.Struct("=QQQ")
# include/uapi/linux/un.h: a descriptor (O_PATH) of the file that a socket was bound to.
SIOCUNIXFILE = 0x89E0
# A process that has a socket open, and its descriptor.
Holder = tuple[int, int]


class Names(NamedTuple):
    """Of a socket's file.

    :ivar is_first: whether it still has the name that the socket was bound to.
    :ivar others: those that were found beside that one.
    :ivar elsewhere: whether it has one more that could not be found, in another directory.
    """

    is_first: bool
    others: tuple[str, ...] = ()
    elsewhere: bool = False

    @property
    def moved_to(self) -> str:
        """The one name to bind it to on the target; empty if that is the first one, or there are several, or
        it is too long."""
        is_moved = not self.is_first and not self.elsewhere and len(self.others) == 1
        return self.others[0] if is_moved and len(os.fsencode(self.others[0])) <= ADDRESS_BYTES else ""


def names_of(pid: int, name: str, inode: int, find_holder: Callable[[], Holder | None]) -> Names:
    """The names of a socket's file; none where it is gone.

    :param pid: a process that has the same root directory as the socket's.
    :param name: the path that the socket was bound to.
    :param inode: of the file, as the kernel's file system has it (an overlay may show another one).
    :param find_holder: says who has the socket open. Few have another name, so it is asked only then.
    """
    names = _names_there(pid, name, inode)
    if names.is_first or names.others:
        return names
    holder = find_holder()
    return (_names_now(holder, name) if holder is not None else None) or names


def holder_of(pids: Iterable[int], inode: int) -> Holder | None:
    """Looks through all descriptors of *pids*."""
    for pid in pids:
        for number, link in descriptors(pid):
            if link == f"socket:[{inode}]":
                return pid, number
    return None


def path_of_file(holder: Holder) -> str:
    """Where the file of a bound socket is, as /proc shows it; empty if nobody can say."""
    return _file_now(holder)[0]


def unfound_by_ending(holder: Holder, name: str) -> str:
    """Of a socket that was bound to a relative *name*: where its file is, if its path does not end in that.

    CRIU takes the name off the path, to find the directory that it was relative to (``cut_path_ending``,
    criu/util.c). It cannot where the file was renamed, nor where the name leads through ``..`` or a symbolic
    link.
    """
    path = path_of_file(holder).removesuffix(DELETED)
    return "" if path.endswith("/" + name.removeprefix("./")) else path


def _names_now(holder: Holder, name: str) -> Names | None:
    """What the kernel says of the file itself, which it follows through renames; None if it does not say."""
    path, links = _file_now(holder)
    if not path:
        return None
    if path.endswith(DELETED):
        return Names(False, elsewhere=links > 0)
    return Names(path == name, () if path == name else (path,), elsewhere=links > 1)


def _file_now(holder: Holder) -> tuple[str, int]:
    """The path of a socket's file, as /proc shows it, and how many names it has; empty if nobody can say."""
    with contextlib.suppress(OSError), socket_of(*holder) as ours:
        opened = fcntl.ioctl(ours, SIOCUNIXFILE)
        try:
            return os.readlink(f"/proc/self/fd/{opened}"), os.fstat(opened).st_nlink
        finally:
            os.close(opened)
    return "", 0


def _names_there(pid: int, name: str, inode: int) -> Names:
    """Those in the directory of the name that it was bound to.

    :param pid: a process that has the same root directory as the socket's.
    :param name: the path that the socket was bound to.
    :param inode: of the file.
    """
    directory, _slash, first = name.rpartition("/")
    with contextlib.suppress(OSError):
        opened = open_directory(pid, directory or "/")
        try:
            found = _status(opened, first)
            is_first = found is not None and found.st_ino == inode
            if is_first and found is not None and found.st_nlink == 1:
                return Names(True)
            links, others = found.st_nlink if is_first and found is not None else 0, []
            for entry in os.listdir(opened):
                other = _status(opened, entry) if entry != first else None
                if other is not None and stat.S_ISSOCK(other.st_mode) and other.st_ino == inode:
                    links = other.st_nlink
                    others.append(f"{directory}/{entry}")
            return Names(is_first, tuple(others), elsewhere=links > is_first + len(others))
        finally:
            os.close(opened)
    return Names(False)


def open_directory(pid: int, path: str) -> int:
    """A descriptor of a directory as *pid* sees it: its symbolic links lead nowhere else.

    :raises OSError: it is gone, or is none.
    """
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        how = HOW.pack(os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT)
        return syscall(SYS_OPENAT2, root, os.fsencode(path), how, HOW.size)
    finally:
        os.close(root)


def _status(directory: int, name: str) -> os.stat_result | None:
    """Of a name in a directory; None if it is gone."""
    with contextlib.suppress(OSError):
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    return None
