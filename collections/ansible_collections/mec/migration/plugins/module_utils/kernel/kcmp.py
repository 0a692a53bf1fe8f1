# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether processes have something in common, or their descriptors are the same open file (kcmp(2))."""

from __future__ import annotations

import contextlib

from .calls import syscall

# include/uapi/linux/kcmp.h
FILE, VM, FILES, FS, EPOLL_TFD = 0, 1, 2, 3, 7


def compare(task: int, other: int, what: int) -> int:
    """0: both have the same *what*. 1 or 2: each has its own. 3: it cannot be compared.

    :param task: number of a process or thread, as *other* is.
    :param what: :data:`VM`, :data:`FILES` or :data:`FS`.
    :raises OSError: one of them is gone, or the kernel has no kcmp.
    """
    return syscall("kcmp", task, other, what, 0, 0)


def is_same_file(pid: int, descriptor: int, other: int, others_descriptor: int) -> bool:
    """Whether both are one open file; not if a process is gone or has no such descriptor."""
    with contextlib.suppress(OSError):
        return syscall("kcmp", pid, other, FILE, descriptor, others_descriptor) == 0
    return False
