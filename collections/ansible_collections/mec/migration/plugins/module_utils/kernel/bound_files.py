# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of UNIX sockets that have another name than the one that the socket was bound to.

A program that wants its socket to appear at once, and with the right permissions, binds it to a temporary
name and renames or links the file. The kernel goes on telling the first name.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct

from .calls import SYS_OPENAT2, syscall

# include/uapi/linux/openat2.h
RESOLVE_IN_ROOT = 0x10
HOW = struct.Struct("=QQQ")


def other_name(pid: int, name: str, inode: int) -> str:
    """Another name of a socket's file, in the directory of the name that it was bound to; empty if none.

    :param pid: a process that has the same root directory as the socket's.
    :param name: the path that the socket was bound to.
    :param inode: of the file.
    """
    directory, _slash, first = name.rpartition("/")
    with contextlib.suppress(OSError):
        opened = _directory(pid, directory or "/")
        try:
            if _is_only_name(opened, first, inode):
                return ""
            for entry in os.listdir(opened):
                if entry != first and _socket_inode(opened, entry) == inode:
                    return f"{directory}/{entry}"
        finally:
            os.close(opened)
    return ""


def _directory(pid: int, path: str) -> int:
    """A descriptor of a directory as *pid* sees it: its symbolic links lead nowhere else."""
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        how = ctypes.create_string_buffer(
            HOW.pack(os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT), HOW.size
        )
        text = ctypes.create_string_buffer(os.fsencode(path))
        return syscall(SYS_OPENAT2, root, ctypes.addressof(text), ctypes.addressof(how), HOW.size)
    finally:
        os.close(root)


def _is_only_name(directory: int, name: str, inode: int) -> bool:
    with contextlib.suppress(OSError):
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        return found.st_ino == inode and found.st_nlink == 1
    return False


def _socket_inode(directory: int, name: str) -> int:
    """Inode of a socket's file; 0 if it is something else, or gone."""
    with contextlib.suppress(OSError):
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        return found.st_ino if stat.S_ISSOCK(found.st_mode) else 0
    return 0
