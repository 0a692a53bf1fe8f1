# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that a process has locked and that CRIU restores unlocked.

CRIU maps what parent and child have at the same addresses once, in the parent, and has the child inherit it
(``check_cow_vmas`` in criu/mem.c). A lock on memory is not inherited.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from ..base.page_ranges import RangeSet
from ..kernel.process_memory import Area, areas, flagged_ranges
from ..kernel.processes import locked_bytes


def unlocked(parents: Mapping[int, int]) -> dict[int, int]:
    """Process -> bytes that it has locked and that will not be.

    :param parents: process -> its parent. One that has none among these is CRIU's own child.
    """
    found = {}
    for pid, parent in parents.items():
        if parent in parents:
            with contextlib.suppress(OSError):
                if count := inherited_locked_bytes(pid, parent):
                    found[pid] = count
    return found


def inherited_locked_bytes(pid: int, parent: int) -> int:
    """How much of what *pid* has locked it would inherit from *parent* instead.

    :raises OSError: one of them is gone.
    """
    if not locked_bytes(pid) or os.readlink(f"/proc/{pid}/exe") != os.readlink(f"/proc/{parent}/exe"):
        return 0
    of_parent = {(area.start, area.end) for area in areas(parent) if _is_private(area)}
    of_both = [
        (area.start, area.end)
        for area in areas(pid)
        if _is_private(area) and (area.start, area.end) in of_parent
    ]
    return (flagged_ranges(pid, "lo") & RangeSet(of_both)).size_bytes


def _is_private(area: Area) -> bool:
    return area.permissions.endswith("p")
