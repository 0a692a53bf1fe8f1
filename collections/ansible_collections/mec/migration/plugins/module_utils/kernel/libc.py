# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of the C library that Python has no function for."""

from __future__ import annotations

import ctypes
import os

MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, call: str) -> int:
    """What a call returned that did not fail; it was made by a library with ``use_errno``.

    :param call: its name, for the error.
    :raises OSError: it failed, which the C library says by a negative number.
    """
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
    return result


def unmount(point: str) -> None:
    """Take away what is mounted there. Who uses it at that moment keeps it (MNT_DETACH of umount2(2)).

    :raises OSError: nothing is mounted there, or the kernel does not allow it.
    """
    check(_libc.umount2(os.fsencode(point), MNT_DETACH), "umount2")
