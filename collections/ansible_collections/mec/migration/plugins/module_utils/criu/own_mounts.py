# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRIU with mounts of its own: files laid over others, and without lines that it cannot read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from ..base.threads import InThread
from ..kernel.libc import call, unmount

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_SLAVE = 1 << 12, 1 << 14, 1 << 19
# criu/proc_parse.c reads mountinfo in pieces of 4096 bytes, the end of the line and a zero included.
LONGEST_LINE_BYTES = 4094

Value = TypeVar("Value")


def unreadable_mounts(pid: int | str = "self") -> list[str]:
    """Mount points whose line in /proc/PID/mountinfo is too long for CRIU, inner ones first.

    A container whose image has some 69 layers makes such a line. One is enough, and no process that sees
    it can be dumped.
    """
    found = []
    with open(f"/proc/{pid}/mountinfo", "rb") as lines:
        for line in lines:
            if len(line.rstrip(b"\n")) > LONGEST_LINE_BYTES:
                found.append(os.fsdecode(line.split(b" ", 5)[4]))
    return found[::-1]


def with_own_mounts(start: Callable[[], Value], laid_over: Mapping[str, str] | None = None) -> Value:
    """Call *start* where *laid_over* (path -> file that lies there) holds and mounts are readable.

    In a thread with a mount namespace of its own, which what it starts inherits. Where there is nothing to
    change, *start* is called as it is.

    :raises OSError: the kernel does not allow it.
    """
    hidden = unreadable_mounts()
    if not hidden and not laid_over:
        return start()

    def apart() -> Value:
        call("unshare", CLONE_NEWNS)
        call("mount", None, b"/", None, MS_REC | MS_SLAVE, None)
        for point in hidden:
            unmount(point)
        for path, copy in (laid_over or {}).items():
            call("mount", os.fsencode(copy), os.fsencode(path), None, MS_BIND, None)
        return start()

    return InThread(apart).result()
