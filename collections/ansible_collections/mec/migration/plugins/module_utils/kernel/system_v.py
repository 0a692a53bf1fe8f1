# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared memory and semaphores of System V in an IPC namespace: ipc/shm.c and ipc/sem.c of Linux."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from .libc import call
from .namespaces import asked_in

# include/linux/shm.h and include/uapi/linux/ipc.h, shm.h: the two marks in the mode of a segment, and what
# sets them.
SHM_DEST, SHM_LOCKED = 0o1000, 0o2000
IPC_RMID, SHM_LOCK = 0, 11


class Marks(NamedTuple):
    """Of a segment of shared memory.

    :ivar to_go: its last user takes it along (IPC_RMID).
    :ivar locked: it is never swapped out (SHM_LOCK).
    """

    identifier: int
    to_go: bool
    locked: bool


def segments(pid: int) -> set[int]:
    """Identifiers of all in the IPC namespace of *pid*. :raises OSError: it is gone."""
    return {one.identifier for one in asked_in(pid, "ipc", _segments)}


def marked_segments(pid: int) -> list[Marks]:
    """The segments in the IPC namespace of *pid* that have a mark. :raises OSError: it is gone."""
    return [one for one in asked_in(pid, "ipc", _segments) if one.to_go or one.locked]


def mark_segments(pid: int, wanted: list[Marks]) -> list[str]:
    """Mark those that are there and are not marked yet; returns what could not be, as words.

    :raises OSError: *pid* is gone.
    """

    def mark() -> list[str]:
        refused = []
        present = {one.identifier: one for one in _segments()}
        for marks in wanted:
            found = present.get(marks.identifier)
            if found is None:
                continue
            # In this order: with IPC_RMID a segment goes at once if its users have ended meanwhile.
            for name, command, needed in (
                ("SHM_LOCK", SHM_LOCK, marks.locked and not found.locked),
                ("IPC_RMID", IPC_RMID, marks.to_go and not found.to_go),
            ):
                try:
                    if needed:
                        call("shmctl", marks.identifier, command, None)
                except OSError as error:
                    refused.append(f"{name} of segment {marks.identifier} ({error.strerror})")
        return refused

    return asked_in(pid, "ipc", mark)


def semaphore_sets(pid: int) -> int:
    """How many are in the IPC namespace of *pid*; none in the host's own, or if it is gone."""
    with contextlib.suppress(OSError):
        if os.readlink(f"/proc/{pid}/ns/ipc") != os.readlink("/proc/self/ns/ipc"):
            return asked_in(pid, "ipc", lambda: sum(1 for _row in _rows("sem")))
    return 0


def _segments() -> list[Marks]:
    # key shmid perms size ...
    modes = ((int(words[1]), int(words[2], 8)) for words in _rows("shm"))
    return [Marks(identifier, bool(mode & SHM_DEST), bool(mode & SHM_LOCKED)) for identifier, mode in modes]


def _rows(table: str) -> Iterator[list[str]]:
    """The words of each line, in the namespace of the thread that asks."""
    with open(f"/proc/sysvipc/{table}", encoding="ascii") as lines:
        # The heading.
        next(lines, "")
        for line in lines:
            yield line.split()
