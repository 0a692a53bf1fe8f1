# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a process (setrlimit(2)) and its personality(2), and limits of ours, as /proc tells of them."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from .processes import status

DESCRIPTORS, ADDRESS_SPACE = "Max open files", "Max address space"
# Columns of /proc/PID/limits, after the name.
SOFT, HARD = 0, 1
CAP_SYS_RESOURCE = 24


class Limits(NamedTuple):
    """Limits of a process, soft ones if nothing else is said; None for one that it does not have.

    :ivar descriptors: the number that its file descriptors stay below.
    :ivar most_descriptors: what it may raise that to (its hard limit).
    """

    descriptors: int | None = None
    address_space_bytes: int | None = None
    most_descriptors: int | None = None


def limits(pid: int) -> Limits:
    """None for all if it is gone."""
    found: dict[tuple[str, int], int] = {}
    with contextlib.suppress(OSError), open(f"/proc/{pid}/limits", encoding="ascii") as lines:
        for line in lines:
            for name in (DESCRIPTORS, ADDRESS_SPACE):
                if line.startswith(name):
                    for column, value in enumerate(line[len(name) :].split()[:2]):
                        if value != "unlimited":
                            found[name, column] = int(value)
    return Limits(
        found.get((DESCRIPTORS, SOFT)), found.get((ADDRESS_SPACE, SOFT)), found.get((DESCRIPTORS, HARD))
    )


def may_exceed_limits() -> bool:
    """Whether we have CAP_SYS_RESOURCE, as root has it outside containers."""
    return bool(int(status("self", "CapEff") or "0", 16) >> CAP_SYS_RESOURCE & 1)


def largest_pipe_bytes() -> int | None:
    """What we may let a pipe hold (F_SETPIPE_SZ); None if there is no limit."""
    if may_exceed_limits():
        return None
    with open("/proc/sys/fs/pipe-max-size", encoding="ascii") as most:
        return int(most.read())


def personality(pid: int) -> int:
    """Of the first thread that has any; 0 is that of nearly all programs."""
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with (
                contextlib.suppress(OSError),
                open(f"/proc/{pid}/task/{thread}/personality", encoding="ascii") as file,
            ):
                found = int(file.read(), 16)
                if found:
                    return found
    return 0
