# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sorted, disjoint ranges of page-aligned addresses: which pages exist, are known, were sent.

All bounds are byte addresses, ends exclusive. Set operations are merges, linear in what they pass over.
"""

from __future__ import annotations

import bisect
import mmap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

PAGE_BYTES = mmap.PAGESIZE
# With page tables of five levels, the largest of any 64-bit machine.
ADDRESS_SPACE_BYTES = 1 << 56


class Range(NamedTuple):
    start: int
    end: int


class Run(NamedTuple):
    """A range on its way to the target; without data it is pages of zeros."""

    start: int
    end: int
    has_data: bool


def pack_runs(runs: Iterable[Run]) -> list[int]:
    """Small numbers for ordered runs of pages: the gap before each, then twice its pages, plus 1 for data."""
    packed: list[int] = []
    at = 0
    for start, end, has_data in runs:
        packed += ((start - at) // PAGE_BYTES, (end - start) // PAGE_BYTES * 2 + has_data)
        at = end
    return packed


def unpack_runs(packed: list[int]) -> list[Run]:
    """What :func:`pack_runs` was given.

    :raises ValueError: they are not in order, empty, or beyond every address space.
    """
    if len(packed) % 2:
        raise ValueError("a run of pages is cut short")
    runs = []
    at = 0
    for gap, size in zip(packed[::2], packed[1::2]):
        if gap < 0 or size < 2:
            raise ValueError("runs of pages out of order")
        start = at + gap * PAGE_BYTES
        at = start + (size >> 1) * PAGE_BYTES
        if at > ADDRESS_SPACE_BYTES:
            raise ValueError(f"a run of pages ends at {at:#x}, beyond every address space")
        runs.append(Run(start, at, bool(size & 1)))
    return runs


class RangeSet:
    """An immutable set of addresses, kept as sorted ranges that neither overlap nor touch."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        merged: list[Range] = []
        for start, end in sorted(ranges):
            if end <= start:
                continue
            if merged and start <= merged[-1].end:
                if end > merged[-1].end:
                    merged[-1] = Range(merged[-1].start, end)
            else:
                merged.append(Range(start, end))
        self.ranges = merged

    @classmethod
    def ordered(cls, ranges: Iterable[tuple[int, int]]) -> RangeSet:
        """Of ranges that are sorted and do not overlap (they may touch); sorting is spared."""
        made = cls()
        merged = made.ranges
        for start, end in ranges:
            if merged and merged[-1].end == start:
                merged[-1] = Range(merged[-1].start, end)
            else:
                merged.append(Range(start, end))
        return made

    def __iter__(self) -> Iterator[Range]:
        return iter(self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(tuple(self.ranges))

    def __repr__(self) -> str:
        return f"RangeSet({[(hex(start), hex(end)) for start, end in self.ranges]})"

    @property
    def size_bytes(self) -> int:
        return sum(end - start for start, end in self.ranges)

    def __or__(self, other: RangeSet) -> RangeSet:
        return RangeSet([*self.ranges, *other.ranges])

    def __and__(self, other: RangeSet) -> RangeSet:
        found: list[tuple[int, int]] = []
        theirs = other.ranges
        at = self._first(theirs)
        for start, end in self.ranges:
            while at < len(theirs) and theirs[at].end <= start:
                at += 1
            step = at
            while step < len(theirs) and theirs[step].start < end:
                found.append((max(start, theirs[step].start), min(end, theirs[step].end)))
                step += 1
        return RangeSet(found)

    def __sub__(self, other: RangeSet) -> RangeSet:
        left: list[tuple[int, int]] = []
        theirs = other.ranges
        at = self._first(theirs)
        for start, end in self.ranges:
            while at < len(theirs) and theirs[at].end <= start:
                at += 1
            cursor, step = start, at
            while step < len(theirs) and theirs[step].start < end:
                if theirs[step].start > cursor:
                    left.append((cursor, theirs[step].start))
                cursor = max(cursor, theirs[step].end)
                step += 1
            if cursor < end:
                left.append((cursor, end))
        return RangeSet(left)

    def _first(self, theirs: list[Range]) -> int:
        """Where in *theirs* to begin: few ranges against many must not cost a walk through all."""
        return max(0, bisect.bisect_left(theirs, self.ranges[0]) - 1) if self.ranges else 0
