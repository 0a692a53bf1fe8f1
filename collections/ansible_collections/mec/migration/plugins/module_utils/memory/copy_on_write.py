# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that forked processes share until one of them writes it, and how it becomes shared again.

Memory that is filled lazily is filled for each process by itself, so every process would get a copy of its
own. CRIU's own restore keeps the sharing: a process is forked from its parent after the parent's memory is
in place, and keeps a page that it has from there if the page's content agrees with its own (``memcmp`` in
``restore_priv_vma_content``, criu/mem.c). So what agrees is left to CRIU, and only the rest is filled lazily.
CRIU compares anew, so it does no harm if a page is written after it was found to agree.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypedDict

from ..base.errors import MigrationError
from ..base.page_ranges import RangeSet, Run, pack_runs, unpack_runs
from ..criu.images import (
    PE_LAZY,
    PE_PARENT,
    PE_PRESENT,
    PagemapEntry,
    entry_of,
    image_names,
    read_pagemap,
    write_pagemap,
)
from ..kernel.libc import MADV_REMOVE, libc
from ..kernel.process_memory import PAGE_BYTES, Area, areas
from ..kernel.processes import memory_bytes, status
from .comparison import compared
from .extents import Extent, Extents, Mapped
from .sharing_limits import FREE_SHARE, LIMIT_SHARE, WORTHWHILE_BYTES


class Fork(NamedTuple):
    """A process and the one it was forked from, by their numbers in the container.

    :ivar ranges: the mappings that both have at the same place: what CRIU compares.
    """

    number: int
    parent: int
    ranges: RangeSet


def forks(pids: dict[int, int]) -> list[Fork]:
    """Which processes may share memory with their parents.

    :param pids: number on the host -> number in the container.
    """
    found: list[Fork] = []
    mapped: dict[int, list[tuple[int, int]]] = {}

    def private(pid: int) -> list[tuple[int, int]]:
        if pid not in mapped:
            mapped[pid] = [_bounds(area) for area in areas(pid) if area.private_anonymous]
        return mapped[pid]

    for pid, number in pids.items():
        parent = int(status(pid, "PPid") or 0)
        if parent in pids and _same_program(pid, parent):
            theirs = set(private(parent))
            common = RangeSet(bounds for bounds in private(pid) if bounds in theirs)
            if common:
                found.append(Fork(number, pids[parent], common))
    return found


def _bounds(area: Area) -> tuple[int, int]:
    return area.start, area.end


def _same_program(pid: int, other: int) -> bool:
    """CRIU does not look for shared memory where the program file differs."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(f"/proc/{pid}/exe"), os.stat(f"/proc/{other}/exe"))
    return False


class Fields(TypedDict):
    """Of ``handover.prepare``: what the target must know before the freeze to keep the sharing.

    ``forks``: for each its number, its parent's, how many ranges, and these as :func:`pack_runs` has them.
    """

    forks: list[int]
    anonymous_bytes: int


def as_fields(pids: dict[int, int]) -> Fields:
    """:param pids: number on the host -> number in the container."""
    packed: list[int] = []
    for number, parent, ranges in forks(pids):
        packed += (number, parent, len(ranges.ranges))
        packed += pack_runs(Run(start, end, False) for start, end in ranges)
    return {"forks": packed, "anonymous_bytes": memory_bytes(list(pids))}


def unpack_forks(packed: list[int]) -> list[Fork]:
    """What :func:`as_fields` has packed.

    :raises ValueError: it has not.
    """
    found = []
    at = 0
    while at < len(packed):
        number, parent, count = packed[at : at + 3]
        at += 3
        if count < 0 or at + 2 * count > len(packed):
            raise ValueError("ranges of a process are missing")
        runs = unpack_runs(packed[at : at + 2 * count])
        found.append(Fork(number, parent, RangeSet.ordered((run.start, run.end) for run in runs)))
        at += 2 * count
    return found


def equal_pages(ours: Iterable[Extent], theirs: Iterable[Extent]) -> RangeSet:
    """Addresses of the pages that have the same content in both; both are in order of address."""
    found: list[tuple[int, int]] = []
    for start, end, first, second in _overlaps(list(ours), list(theirs)):
        found += [
            (start + at, start + stop) for at, stop, same in compared(first, second, end - start) if same
        ]
    return RangeSet.ordered(found)


def _overlaps(ours: list[Extent], theirs: list[Extent]) -> Iterator[tuple[int, int, int, int]]:
    """[start, end) that both have, and where the content of each lies."""
    at = 0
    for extent in ours:
        while at < len(theirs) and theirs[at].end <= extent.start:
            at += 1
        step = at
        while step < len(theirs) and theirs[step].start < extent.end:
            start, end = max(extent.start, theirs[step].start), min(extent.end, theirs[step].end)
            yield start, end, extent.part(start, end).source, theirs[step].part(start, end).source
            step += 1


def _free_bytes() -> int:
    """Of this host's memory, caches not counted."""
    return os.sysconf("SC_AVPHYS_PAGES") * PAGE_BYTES


