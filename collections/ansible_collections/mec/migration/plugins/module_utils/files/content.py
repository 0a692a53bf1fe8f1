# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of a file's content changed."""

from __future__ import annotations

import collections
import concurrent.futures
import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from ..base.page_ranges import RangeSet
from .digest import DIGEST_BYTES, block_digests

BLOCK_BYTES = 16 << 10
READ_BYTES = 1 << 20
"""How much is read, and at most sent in one extent, at a time; a multiple of BLOCK_BYTES."""
MAX_WHOLE_BYTES = 64 << 10
"""Files up to this size travel whole when they change; of larger ones only changed blocks do."""
PARALLEL_BYTES = 8 << 20
RUNS_AHEAD = 4
HOLE_DIGEST = bytes(DIGEST_BYTES)


class Extent(NamedTuple):
    """A piece of a file: *data* at *offset* (bytes), or a hole of *length* bytes where it is None."""

    offset: int
    length: int
    data: bytes | None


class Fresh(NamedTuple):
    """What is known of a file of *size_bytes* without reading it.

    :ivar digests: those of its blocks, but for the blocks in *stale*.
    :ivar holes: blocks that were holes; whether they still are must be looked up.
    """

    digests: bytes
    stale: set[int]
    holes: RangeSet
    size_bytes: int


