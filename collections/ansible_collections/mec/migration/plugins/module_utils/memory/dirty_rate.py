# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a container writes its memory, and how well that compresses, from pages that are read.

Reading needs no support of the kernel and freezes nobody. A page that is written twice in between counts
once, as it does in a round of pre-copy.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ..base.page_ranges import RangeSet
from ..kernel.process_memory import PAGE_BYTES, Reader, present_pages

SAMPLE_PAGES = 8192
# Pages next to each other are often written together; short runs from everywhere see more of them.
RUN_PAGES = 8
COMPRESSED_PAGES = 512


class DirtyRate(NamedTuple):
    """What the sample says of all private anonymous memory."""

    pages_per_s: float
    sampled_pages: int
    all_pages: int
    seconds: float


def sample(pages: RangeSet, wanted_pages: int) -> RangeSet:
    """Short runs of pages, evenly spread over *pages*: some *wanted_pages*, or all if there are no more."""
    total = pages.size_bytes // PAGE_BYTES
    if total <= wanted_pages:
        return pages
    step = total * RUN_PAGES // wanted_pages * PAGE_BYTES
    run = RUN_PAGES * PAGE_BYTES
    chosen: list[tuple[int, int]] = []
    # Where the next run starts, counted from the beginning of the range at hand.
    at = 0
    for start, end in pages:
        size = end - start
        while at < size:
            chosen.append((start + at, start + min(at + run, size)))
            at += step
        at -= size
    return RangeSet(chosen)


def dirty_rate(pids: list[int], seconds: float, sample_pages: int = SAMPLE_PAGES) -> DirtyRate:
    """Pages that the processes change in a second, estimated within *seconds*.

    Processes that end meanwhile do not count.
    """
    present, total = _present(pids)
    if not total:
        return DirtyRate(0.0, 0, 0, seconds)
    looked_at = {
        pid: sample(pages, max(RUN_PAGES, sample_pages * (pages.size_bytes // PAGE_BYTES) // total))
        for pid, pages in present.items()
        if pages
    }
    start = time.monotonic()
    before = {pid: dict(_sums(pid, pages)) for pid, pages in looked_at.items()}
    # From the middle of one reading to the middle of the other.
    half = (time.monotonic() - start) / 2
    time.sleep(max(0.0, seconds - 2 * half))
    again = time.monotonic()
    changed = seen = 0
    for pid, pages in looked_at.items():
        for address, checksum in _sums(pid, pages):
            known = before[pid].get(address)
            if known is not None:
                seen += 1
                changed += known != checksum
    elapsed = max((again + time.monotonic()) / 2 - start - half, 1e-3)
    if not seen:
        return DirtyRate(0.0, 0, total, elapsed)
    return DirtyRate(changed / seen * total / elapsed, seen, total, elapsed)


def compressed_share(pids: list[int], sample_pages: int = COMPRESSED_PAGES) -> float | None:
    """Bytes after compression for each byte of memory, on a sample; None where there is no memory.

    zlib at its fastest stands in for zstd: it is in the standard library, and close enough.
    """
    present, total = _present(pids)
    size = compressed = 0
    for pid, pages in present.items():
        wanted = max(1, sample_pages * (pages.size_bytes // PAGE_BYTES) // max(total, 1))
        for batch in Reader(pid).batches(sample(pages, wanted)):
            # Page by page: pages that are apart in memory do not help each other.
            for offset in range(0, len(batch.data), PAGE_BYTES):
                compressed += len(zlib.compress(batch.data[offset : offset + PAGE_BYTES], 1))
                size += PAGE_BYTES
    return min(1.0, compressed / size) if size else None


def _present(pids: list[int]) -> tuple[dict[int, RangeSet], int]:
    """The pages that hold something, by process, and how many they are."""
    present = {pid: present_pages(pid) for pid in pids}
    return present, sum(pages.size_bytes for pages in present.values()) // PAGE_BYTES


def _sums(pid: int, pages: RangeSet) -> Iterator[tuple[int, int]]:
    """Each page's address and checksum."""
    for batch in Reader(pid).batches(pages):
        offset = 0
        for start, end in batch.ranges:
            for address in range(start, end, PAGE_BYTES):
                # One missed change in 2^32 does not matter here.
                yield address, zlib.crc32(batch.data[offset : offset + PAGE_BYTES])
                offset += PAGE_BYTES
