# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags of files and directories that chattr(1) sets (ioctl_iflags(2)).

Who finds a file immutable (+i) or only to be appended to (+a) may not change, rename or remove it, root
included; of a directory this holds for the names in it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct

from .libc import libc
from .rooted import Root

# include/uapi/linux/fs.h
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
SYNC, IMMUTABLE, APPEND, NODUMP, NOATIME, DIRSYNC = 0x8, 0x10, 0x20, 0x40, 0x80, 0x10000
PROTECTIVE = IMMUTABLE | APPEND
# The others belong to the file system: how it stores the file, or what it knows of it.
MOVED = PROTECTIVE | SYNC | NODUMP | NOATIME | DIRSYNC
# The ioctl's number speaks of a long; what the kernel reads and writes is an int.
_INT = struct.Struct("=i")
# include/uapi/linux/fcntl.h. Its structure has 256 bytes; the third field, of 64 bits, has those of the flags
# that it knows, by the same numbers.
AT_FDCWD, AT_STATX_DONT_SYNC, STATX_BYTES = -100, 0x4000, 256
STATX_ATTRIBUTES = struct.Struct("=8xQ")


def read_flags(fd: int) -> int:
    """Those of :data:`MOVED` that a file or directory has; none where the file system knows no flags."""
    return _all(fd) & MOVED


def protection(path: str) -> int:
    """Those of :data:`PROTECTIVE` that *path* has. Nothing is opened for that, so that no lease ends."""
    answer = ctypes.create_string_buffer(STATX_BYTES)
    # Not every C library has it.
    statx = getattr(libc, "statx", None)
    if statx is None or statx(AT_FDCWD, os.fsencode(path), AT_STATX_DONT_SYNC, 0, answer):
        return 0
    return int(STATX_ATTRIBUTES.unpack_from(answer)[0]) & PROTECTIVE


def set_flags(fd: int, flags: int) -> None:
    """Give it those of :data:`MOVED` that *flags* has, and no others of them.

    A file system that does not know those which only advise is given the protective ones.

    :raises OSError: it does not know these either, or the kernel refuses (CAP_LINUX_IMMUTABLE).
    """
    present, flags = _all(fd), flags & MOVED
    if present & MOVED == flags:
        return
    try:
        _set(fd, present & ~MOVED | flags)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
            raise
        if present & PROTECTIVE != flags & PROTECTIVE:
            _set(fd, present & ~PROTECTIVE | flags & PROTECTIVE)


def unprotect(root: Root, path: str, *, below: bool) -> dict[str, int]:
    """Let *path* and the directory that it is in be changed.

    :param below: and all that is below it, so that it can be removed.
    :returns: the flags that were there, by path, of those that were protected.
    """
    found: dict[str, int] = {}
    if path:
        _unprotect_one(root, path.rpartition("/")[0], found)
    waiting = [path]
    while waiting:
        path = waiting.pop()
        if _unprotect_one(root, path, found) and below:
            with os.scandir(root.directory(path)) as entries:
                waiting += [f"{path}/{entry.name}" if path else entry.name for entry in entries]
    return found


def open_flagged(root: Root, path: str) -> int:
    """A descriptor of what can have flags, which the caller closes; -1 if *path* is no file or directory."""
    status = root.lstat(path)
    if status is not None and stat.S_ISDIR(status.st_mode):
        return os.dup(root.directory(path))
    return root.open_file(path) if status is not None and stat.S_ISREG(status.st_mode) else -1


def _unprotect_one(root: Root, path: str, found: dict[str, int]) -> bool:
    """Whether *path* is a directory."""
    fd = open_flagged(root, path)
    if fd < 0:
        return False
    try:
        flags = _all(fd)
        if flags & PROTECTIVE:
            found[path] = flags & MOVED
            _set(fd, flags & ~PROTECTIVE)
        return stat.S_ISDIR(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def _all(fd: int) -> int:
    flags = bytearray(_INT.size)
    try:
        fcntl.ioctl(fd, FS_IOC_GETFLAGS, flags)
    except OSError:
        return 0
    return int(_INT.unpack(flags)[0])


def _set(fd: int, flags: int) -> None:
    fcntl.ioctl(fd, FS_IOC_SETFLAGS, _INT.pack(flags))