class Content:
    """Reads a file once, yields what differs from the digests of last time, leaves new digests.

    One digest stands for the whole of a file of up to MAX_WHOLE_BYTES, else for BLOCK_BYTES each.

    :param known: the digests of last time; what has them is not yielded.
    :param fresh: blocks whose digest this tells are read only if it is not the known one.
    """

    def __init__(self, fd: int, known: bytes = b"", fresh: Fresh | None = None) -> None:
        self._fd = fd
        self._known = known
        self.size_bytes = os.fstat(fd).st_size
        self.digests = b""
        self._fresh = fresh
        self._to_read = RangeSet([(0, sys.maxsize)]) if fresh is None else self._not_known_by(fresh)
        self._holes_found: list[tuple[int, int]] = []

    @property
    def whole(self) -> bool:
        return self.size_bytes <= MAX_WHOLE_BYTES

    @property
    def holes(self) -> RangeSet:
        """Blocks that are holes, once the extents are exhausted."""
        found = RangeSet(self._holes_found)
        return found if self._fresh is None else self._fresh.holes - self._to_read | found

    def _not_known_by(self, fresh: Fresh) -> RangeSet:
        """What must be read: what changed, and what is not what the target has."""
        # If the size changed, the digest of the last, partial block covers other bytes than now, so it is
        # read again.
        whole_blocks = min(self.size_bytes, fresh.size_bytes) // BLOCK_BYTES
        count = len(fresh.digests) // DIGEST_BYTES
        if self.size_bytes != fresh.size_bytes:
            count = min(count, whole_blocks)
        wanted = {block for block in fresh.stale if block < count}
        length = count * DIGEST_BYTES
        if fresh.digests[:length] != self._known[:length]:
            for block in range(count):
                place = slice(block * DIGEST_BYTES, (block + 1) * DIGEST_BYTES)
                if fresh.digests[place] != self._known[place]:
                    wanted.add(block)
        ranges = [(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES) for block in wanted]
        ranges += (hole for hole in fresh.holes if not _is_hole(self._fd, *hole))
        return RangeSet([*ranges, (count * BLOCK_BYTES, sys.maxsize)])

    def extents(self) -> Iterator[Extent]:
        """What to write, in order. Exhaust it before ``digests`` is used."""
        if self.whole:
            content = _read(self._fd, 0, self.size_bytes)
            self.size_bytes = len(content)
            self.digests = block_digests(content, MAX_WHOLE_BYTES)
            if self.digests != self._known:
                yield from self._sparse(content)
            return
        digests = bytearray()
        offset = 0
        for start, data, run_digests in self._digested_runs():
            if data is None and run_digests:
                digests += run_digests
                offset = start
                continue
            if data is None:
                block_count = -(-(start - offset) // BLOCK_BYTES)
                self._holes_found.append((offset, start))
                yield from self._holes(offset, start, len(digests))
                digests += HOLE_DIGEST * block_count
                offset = start
                continue
            place = len(digests)
            digests += run_digests
            if run_digests != self._known[place : len(digests)]:
                yield from self._changed(offset, data, run_digests, place)
            offset += len(data)
        self.size_bytes = min(self.size_bytes, offset)
        self.digests = bytes(digests)

    def _changed(self, offset: int, data: bytes, run_digests: bytes, place: int) -> Iterator[Extent]:
        """The changed blocks of a run at *offset*, neighbours together."""
        changed_from = None
        for at in range(0, len(data), BLOCK_BYTES):
            i = at // BLOCK_BYTES * DIGEST_BYTES
            known = self._known[place + i : place + i + DIGEST_BYTES]
            if run_digests[i : i + DIGEST_BYTES] != known:
                if changed_from is None:
                    changed_from = at
            elif changed_from is not None:
                part = data[changed_from:at]
                yield Extent(offset + changed_from, len(part), part)
                changed_from = None
        if changed_from is not None:
            part = data[changed_from:]
            yield Extent(offset + changed_from, len(part), part)

    def _digested_runs(self) -> Iterator[tuple[int, bytes | None, bytes]]:
        """The runs with the digests of their blocks; if there is much to read, hashed in two threads.

        This can be inside the frozen window, where the service's processors are free.
        """
        to_read_bytes = sum(min(end, self.size_bytes) - start for start, end in self._to_read)
        if to_read_bytes < PARALLEL_BYTES:
            for start, data, digests in self._runs():
                yield start, data, _digests_of(data, digests)
            return
        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            ahead: collections.deque[tuple[int, bytes | None, concurrent.futures.Future[bytes]]]
            ahead = collections.deque()
            for start, data, digests in self._runs():
                ahead.append((start, data, threads.submit(_digests_of, data, digests)))
                if len(ahead) > RUNS_AHEAD:
                    first, content, hashed = ahead.popleft()
                    yield first, content, hashed.result()
            for first, content, hashed in ahead:
                yield first, content, hashed.result()

    def _sparse(self, data: bytes) -> Iterator[Extent]:
        for start, end in _data_ranges(self._fd, 0, len(data)):
            yield Extent(start, end - start, data[start:end])

    def _runs(self) -> Iterator[tuple[int, bytes | None, bytes]]:
        """Runs aligned to blocks: of data as (offset, bytes, none), (end, None, none) for each hole.

        What need not be read is (end, None, its digests).
        """
        position = 0
        for read_start, read_end in self._to_read:
            stop = min(read_start, self.size_bytes)
            if self._fresh is not None and position < stop:
                place = position // BLOCK_BYTES * DIGEST_BYTES
                yield stop, None, self._fresh.digests[place : -(-stop // BLOCK_BYTES) * DIGEST_BYTES]
                position = stop
            limit = min(read_end, self.size_bytes)
            for data_start, data_end in _data_ranges(self._fd, position, limit):
                start = max(position, data_start // BLOCK_BYTES * BLOCK_BYTES)
                if start > position:
                    yield start, None, b""
                    position = start
                end = min(limit, -(-data_end // BLOCK_BYTES) * BLOCK_BYTES)
                while position < end:
                    data = _read(self._fd, position, min(READ_BYTES, end - position))
                    if not data:
                        return  # truncated while it was read; its times tell the next round
                    yield position, data, b""
                    position += len(data)
                    if position % BLOCK_BYTES and position < self.size_bytes:
                        return
            if position < limit:
                yield limit, None, b""
                position = limit

    def _holes(self, start: int, end: int, place: int) -> Iterator[Extent]:
        """The hole from *start* to *end*, where the target is not known to have one there."""
        count = -(-(end - start) // BLOCK_BYTES)
        length = count * DIGEST_BYTES
        if self._known and self._known[place : place + length] != HOLE_DIGEST * count:
            yield Extent(start, end - start, None)


def _digests_of(data: bytes | None, digests: bytes) -> bytes:
    """Of a run; a hole has none, and what was not read has its own."""
    return digests if data is None else block_digests(data, BLOCK_BYTES)


def _is_hole(fd: int, start: int, end: int) -> bool:
    try:
        return os.lseek(fd, start, os.SEEK_DATA) >= end
    except OSError:
        return True  # ENXIO: a hole up to the end


def _read(fd: int, offset: int, length: int) -> bytes:
    data = os.pread(fd, length, offset)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def _data_ranges(fd: int, position: int, limit: int) -> Iterator[tuple[int, int]]:
    """The parts of a file from *position* to *limit* that are not holes (lseek(2), SEEK_DATA)."""
    while position < limit:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
            end = min(limit, os.lseek(fd, start, os.SEEK_HOLE))
        except OSError:
            return  # ENXIO: a hole up to the end, or truncated meanwhile, as its times tell the next round
        if start >= limit:
            return
        yield start, end
        position = end
