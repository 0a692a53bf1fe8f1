# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dirty-page tracking: which pages of a process may have changed since they were last sent.

A tracker may name too many pages (contents are compared afterwards) but never too few.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from typing import Protocol

from ..base.errors import PreflightError
from ..base.page_ranges import RangeSet
from ..kernel import write_protect
from ..kernel.cgroup import Cgroup
from ..kernel.process_memory import (
    PAGE_BYTES,
    PM_SOFT_DIRTY,
    Pagemap,
    anonymous_ranges,
    frames_that_differ,
    present_pages,
)
from ..kernel.processes import family, start_time
from .uffd_tracker import UFFD, UffdTracker

AUTO, COMPARE, SOFT_DIRTY = "auto", "compare", "soft-dirty"
NAMES = (AUTO, COMPARE, SOFT_DIRTY, UFFD)


class Tracker(Protocol):
    """What the rounds need of a tracker. All processes of a container are asked together.

    ``looks_at_all``: it names all memory in each round, not only what was written.
    """

    name: str
    looks_at_all: bool

    @property
    def notes(self) -> list[str]:
        """What went otherwise than the name says, one clause each."""

    def candidates(self, pids: list[int], frozen: bool) -> tuple[dict[int, RangeSet], float]:
        """Pages to look at, by process, and for how many ms the processes were frozen to find them.

        :param frozen: the container is frozen already, and for good: the last round.
        """


class CompareTracker:
    """Names every page that is there; whether it changed is left to the comparison. Any kernel."""

    name = COMPARE
    looks_at_all = True
    notes: list[str] = []  # noqa: RUF012 - nothing is ever added

    def candidates(self, pids: list[int], frozen: bool) -> tuple[dict[int, RangeSet], float]:
        return {pid: present_pages(pid) for pid in pids}, 0.0


class Frames:
    """Which page frame lay at each address of a process, to tell pages that mremap(2) put there.

    The kernel moves whole page tables (HAVE_MOVE_PMD, x86-64 and arm64) without setting soft-dirty bits.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], bytes] = {}

    def exchanged(self, pagemap: Pagemap, ranges: RangeSet) -> RangeSet:
        """Pages within *ranges* that lie in another frame than at the call before, or did not lie there."""
        kept: dict[tuple[int, int], bytes] = {}
        found: list[tuple[int, int]] = []
        for start, end in ranges:
            for first, last, entries in pagemap.tables(start, end):
                kept[first, last] = entries
                before = self._kept.get((first, last))
                if before is None:
                    found.append((first, last))
                elif entries != before:
                    found += frames_that_differ(first, before, entries)
        self._kept = kept
        return RangeSet(found)


class SoftDirtyTracker:
    """The kernel's soft-dirty bits (Documentation/admin-guide/mm/soft-dirty.rst).

    Reading the bits and clearing them are two steps, so the container is frozen for both. The first look
    at a process takes every page.
    """

    name = SOFT_DIRTY
    looks_at_all = False
    notes: list[str] = []  # noqa: RUF012 - nothing is ever added

    def __init__(self, cgroup: Cgroup) -> None:
        self._cgroup = cgroup
        self._seen: dict[int, tuple[str, Frames]] = {}

    def candidates(self, pids: list[int], frozen: bool) -> tuple[dict[int, RangeSet], float]:
        frozen_ms = 0.0 if frozen else self._cgroup.freeze()
        start = time.monotonic()
        try:
            found = {}
            # A fork between listing and freezing would be missed.
            for pid in pids if frozen else family(self._cgroup.first, self._cgroup.pids()):
                found[pid] = self._written(pid)
                if not frozen:
                    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as clear:
                        clear.write("4")
        finally:
            if not frozen:
                self._cgroup.thaw()
                frozen_ms += (time.monotonic() - start) * 1000
        return found, frozen_ms

    def _written(self, pid: int) -> RangeSet:
        born, ranges = start_time(pid), anonymous_ranges(pid)
        known, frames = self._seen.get(pid, ("", None))
        if known != born or frames is None:
            frames = Frames()
            self._seen[pid] = born, frames
        if not ranges:
            # It has ended.
            return ranges
        with Pagemap(pid) as pagemap:
            exchanged = frames.exchanged(pagemap, ranges)
            return pagemap.soft_dirty(ranges - exchanged) | pagemap.present(exchanged)


def soft_dirty_works() -> bool:
    """Whether this kernel tracks soft-dirty pages, found out on a page of this process."""
    try:
        page = mmap.mmap(-1, PAGE_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page[0] = 1
        holder = ctypes.c_char.from_buffer(page)
        address = ctypes.addressof(holder)

        def dirty() -> bool:
            with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
                entry = os.pread(pagemap.fileno(), 8, address // PAGE_BYTES * 8)
            return bool(int.from_bytes(entry, "little") & PM_SOFT_DIRTY)

        with open("/proc/self/clear_refs", "w", encoding="ascii") as clear:
            clear.write("4")
        clean = dirty()
        page[0] = 2
        written = dirty()
        del holder
        page.close()
    except OSError:
        return False
    return written and not clean


def obstacles() -> dict[str, str]:
    """For each tracker that needs something of the host: why it does not work here, or nothing."""
    return {
        SOFT_DIRTY: ""
        if soft_dirty_works()
        else "the kernel does not track soft-dirty pages (CONFIG_MEM_SOFT_DIRTY is off)",
        UFFD: write_protect.obstacle(),
    }


def best(against: dict[str, str]) -> tuple[str, str]:
    """The tracker that C(auto) takes, and why, by what :func:`obstacles` found."""
    if not against[SOFT_DIRTY]:
        return SOFT_DIRTY, "the kernel tracks soft-dirty pages"
    if not against[UFFD]:
        return UFFD, "the kernel has no soft-dirty pages, but tells written ones by userfaultfd"
    return COMPARE, f"the kernel does not track soft-dirty pages, and for uffd {against[UFFD]}"


def check(name: str, against: dict[str, str], host: str) -> None:
    """:raises PreflightError: tracker *name* does not work on *host*."""
    if against.get(name):
        raise PreflightError(
            f"tracker `{name}` was asked for, but {against[name]} on {host}; use `auto` or `compare`"
        )


def choose(name: str, cgroup: Cgroup) -> tuple[Tracker, str]:
    """The tracker to use for *name*, and a sentence that says why.

    :raises MigrationError: *name* is not possible on this host.
    """
    if name == COMPARE:
        return CompareTracker(), "asked for"
    against = obstacles()
    why = "asked for"
    if name == AUTO:
        name, why = best(against)
    check(name, against, "this host")
    if name == UFFD:
        return UffdTracker(cgroup), why
    return (SoftDirtyTracker(cgroup) if name == SOFT_DIRTY else CompareTracker()), why


def explain(tracker: Tracker, why: str) -> str:
    """*why* the tracker was chosen, and what has to be added after the rounds."""
    return "; ".join([why, *tracker.notes])
