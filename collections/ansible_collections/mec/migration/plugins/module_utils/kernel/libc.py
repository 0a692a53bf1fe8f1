# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The C library, which is loaded here, and calls of it that Python has no function for."""

from __future__ import annotations

import ctypes
import os
from typing import Any

MNT_DETACH = 2
# madvise(2) of memory that belongs to a file: its pages are given back.
MADV_REMOVE = 9

libc = ctypes.CDLL(None, use_errno=True)
# Of functions that take addresses and sizes: what is not said here ctypes passes as an int of 32 bits.
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]


def call(name: str, *arguments: Any) -> int:
    """What a function of the C library returns, which says by a negative number that it failed.

    :raises OSError: it failed.
    """
    result = int(getattr(libc, name)(*arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def unmount(point: str) -> None:
    """Take away what is mounted there. Who uses it at that moment keeps it (MNT_DETACH of umount2(2)).

    :raises OSError: nothing is mounted there, or the kernel does not allow it.
    """
    call("umount2", os.fsencode(point), MNT_DETACH)
