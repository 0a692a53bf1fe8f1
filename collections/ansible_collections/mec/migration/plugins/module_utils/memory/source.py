# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source's side of a container's memory: rounds of changed pages, read while the service runs.

What the target holds is remembered, so that a page is sent only if its content really changed: see
:mod:`.sent`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from typing import NamedTuple

from ..base.errors import MigrationError
from ..base.page_ranges import Range, RangeSet, Run, pack_runs
from ..kernel.process_memory import PAGE_BYTES, Batch, Reader, anonymous_ranges
from ..kernel.processes import start_time
from ..transport.wire import Channel
from .page_delta import DeltaEncoder
from .sent import Digests, Mirror, Sent
from .shared_memory import SegmentReader, segments
from .trackers import Tracker

# In place of a start time. Should another segment take over the number, only what differs is sent.
SEGMENT = "segment"
# Of one message that names pages to come: its header stays small.
LATE_RUNS = 100_000


class RoundResult(NamedTuple):
    """What one round did. ``sent_bytes`` is on the wire, ``changed_bytes`` before compression."""

    number: int
    pages_scanned: int
    pages_changed: int
    changed_bytes: int
    sent_bytes: int
    seconds: float
    frozen_ms: float


class _Process:
    """What was sent of one process or segment."""

    def __init__(self, number: int, sent: Sent, born: str, known: RangeSet) -> None:
        self.number = number
        self.sent = sent
        self.born = born
        self.known = known


class _Changes:
    """What of *batch* must be sent; *sent* is brought up to it.

    ``new`` is the data of those ``runs`` that have some, back to back, and ``old`` what the target holds in
    its place; empty if it holds nothing of some page, or if nobody knows what.
    """

    def __init__(self, sent: Sent, batch: Batch, address: int, unknown: RangeSet) -> None:
        self.runs: list[Run] = []
        new: list[memoryview] = []
        old: list[bytes] = []
        offset = 0
        for start, end in batch.ranges:
            changed, equal = sent.compare(start, end, address + offset)
            self.runs += [Run(first, last, True) for first, last in changed]
            comparable = sent.keeps_content and (not unknown or not RangeSet(changed) & unknown)
            if unknown and equal:
                # It starts as zeros: an equal page that the target lacks is a page of zeros.
                self.runs += [Run(first, last, False) for first, last in RangeSet(equal) & unknown]
            for first, last in changed:
                new.append(batch.data[offset + first - start : offset + last - start])
                if comparable:
                    old.append(sent.read(first, last))
                sent.write(first, last, address + offset + first - start)
            offset += end - start
        self.runs.sort()
        self.new = b"".join(new)
        self.old = b"".join(old) if len(old) == len(new) else b""


def _size_bytes(by_pid: dict[int, RangeSet]) -> int:
    return sum(pages.size_bytes for pages in by_pid.values())


