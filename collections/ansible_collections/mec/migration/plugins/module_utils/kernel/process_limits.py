# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a process (setrlimit(2)) and its personality(2), as /proc tells of them."""

from __future__ import annotations

import contextlib

from .processes import status


def descriptor_limit(pid: int) -> int | None:
    """The number that its file descriptors stay below; None if it has no limit, or is gone."""
    return _soft_limit(pid, "Max open files")


def address_space_left(pid: int) -> int | None:
    """How many bytes more it may map; None if it has no limit, or is gone."""
    limit = _soft_limit(pid, "Max address space")
    words = status(pid, "VmSize").split()
    # A zombie has no size any more.
    return limit - int(words[0]) * 1024 if limit is not None and words else None


def personality(pid: int) -> int:
    """0 is that of nearly all programs."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/personality", encoding="ascii") as file:
        return int(file.read(), 16)
    return 0


def _soft_limit(pid: int, name: str) -> int | None:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/limits", encoding="ascii") as lines:
        for line in lines:
            if line.startswith(name):
                soft = line[len(name) :].split()[0]
                return None if soft == "unlimited" else int(soft)
    return None
