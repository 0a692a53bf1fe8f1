# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Epoll sets that wait for files which their own process does not have open.

A file stays in a set until nobody has it open: after a close(2) beside a fork it may be another process's
alone, or on its way in a message. CRIU looks for it among the descriptors of the process that it finds the
set with first (``flush_eventpoll_dinfo_queue``, criu/eventpoll.c).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .calls import duplicate, syscall
from .kcmp import EPOLL_TFD, is_same_file

EPOLL = "anon_inode:[eventpoll]"
# include/uapi/linux/eventpoll.h, struct epoll_params.
EPIOCGPARAMS, EPOLL_PARAMS_BYTES = 0x80088A02, 8
TARGET = re.compile(r"^tfd:\s*(\d+) .*?ino:([0-9a-f]+)", re.MULTILINE)

# Process -> its descriptors, each with what /proc/PID/fd says that it is.
Descriptors = Mapping[int, Mapping[int, str]]


class Stranger(NamedTuple):
    """A file that a set waits for and that its process does not have.

    :ivar process: of the set, as :attr:`descriptor` is.
    :ivar number: of the file when it was added.
    """

    process: int
    descriptor: int
    number: int


class _Slot(ctypes.Structure):
    """``struct kcmp_epoll_slot``: the *nth* file of that number in the set."""

    _fields_ = (("efd", ctypes.c_uint32), ("tfd", ctypes.c_uint32), ("toff", ctypes.c_uint32))


def polls_busily(pid: int, descriptor: int) -> bool:
    """Whether that set was told how to wait for network devices (EPIOCSPARAMS, since Linux 6.9)."""
    with contextlib.suppress(OSError), duplicate(pid, descriptor) as ours:
        return any(fcntl.ioctl(ours, EPIOCGPARAMS, bytes(EPOLL_PARAMS_BYTES)))
    return False


def strangers(descriptors: Descriptors) -> Iterator[Stranger]:
    """:param descriptors: of all processes, in the order in which CRIU dumps them."""
    seen: list[tuple[int, int]] = []
    for pid, files in descriptors.items():
        for number, link in files.items():
            if link == EPOLL and not any(is_same_file(pid, number, *other) for other in seen):
                seen.append((pid, number))
                with contextlib.suppress(OSError):
                    yield from _strangers_of(pid, number, descriptors)


def _strangers_of(pid: int, descriptor: int, descriptors: Descriptors) -> Iterator[Stranger]:
    with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as info:
        targets = TARGET.findall(info.read())
    times: dict[int, int] = {}
    for text, inode in targets:
        number = int(text)
        slot = _Slot(descriptor, number, times.get(number, 0))
        times[number] = slot.toff + 1
        if not (number in descriptors[pid] and _is_at(pid, number, pid, slot)):
            first = next(_places(pid, slot, int(inode, 16), descriptors), None)
            if first != pid:
                yield Stranger(pid, descriptor, number)


def _places(pid: int, slot: _Slot, inode: int, descriptors: Descriptors) -> Iterator[int]:
    """Processes that have the file of *slot* open, in CRIU's order, as far as it has come by then."""
    for other, files in descriptors.items():
        for number, link in files.items():
            # Anonymous inodes share one number; what has a path tells none.
            kept = link.endswith(f":[{inode}]") or not link.startswith(("socket:", "pipe:"))
            if kept and _is_at(other, number, pid, slot):
                yield other
        if other == pid:
            return


def _is_at(pid: int, number: int, owner: int, slot: _Slot) -> bool:
    """Whether a descriptor is the file in a set of *owner*."""
    with contextlib.suppress(OSError):
        return syscall("kcmp", pid, owner, EPOLL_TFD, number, ctypes.addressof(slot)) == 0
    return False


def in_dump_order(parents: Mapping[int, int], first: int) -> Iterable[int]:
    """Processes as CRIU walks them: each before its children, the oldest of these first.

    :param parents: process -> its parent.
    """
    order: list[int] = []
    left = [first]
    while left:
        pid = left.pop()
        if pid in parents and pid not in order:
            order.append(pid)
            left += sorted((child for child, parent in parents.items() if parent == pid), reverse=True)
    return order