def _first_of(
    by_pid: dict[int, RangeSet], most_bytes: int
) -> tuple[dict[int, RangeSet], dict[int, RangeSet]]:
    """The first *most_bytes* of pages, and the rest."""
    first: dict[int, RangeSet] = {}
    rest: dict[int, RangeSet] = {}
    for pid, pages in by_pid.items():
        taken: list[tuple[int, int]] = []
        for start, end in pages:
            if most_bytes > 0:
                taken.append((start, min(end, start + most_bytes)))
                most_bytes -= taken[-1][1] - start
        first[pid] = RangeSet.ordered(taken)
        rest[pid] = pages - first[pid]
    return first, rest


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
    :param lean: remember digests of what was sent, not the content.
    """

    def __init__(self, state_dir: str, tracker: Tracker, *, lean: bool = False) -> None:
        self._dir = state_dir
        self._tracker = tracker
        self.lean = lean
        self._deltas = DeltaEncoder()
        self._processes: dict[int, _Process] = {}
        # By process: what the next round sends beside what will have been written.
        self._kept: dict[int, RangeSet] = {}
        self._in_round = False
        self.rounds = 0

    @property
    def looks_at_all(self) -> bool:
        """Whether each round looks at all memory, not only at what was written."""
        return self._tracker.looks_at_all

    def known(self, process: int) -> RangeSet:
        """The pages of *process* (its number in the container) that the target holds."""
        return self._processes[process].known if process in self._processes else RangeSet()

    def between_rounds(self) -> None:
        """What takes a while, and must not be done in the frozen window."""
        self._deltas.between_rounds()

    def round(
        self,
        channel: Channel,
        pids: dict[int, int],
        *,
        frozen: bool = False,
        only: dict[int, RangeSet] | None = None,
        most_bytes: int = 0,
    ) -> RoundResult:
        """Send what changed since the last round; the target's acknowledgement is left to the caller.

        :param pids: number on the host -> number in the container, of every process.
        :param frozen: the container is frozen: what is read is final.
        :param only: look at these pages (by number in the container) instead of the tracker's.
        :param most_bytes: leave the rest for the next round; 0 for no limit.
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
                    "cancel the migration and start it again",
                    phase="pre-copy",
                    container_state="running",
                )
            self._in_round = True
        channel.send("memory.round", number=self.rounds)
        frozen_ms = 0.0
        if only is None:
            by_pid, frozen_ms = self._written(pids, frozen)
            if most_bytes:
                by_pid, self._kept = _first_of(by_pid, most_bytes)
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
        return self._result(start, channel.sent_bytes - before, scanned, changed, frozen_ms)

    def _result(
        self, start: float, sent_bytes: int, scanned: int, changed: int, frozen_ms: float
    ) -> RoundResult:
        """Of the round that began at *start*; *scanned* and *changed* are pages."""
        return RoundResult(
            number=self.rounds,
            pages_scanned=scanned,
            pages_changed=changed,
            changed_bytes=changed * PAGE_BYTES,
            sent_bytes=sent_bytes,
            seconds=time.monotonic() - start,
            frozen_ms=frozen_ms,
        )

    def _written(self, pids: dict[int, int], frozen: bool) -> tuple[dict[int, RangeSet], float]:
        """What the tracker names, and what was kept for this round."""
        by_pid, frozen_ms = self._tracker.candidates(list(pids), frozen)
        kept, self._kept = self._kept, {}
        for pid, pages in kept.items():
            if pid in by_pid:
                by_pid[pid] |= pages
        return by_pid, frozen_ms

    def look(self, pids: dict[int, int]) -> int:
        """Ask the tracker, and keep what it names for the next round.

        :returns: how many bytes were written since it was asked last.
        """
        kept, self._kept = self._kept, {}
        written, _frozen_ms = self._written(pids, False)
        self._kept = {pid: pages | kept.get(pid, RangeSet()) for pid, pages in written.items()}
        return _size_bytes(written)

    @property
    def kept_bytes(self) -> int:
        """What is kept for the next round."""
        return _size_bytes(self._kept)

    def leave(self, channel: Channel, pids: dict[int, int]) -> tuple[RoundResult, dict[int, RangeSet]]:
        """In place of the last round of a frozen container: say what has changed, and send none of it.

        :returns: the round, and what was left, by process on this host.
        :raises TransferError: the connection broke.
        """
        start, before = time.monotonic(), channel.sent_bytes
        self.rounds += 1
        channel.send("memory.round", number=self.rounds)
        by_pid, _frozen_ms = self._written(pids, True)
        left: dict[int, RangeSet] = {}
        for pid, pages in by_pid.items():
            if pid in pids and pages:
                process = self._process(pids[pid], start_time(pid))
                if self._tracker.looks_at_all:
                    left[pid] = self._changed(process, Reader(pid), pages)
                else:
                    # What was unmapped after it was written cannot be fetched, and nobody needs it.
                    left[pid] = pages & anonymous_ranges(pid)
                ranges = list(left[pid])
                for first in range(0, len(ranges), LATE_RUNS):
                    runs = [Run(start, end, True) for start, end in ranges[first : first + LATE_RUNS]]
                    channel.send("memory.late", process=process.number, runs=pack_runs(runs))
                process.known |= left[pid]
        channel.ask("memory.round_end", number=self.rounds, last=True)
        scanned, changed = (_size_bytes(each) // PAGE_BYTES for each in (by_pid, left))
        return self._result(start, channel.sent_bytes - before, scanned, changed, 0.0), left

    @staticmethod
    def _changed(process: _Process, reader: Reader, pages: RangeSet) -> RangeSet:
        """Those of *pages* that the target does not hold as they are."""
        unknown = pages - process.known
        found: list[tuple[int, int]] = []
        for batch in reader.batches(pages):
            changes = _Changes(process.sent, batch, reader.address, unknown)
            found += [(start, end) for start, end, _has_data in changes.runs]
        return RangeSet(found)

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
                # Only pages that exist are compared: CRIU's page map names no others, and whoever
                # reads a hole allocates it.
                pages = known & reader.held()
                with reader.mapped(pages) as address:
                    equal: list[Range] = []
                    for start, end in pages:
                        equal += self._processes[number].sent.compare(start, end, address + start)[1]
                found[number] = FrozenSegment(path, RangeSet(equal))
        return found

    def unchanged(self, number: int, start: int, end: int, data_address: int) -> RangeSet:
        """Those pages of [start, end) that the target holds as they lie at *data_address*."""
        if number not in self._processes:
            return RangeSet()
        process = self._processes[number]
        return RangeSet(process.sent.compare(start, end, data_address)[1]) & process.known

    def _send_pages(self, channel: Channel, process: _Process, reader: Reader, pages: RangeSet) -> int:
        unknown = pages - process.known
        sent_pages = 0
        fresh: list[tuple[int, int]] = []
        for batch in reader.batches(pages):
            changes = _Changes(process.sent, batch, reader.address, unknown)
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
            process = _Process(number, self._nothing_sent(number), born, RangeSet())
            self._processes[number] = process
        elif process.born != born:
            # Another process took over the number; nothing of the old one may be believed.
            process.sent.clear()
            process.born, process.known = born, RangeSet()
        return process

    def _nothing_sent(self, number: int) -> Sent:
        return Digests() if self.lean else Mirror(os.path.join(self._dir, f"memory-{number}"))