class SharedPages:
    """On the target: the pages that are left to CRIU so that they become shared again.

    The content of a parent's pages lies in one file, where later rounds find it, too. A child's pages are
    read from its parent's file, as long as neither of the two has changed them.

    :param directory: for the files, on tmpfs.
    """

    def __init__(self, directory: str) -> None:
        self._dir = directory
        self._apart: dict[int, RangeSet] = {}
        self._changed: dict[int, RangeSet] = {}
        self._late: dict[int, RangeSet] = {}
        self._parents: dict[int, int] = {}
        self._maps: list[Mapped] = []
        self.saved_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._apart)

    def of(self, process: int) -> RangeSet:
        """The pages of *process* that are not to be filled lazily."""
        apart = self._apart.get(process)
        if not apart:
            return RangeSet()
        parent = self._parents.get(process)
        if parent is None:
            return apart - self._late.get(process, RangeSet())
        changed = [self._changed.get(each, RangeSet()) for each in (process, parent)]
        return apart - (changed[0] | changed[1])

    def find(
        self, wanted: list[Fork], newest: dict[int, Extents], anonymous_bytes: int, limit_bytes: int
    ) -> None:
        """Before the freeze: find them, and lay their content where CRIU can read it.

        :param newest: where the content of each process's pages lies; changed for that of parents.
        :param anonymous_bytes: what all processes take if nothing is shared.
        :param limit_bytes: the container's memory limit, 0: none.
        :raises MigrationError: more memory than that would be needed.
        """
        self._apart, self._changed, self._parents, self.saved_bytes = {}, {}, {}, 0
        self._late = {}
        apart: dict[int, RangeSet] = {}
        saved_bytes = 0
        for number, parent, ranges in wanted:
            if number in newest and parent in newest:
                equal = equal_pages(newest[number].within(ranges), newest[parent].within(ranges))
                if equal:
                    saved_bytes += equal.size_bytes
                    for process in (number, parent):
                        apart[process] = apart.get(process, RangeSet()) | equal
        tight = bool(limit_bytes) and anonymous_bytes > limit_bytes * LIMIT_SHARE
        if not saved_bytes or (saved_bytes < min(WORTHWHILE_BYTES, _free_bytes() * FREE_SHARE) and not tight):
            self._check_limit(anonymous_bytes, limit_bytes)
            return
        os.makedirs(self._dir, mode=0o700, exist_ok=True)
        parents = {fork.parent for fork in wanted if fork.parent in apart}
        for process in parents:
            self._move(process, apart[process], newest[process])
        self._parents = {
            number: parent for number, parent, _ranges in wanted if number in apart and number not in parents
        }
        self._apart, self.saved_bytes = apart, saved_bytes
        self._check_limit(anonymous_bytes, limit_bytes)

    def _check_limit(self, anonymous_bytes: int, limit_bytes: int) -> None:
        needed_bytes = anonymous_bytes - self.saved_bytes
        if limit_bytes and needed_bytes > limit_bytes:
            raise MigrationError(
                "the processes of the service share memory (copy-on-write) that CRIU cannot bring "
                f"back as shared: their memory would take {needed_bytes >> 20} MiB on the target, and the "
                f"container's limit is {limit_bytes >> 20} MiB. Raise the limit (docker update --memory) and "
                "start the migration again",
                phase="handover",
                container_state="running",
            )

    def changed(self, process: int, pages: RangeSet) -> None:
        """A round has brought other content of *pages*."""
        if process in self._apart:
            self._changed[process] = self._changed.get(process, RangeSet()) | pages

    def late(self, process: int, pages: RangeSet) -> None:
        """Other content of *pages* will come only when CRIU has read its own."""
        self.changed(process, pages)
        self._late[process] = self._late.get(process, RangeSet()) | pages

    def _move(self, process: int, pages: RangeSet, newest: Extents) -> None:
        names = image_names(process)
        path = os.path.join(self._dir, names.pages)
        with open(os.open(path + ".new", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "r+b") as file:
            file.truncate(pages.size_bytes)
        mapped = Mapped(path + ".new")
        place = mapped.address
        for start, end, source in newest.within(pages):
            ctypes.memmove(place, source, end - start)
            # Else the host would hold it twice.
            libc.madvise(source, end - start, MADV_REMOVE)
            newest.put(Extent(start, end, place))
            place += end - start
        os.replace(path + ".new", path)
        entries = [PagemapEntry(start, (end - start) // PAGE_BYTES, PE_PRESENT) for start, end in pages]
        write_pagemap(os.path.join(self._dir, names.pagemap), names.pages_id, entries)
        self._maps.append(mapped)

    def settle(self, final_dir: str, parent_dir: str) -> None:
        """In the window: let the images of the final dump find these pages below *parent_dir*."""
        for process in self._apart:
            path = os.path.join(final_dir, image_names(process).pagemap)
            if not os.path.exists(path):
                # It has ended.
                continue
            held = image_names(self._parents.get(process, process))
            self._show(held.pagemap, os.path.join(parent_dir, image_names(process).pagemap))
            self._show(held.pages, os.path.join(parent_dir, held.pages))
            pages_id, entries = read_pagemap(path)
            write_pagemap(path, pages_id, _left_to_criu(entries, self.of(process)))

    def _show(self, name: str, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        # Relative: CRIU reads it when the container's root is its own.
        os.symlink(
            os.path.relpath(os.path.join(self._dir, name), os.path.realpath(os.path.dirname(path))), path
        )


def _left_to_criu(entries: list[PagemapEntry], pages: RangeSet) -> Iterator[PagemapEntry]:
    """*entries*, those of *pages* that are lazy cut out and referred to the parent."""
    for entry in entries:
        if not entry.flags & PE_LAZY:
            yield entry
            continue
        whole = RangeSet([(entry.address, entry.address + entry.pages * PAGE_BYTES)])
        found = whole & pages
        parts = [entry_of(piece, PE_PARENT) for piece in found]
        parts += [entry_of(piece, entry.flags) for piece in whole - found]
        yield from sorted(parts)
