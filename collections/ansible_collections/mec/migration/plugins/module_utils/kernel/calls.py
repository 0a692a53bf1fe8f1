# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls by number, where the C library has no function for them or does more than the call.

Calls that are younger than Linux 5.0 have the same number on every processor, older ones do not.
Sources: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
from collections.abc import Iterator

from .libc import libc

_NUMBERS = {
    "x86_64": {
        "setresuid": 117,
        "setresgid": 119,
        "ioprio_set": 251,
        "ioprio_get": 252,
        "kcmp": 312,
        "bpf": 321,
        "userfaultfd": 323,
    },
    "aarch64": {
        "ioprio_set": 30,
        "ioprio_get": 31,
        "setresuid": 147,
        "setresgid": 149,
        "kcmp": 272,
        "bpf": 280,
        "userfaultfd": 282,
    },
}
# As ``uname -m`` says them.
PROCESSORS = tuple(_NUMBERS)
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT = 428, 429, 430, 431, 432
SYS_PIDFD_OPEN, SYS_OPENAT2, SYS_PIDFD_GETFD, SYS_MOUNT_SETATTR = 434, 437, 438, 442

libc.syscall.restype = ctypes.c_long


def number_of(name: str) -> int:
    """The number of a system call on this machine.

    :raises OSError: it is not known for this processor.
    """
    machine = platform.machine()
    if machine not in _NUMBERS:
        raise OSError(errno.ENOSYS, f"the number of {name} is not known for {machine}")
    return _NUMBERS[machine][name]


def syscall(call: str | int, *arguments: int | bytes) -> int:
    """A system call of this process, by its name or its number.

    :param arguments: of bytes the call gets the address; it must only read them.
    :raises OSError: it failed.
    """
    number = number_of(call) if isinstance(call, str) else call
    result = int(libc.syscall(ctypes.c_long(number), *map(_passed, arguments)))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _passed(argument: int | bytes) -> ctypes.c_long | bytes:
    return argument if isinstance(argument, bytes) else ctypes.c_long(argument)


@contextlib.contextmanager
def duplicate(pid: int, descriptor: int) -> Iterator[int]:
    """As :func:`duplicate_of`, and closed again."""
    ours = duplicate_of(pid, descriptor)
    try:
        yield ours
    finally:
        os.close(ours)


def duplicate_of(pid: int, descriptor: int) -> int:
    """Our own duplicate of another process's descriptor, to be closed by the caller.

    :raises OSError: the process or its descriptor is gone.
    """
    process = syscall(SYS_PIDFD_OPEN, pid, 0)
    try:
        return syscall(SYS_PIDFD_GETFD, process, descriptor, 0)
    finally:
        os.close(process)
