# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Terminals that nobody else may open (TIOCEXCL, ioctl_tty(2)), which CRIU does not bring back.

Whether one is such a terminal is asked of a duplicate of the process's descriptor, and set through one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
from collections.abc import Iterable, Iterator

from .calls import duplicate
from .processes import descriptors

# include/uapi/asm-generic/ioctls.h
TIOCEXCL, TIOCGEXCL = 0x540C, 0x80045440
# Major numbers of pseudo terminals' two ends; /dev/ptmx is 5, 2.
PTS, PTMX = range(136, 144), os.makedev(5, 2)


def exclusive(pids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(process, file descriptor) of each such terminal, once for each process that has it."""
    for pid in pids:
        seen: set[int] = set()
        for descriptor, device in _terminals(pid):
            with contextlib.suppress(OSError), duplicate(pid, descriptor) as ours:
                is_exclusive = int.from_bytes(fcntl.ioctl(ours, TIOCGEXCL, bytes(4)), "little")
                # Each master is the same device.
                if is_exclusive and (device == PTMX or device not in seen):
                    seen.add(device)
                    yield pid, descriptor


def make_exclusive(pid: int, descriptor: int) -> str:
    """Why it could not be done; empty if it was, or if it is no terminal any more: closed meanwhile."""
    try:
        with duplicate(pid, descriptor) as ours:
            fcntl.ioctl(ours, TIOCEXCL)
    except OSError as error:
        return "" if error.errno in (errno.EBADF, errno.ENOTTY) else str(error.strerror)
    return ""


def is_hung_up(pid: int, descriptor: int) -> bool:
    """Whether nobody has the other end of a terminal open any more, or this one is gone."""
    with contextlib.suppress(OSError), duplicate(pid, descriptor) as ours:
        waiting = select.poll()
        waiting.register(ours, 0)
        return any(events & select.POLLHUP for _ours, events in waiting.poll(0))
    return True


def _terminals(pid: int) -> Iterator[tuple[int, int]]:
    """File descriptors of a process's pseudo terminals, and the number of each device."""
    for number, link in descriptors(pid):
        # What it is called is quicker to ask than what it is.
        if link.startswith("/dev/p"):
            with contextlib.suppress(OSError):
                found = os.stat(f"/proc/{pid}/fd/{number}")
                is_terminal = os.major(found.st_rdev) in PTS or found.st_rdev == PTMX
                if stat.S_ISCHR(found.st_mode) and is_terminal:
                    yield number, found.st_rdev
