# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source's side of a container's memory: rounds of changed pages, read while the service runs.

A mirror of what the target holds is kept in one sparse file a process, indexed by virtual address, so
that a page is sent only if its content really changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..base.errors import MigrationError
from ..base.page_ranges import Range, RangeSet, Run, pack_runs
from ..kernel.process_memory import PAGE_BYTES, Batch, Reader
from ..kernel.processes import start_time
from ..transport.wire import Channel
from .page_delta import DeltaEncoder
from .shared_memory import SegmentReader, segments
from .trackers import Tracker

ADDRESS_SPACE_BYTES = 1 << 47
WINDOW_BYTES = 64 << 20
PROBE_BYTES = 64 << 10
# In place of a start time. Should another segment take over the number, only what differs is sent.
SEGMENT = "segment"

_libc = ctypes.CDLL(None)
_memcmp = _libc.memcmp
_memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
_memcmp.restype = ctypes.c_int


class RoundResult(NamedTuple):
    """What one round did. ``sent_bytes`` is on the wire, ``changed_bytes`` before compression."""

    number: int
    pages_scanned: int
    pages_changed: int
    changed_bytes: int
    sent_bytes: int
    seconds: float
    frozen_ms: float


class Mirror:
    """What the target holds of one process's memory, addressed as the process addresses it."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, ADDRESS_SPACE_BYTES)
        self._windows: dict[int, tuple[mmap.mmap, int]] = {}

    def clear(self) -> None:
        self._windows.clear()
        os.ftruncate(self._fd, 0)
        os.ftruncate(self._fd, ADDRESS_SPACE_BYTES)

    def close(self) -> None:
        self._windows.clear()
        os.close(self._fd)

    def locate(self, address: int) -> tuple[int, int]:
        """Where the mirror of *address* lies in this process, and how many bytes lie there in one piece."""
        index, offset = divmod(address, WINDOW_BYTES)
        if index not in self._windows:
            window = mmap.mmap(self._fd, WINDOW_BYTES, offset=index * WINDOW_BYTES)
            self._windows[index] = window, ctypes.addressof(ctypes.c_char.from_buffer(window))
        return self._windows[index][1] + offset, WINDOW_BYTES - offset

    def compare(self, start: int, end: int, data_address: int) -> tuple[list[Range], list[Range]]:
        """Compare [start, end) with what lies at *data_address*.

        :returns: the ranges that differ, and those that are equal.
        """
        changed: list[Range] = []
        equal: list[Range] = []
        for first, last, mirrored in self._pieces(start, end):
            self._compare_piece(first, last, mirrored, data_address + first - start, changed, equal)
        return changed, equal

    def read(self, start: int, end: int) -> bytes:
        return b"".join(
            ctypes.string_at(mirrored, last - first) for first, last, mirrored in self._pieces(start, end)
        )

    def write(self, start: int, end: int, data_address: int) -> None:
        for first, last, mirrored in self._pieces(start, end):
            ctypes.memmove(mirrored, data_address + first - start, last - first)

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """[start, end) cut where windows end: start, end and where that lies in this process."""
        while start < end:
            mirrored, room = self.locate(start)
            stop = min(end, start + room)
            yield start, stop, mirrored
            start = stop

    @staticmethod
    def _compare_piece(
        start: int, end: int, mirrored: int, data: int, changed: list[Range], equal: list[Range]
    ) -> None:
        size = end - start
        if _memcmp(mirrored, data, size) == 0:
            equal.append(Range(start, end))
            return
        at = 0
        while at < size:
            probe = min(PROBE_BYTES, size - at)
            if _memcmp(mirrored + at, data + at, probe) == 0:
                _extend(equal, start + at, start + at + probe)
            else:
                for page in range(at, at + probe, PAGE_BYTES):
                    same = _memcmp(mirrored + page, data + page, PAGE_BYTES) == 0
                    _extend(equal if same else changed, start + page, start + page + PAGE_BYTES)
            at += probe


def _extend(ranges: list[Range], start: int, end: int) -> None:
    """Append [start, end) to *ranges*, joining it to the last one if they touch."""
    if ranges and ranges[-1].end == start:
        ranges[-1] = Range(ranges[-1].start, end)
    else:
        ranges.append(Range(start, end))


class _Process:
    """What was sent of one process or segment."""

    def __init__(self, number: int, mirror: Mirror, born: str, known: RangeSet) -> None:
        self.number = number
        self.mirror = mirror
        self.born = born
        self.known = known


class _Changes:
    """What of *batch* must be sent; the mirror is brought up to it.

    ``new`` is the data of those ``runs`` that have some, back to back, and ``old`` what the target holds in
    its place; empty if it holds nothing of some page.
    """

    def __init__(self, mirror: Mirror, batch: Batch, address: int, unknown: RangeSet) -> None:
        self.runs: list[Run] = []
        new: list[memoryview] = []
        old: list[bytes] = []
        offset = 0
        for start, end in batch.ranges:
            changed, equal = mirror.compare(start, end, address + offset)
            self.runs += [Run(first, last, True) for first, last in changed]
            holds_all = not unknown or not RangeSet(changed) & unknown
            if unknown and equal:
                # The mirror starts as zeros: an equal page that the target lacks is a page of zeros.
                self.runs += [Run(first, last, False) for first, last in RangeSet(equal) & unknown]
            for first, last in changed:
                new.append(batch.data[offset + first - start : offset + last - start])
                if holds_all:
                    old.append(mirror.read(first, last))
                mirror.write(first, last, address + offset + first - start)
            offset += end - start
        self.runs.sort()
        self.new = b"".join(new)
        self.old = b"".join(old) if len(old) == len(new) else b""


class FrozenSegment(NamedTuple):
    """A segment of a frozen container.

    :param path: to read it by.
    :param same: the pages that the target holds as they are.
    """

    path: str
    same: RangeSet

    def content(self, start: int, end: int) -> bytes:
        """:raises OSError: it cannot be read any more."""
        with contextlib.closing(SegmentReader(self.path)) as reader:
            return reader.content(RangeSet([(start, end)]))


class MemorySource:
    """Sends a container's private anonymous memory in rounds, and its shared memory until it is frozen.

    Each process is known by its number in the container, each segment of shared memory by its
    :func:`segment_number`.

    :param state_dir: directory on tmpfs, mode 0700, for the mirrors.
    """

    def __init__(self, state_dir: str, tracker: Tracker) -> None:
        self._dir = state_dir
        self._tracker = tracker
        self._deltas = DeltaEncoder()
        self._processes: dict[int, _Process] = {}
        self._in_round = False
        self.rounds = 0

    @property
    def looks_at_all(self) -> bool:
        """Whether each round looks at all memory, not only at what was written."""
        return self._tracker.looks_at_all

    def known(self, process: int) -> RangeSet:
        """The pages of *process* (its number in the container) that the target holds."""
        return self._processes[process].known if process in self._processes else RangeSet()

    def round(
        self,
        channel: Channel,
        pids: dict[int, int],
        *,
        frozen: bool = False,
        only: dict[int, RangeSet] | None = None,
    ) -> RoundResult:
        """Send what changed since the last round; the target's acknowledgement is left to the caller.

        :param pids: number on the host -> number in the container, of every process.
        :param frozen: the container is frozen: what is read is final.
        :param only: look at these pages (by number in the container) instead of the tracker's.
        :raises TransferError: the connection broke.
        :raises MigrationError: the round before was not acknowledged.
        """
        start = time.monotonic()
        before = channel.sent_bytes
        self.rounds += 1
        if not frozen:
            if self._in_round:
                raise MigrationError(
                    "the round before stopped in the middle, so it is not known what the target holds; "
                    "cancel the "
                    "migration and start it again",
                    phase="pre-copy",
                    container_state="running",
                )
            self._in_round = True
        channel.send("memory.round", number=self.rounds)
        frozen_ms = 0.0
        if only is None:
            by_pid, frozen_ms = self._tracker.candidates(list(pids), frozen)
        else:
            by_pid = {pid: only.get(number, RangeSet()) for pid, number in pids.items()}
        scanned = changed = 0
        for pid, pages in by_pid.items():
            if pid in pids:
                scanned += pages.size_bytes // PAGE_BYTES
                changed += self._send_pages(
                    channel, self._process(pids[pid], start_time(pid)), Reader(pid), pages
                )
        if not frozen:
            for number, path in segments(list(pids)).items():
                # Whoever ends it or maps it otherwise meanwhile: its last content is in CRIU's images.
                with contextlib.suppress(OSError), contextlib.closing(SegmentReader(path)) as reader:
                    pages = reader.held()
                    scanned += pages.size_bytes // PAGE_BYTES
                    changed += self._send_pages(channel, self._process(number, SEGMENT), reader, pages)
        channel.ask("memory.round_end", number=self.rounds, last=frozen)
        return RoundResult(
            number=self.rounds,
            pages_scanned=scanned,
            pages_changed=changed,
            changed_bytes=changed * PAGE_BYTES,
            sent_bytes=channel.sent_bytes - before,
            seconds=time.monotonic() - start,
            frozen_ms=frozen_ms,
        )

    def acknowledged(self) -> None:
        """The target has confirmed the last round: it can be gone on from."""
        self._in_round = False

    @property
    def segments(self) -> list[int]:
        """The segments of shared memory that were sent."""
        return [number for number in self._processes if number < 0]

    def compare_segments(self, pids: Iterable[int]) -> dict[int, FrozenSegment]:
        """In the frozen container: what became of the segments since the last round."""
        found = {}
        for number, path in segments(list(pids)).items():
            known = self.known(number)
            # What cannot be read so is in CRIU's images.
            with contextlib.suppress(OSError), contextlib.closing(SegmentReader(path)) as reader:
                with reader.mapped() as (address, size):
                    equal: list[Range] = []
                    for start, end in known & RangeSet([(0, size)]):
                        equal += self._processes[number].mirror.compare(start, end, address + start)[1]
                found[number] = FrozenSegment(path, RangeSet(equal))
        return found

    def unchanged(self, number: int, start: int, end: int, data_address: int) -> RangeSet:
        """Those pages of [start, end) that the target holds as they lie at *data_address*."""
        if number not in self._processes:
            return RangeSet()
        process = self._processes[number]
        return RangeSet(process.mirror.compare(start, end, data_address)[1]) & process.known

    def _send_pages(self, channel: Channel, process: _Process, reader: Reader, pages: RangeSet) -> int:
        unknown = pages - process.known
        sent_pages = 0
        fresh: list[tuple[int, int]] = []
        for batch in reader.batches(pages):
            changes = _Changes(process.mirror, batch, reader.address, unknown)
            if changes.runs:
                self._send_changes(channel, process.number, changes)
                sent_pages += len(changes.new) // PAGE_BYTES
                if unknown:
                    fresh += [(start, end) for start, end, _has_data in changes.runs]
        if fresh:
            process.known |= RangeSet(fresh)
        return sent_pages

    def _send_changes(self, channel: Channel, process: int, changes: _Changes) -> None:
        runs = pack_runs(changes.runs)
        if changes.old:
            delta = self._deltas.encode(channel, changes.new, changes.old)
            if delta is not None:
                channel.send("memory.pages", delta, process=process, runs=runs, delta=True)
                return
        channel.send("memory.pages", changes.new, process=process, runs=runs)

    def _process(self, number: int, born: str) -> _Process:
        process = self._processes.get(number)
        if process is None:
            process = _Process(number, Mirror(self._mirror_path(number)), born, RangeSet())
            process.mirror.clear()
            self._processes[number] = process
        elif process.born != born:
            # Another process took over the number; nothing of the old one may be believed.
            process.mirror.clear()
            process.born, process.known = born, RangeSet()
        return process

    def _mirror_path(self, number: int) -> str:
        return os.path.join(self._dir, f"memory-{number}")
