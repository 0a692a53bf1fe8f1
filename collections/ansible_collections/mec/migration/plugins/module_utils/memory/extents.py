# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where on the target the content of a process's pages lies until it is in place."""

from __future__ import annotations

import bisect
import ctypes
import mmap
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..base.page_ranges import RangeSet

MAP_POPULATE = 0x8000


class Extent(NamedTuple):
    """[start, end) of a process, whose content lies at *source* in this process's memory."""

    start: int
    end: int
    source: int

    def part(self, start: int, end: int) -> Extent:
        """What of it lies in [start, end)."""
        first = max(self.start, start)
        return Extent(first, min(self.end, end), self.source + first - self.start)


class Mapped:
    """A pages file in this process's memory.

    :param filled: every page of it has content: map them at once, so that copying out takes no faults.
    """

    def __init__(self, path: str, *, filled: bool = True) -> None:
        self.path = path
        flags = mmap.MAP_SHARED | (MAP_POPULATE if filled else 0)
        size = os.path.getsize(path)
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(fd, size, flags) if size else None
        finally:
            os.close(fd)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map)) if self._map else 0


class Extents:
    """Extents in order of address that do not overlap.

    There may be tens of thousands, and they are changed in the frozen window: what is near an address is
    found by bisection.
    """

    def __init__(self, extents: Iterable[Extent] = ()) -> None:
        self._sorted = sorted(extents)

    def __iter__(self) -> Iterator[Extent]:
        return iter(self._sorted)

    def __bool__(self) -> bool:
        return bool(self._sorted)

    def put(self, extent: Extent) -> None:
        """In place of what was there before."""
        self._replace(extent.start, extent.end, [extent])

    def add(self, extents: Iterable[Extent]) -> None:
        """Many that overlap nothing that is here, nor each other: much sooner than one by one."""
        self._sorted.extend(extents)
        self._sorted.sort()

    def drop(self, start: int, end: int) -> list[Extent]:
        """Take [start, end) out; returns those parts."""
        return self._replace(start, end, [])

    def take_last(self, size_bytes: int) -> Extent:
        """Take out the last *size_bytes* of the last extent, or all of it if it is smaller."""
        last = self._sorted.pop()
        if last.end - last.start <= size_bytes:
            return last
        self._sorted.append(last.part(last.start, last.end - size_bytes))
        return last.part(last.end - size_bytes, last.end)

    def take_from(self, address: int, most_bytes: int) -> Extent | None:
        """Take out the first *most_bytes* of the first extent that ends behind *address*, from there on; None
        if there is none.
        """
        at = self._first(address)
        if at == len(self._sorted):
            return None
        start = max(address, self._sorted[at].start)
        (found,) = self.drop(start, min(start + most_bytes, self._sorted[at].end))
        return found

    def between(self, start: int, end: int) -> list[Extent]:
        """Those parts that lie in [start, end)."""
        return self.within(RangeSet.ordered([(start, end)]))

    def within(self, wanted: RangeSet) -> list[Extent]:
        """Those parts that lie in *wanted*."""
        found: list[Extent] = []
        if not wanted:
            return found
        extents = self._sorted
        at = self._first(wanted.ranges[0].start)
        for start, end in wanted:
            while at < len(extents) and extents[at].end <= start:
                at += 1
            while at < len(extents) and extents[at].start < end:
                extent = extents[at]
                if start <= extent.start and extent.end <= end:
                    found.append(extent)
                    at += 1
                    continue
                found.append(extent.part(start, end))
                if extent.end > end:
                    break
                at += 1
        return found

    def _first(self, address: int) -> int:
        """Where the first extent is that ends behind *address*."""
        at = bisect.bisect_left(self._sorted, (address,))
        return at - 1 if at and self._sorted[at - 1].end > address else at

    def _replace(self, start: int, end: int, put: list[Extent]) -> list[Extent]:
        extents = self._sorted
        first = last = self._first(start)
        dropped = []
        while last < len(extents) and extents[last].start < end:
            dropped.append(extents[last].part(start, end))
            last += 1
        before, behind = [], []
        if dropped:
            if extents[first].start < start:
                before = [extents[first].part(extents[first].start, start)]
            if extents[last - 1].end > end:
                behind = [extents[last - 1].part(end, extents[last - 1].end)]
        extents[first:last] = before + put + behind
        return dropped
