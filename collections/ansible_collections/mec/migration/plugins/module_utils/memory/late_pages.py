# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Post-copy on the target: pages that still lie in the frozen source while the service runs here already.

The source names them in its last round. They come over a connection of their own, on which the target asks:
several requests are on their way at once, those first for which the service waits. What is asked for twice,
because a connection broke, is the same both times, for its owner is frozen.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..base.errors import MigrationError, TransferError
from ..base.page_ranges import Run, pack_runs
from ..base.priority import Hurry
from ..kernel.libc import libc
from ..transport.wire import Channel
from .extents import Extent, Extents
from .link_pace import IN_FLIGHT, LinkPace

# Of pages in one request.
REQUEST_RUNS = 512
# As long after the service waited for a page it is likely to wait for another one. What is asked for beside
# is so little then that it hardly delays that: see `link_pace.py`.
BUSY_S = 0.2
# How often it is looked whether the service has stopped asking, if nothing is on its way.
IDLE_S = 0.005
# While CRIU still restores: so soon a page must come, and a connection that broke must be there again.
RESTORE_PATIENCE_S = 3.0
# Before it begins: how often it is looked whether the source is still there.
LOOK_S = 0.2

libc.process_vm_writev.restype = ctypes.c_ssize_t
libc.process_vm_writev.argtypes = [
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_void_p,
    ctypes.c_ulong,
    ctypes.c_ulong,
]


class _Wanted(NamedTuple):
    """[start, end) of a process, for which the service waits *since* then."""

    process: int
    start: int
    end: int
    since: float


class _Piece(NamedTuple):
    """What one request asks for.

    :ivar places: in order of address.
    :ivar since: when the service began to wait for it; 0 if it does not.
    :ivar asked: when that was.
    :ivar alone: whether the service waits for it, and for all else that was on its way then.
    """

    process: int
    places: list[Extent]
    asked: float
    alone: bool
    since: float = 0.0

    @property
    def size_bytes(self) -> int:
        return sum(end - start for start, end, _source in self.places)


class Arrival(NamedTuple):
    """A piece of a process that has come, and where its content lies in this process's memory."""

    process: int
    extent: Extent


class _Bell:
    """Wakes another thread that waits for a connection, too; *rung* can be read from then."""

    def __init__(self) -> None:
        self.rung, self._rings = socket.socketpair()
        for end in (self.rung, self._rings):
            end.setblocking(False)

    def ring(self) -> None:
        # Where it rings already, once is enough.
        with contextlib.suppress(BlockingIOError):
            self._rings.send(b"a")

    def wait(self, timeout_s: float) -> None:
        poll = select.poll()
        poll.register(self.rung, select.POLLIN)
        poll.poll(timeout_s * 1000)
        self.hush()

    def hush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.rung.recv(1 << 16)


class LatePages:
    """What is late, and how it comes. Used by three threads: of rounds, of lazy fill and of the connection.

    :ivar waited: how often the service waited for a page.
    :ivar deliver: puts what the service waits for in place at once: of a process, its extent, and where the
        content lies in this process's memory. Says whether that was possible.
    :ivar obstacle: what keeps pages from coming now; empty if nothing does.
    :ivar failed: why the rest will never come; empty if it may.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        # By process: what is late and was not asked for yet.
        self._waiting: dict[int, Extents] = {}
        # What has not come: [start, end) of this process's memory, whose content is that of the source's
        # process from ``source`` on.
        self._absent = Extents()
        self._wanted: deque[_Wanted] = deque()
        self._arrived: deque[Arrival] = deque()
        self._channel: Channel | None = None
        self._begun = self._runs = self._closed = False
        self.failed = self.obstacle = ""
        # For lazy fill: something has come. For the connection: something is wanted.
        self._come, self._wanting = _Bell(), _Bell()
        self._wanted_at = float("-inf")
        self._pace = LinkPace()
        self.deliver: Callable[[int, Extent, int], bool] | None = None
        # Where the service waited last: what lies behind that it is likely to touch next.
        self._near = (0, 0)
        self.received_bytes = 0
        self.waited = 0

    def wanted_within(self, seconds: float) -> bool:
        """Whether the service began to wait for something so lately."""
        return time.monotonic() - self._wanted_at < seconds

    @property
    def complete(self) -> bool:
        """Whether nothing is late, or nobody needs what is."""
        return not self.failed and (self._closed or not self._absent)

    # -- the rounds --------------------------------------------------------------------------------

    def add(self, process: int, places: Iterable[Extent]) -> None:
        """Content of *process* that will come, and where it is to go; nothing that was said before."""
        with self._changed:
            new = list(places)
            self._waiting.setdefault(process, Extents()).add(new)
            self._absent.add(Extent(source, source + end - start, start) for start, end, source in new)

    # -- lazy fill ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """The service is about to run."""
        with self._changed:
            self._begun = True
            self._changed.notify_all()

    def runs(self) -> None:
        """The service runs: from here on the rest is waited for, however long the connection is gone."""
        with self._changed:
            self._runs = True
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody needs the rest."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def fail(self, why: str) -> None:
        """The rest will never come."""
        self.failed = self.failed or why
        self._come.ring()

    def split(self, extents: list[Extent]) -> tuple[list[Extent], list[Extent]]:
        """Those parts whose content is here, and those that are late."""
        here: list[Extent] = []
        late: list[Extent] = []
        with self._changed:
            if not self._absent:
                return extents, late
            for start, end, source in extents:
                at = source
                for first, last, _start in self._absent.between(source, source + end - start):
                    if first > at:
                        here.append(Extent(start + at - source, start + first - source, at))
                    late.append(Extent(start + first - source, start + last - source, first))
                    at = last
                if at < source + end - start:
                    here.append(Extent(start + at - source, end, at))
        return here, late

    def want(self, process: int, late: list[Extent]) -> None:
        """The service waits for the first of these; ask for them next. What has come meanwhile is left out.

        :param process: whose content it is; where it lies in the process now does not matter.
        """
        with self._changed:
            self._wanted_at = time.monotonic()
            before = len(self._wanted)
            for extent in late:
                for first, last, start in self._absent.between(
                    extent.source, extent.source + extent.end - extent.start
                ):
                    self._wanted.append(_Wanted(process, start, start + last - first, self._wanted_at))
            self.waited += len(self._wanted) > before
        self._wanting.ring()

    @property
    def arrival(self) -> int:
        """A descriptor that is readable when something has come, or never will."""
        return self._come.rung.fileno()

    def take_arrived(self) -> list[Arrival]:
        """What has come since this was asked last."""
        self._come.hush()
        with self._changed:
            found, self._arrived = list(self._arrived), deque()
        return found

    # -- the connection ----------------------------------------------------------------------------

    def fetch(self, channel: Channel) -> None:
        """The source offers to answer on *channel*: ask there until all has come.

        :raises TransferError: the connection broke. What was on its way is asked for again over the next.
        :raises MigrationError: the source cannot read it.
        """
        with self._changed:
            before, self._channel = self._channel, channel
            self._changed.notify_all()
        if before is not None:
            # The source has given it up already.
            before.interrupt()
        if not self._wait_for_begin(channel):
            return
        flight: deque[_Piece] = deque()
        try:
            self._fetch_all(channel, flight)
        except TransferError as error:
            self._lost(channel, error)
            raise
        except MigrationError as error:
            self.fail(error.message)
            raise
        finally:
            with self._changed:
                for piece in flight:
                    for extent in piece.places:
                        self._waiting[piece.process].put(extent)
                        if piece.since:
                            self._wanted.append(_Wanted(piece.process, extent.start, extent.end, piece.since))

    def _fetch_all(self, channel: Channel, flight: deque[_Piece]) -> None:
        """:param flight: what is on its way, also once this raises."""
        heard = time.monotonic()
        hurry = Hurry()
        while True:
            while not self._closed and (piece := self._next(flight)) is not None:
                runs = [Run(start, end, True) for start, end, _source in piece.places]
                flight.append(piece)
                channel.ask("pages.fetch", process=piece.process, runs=pack_runs(runs))
            # What an earlier connection broke with is asked for again, once its thread has noticed that.
            if not flight and (self._closed or not self._absent):
                channel.request("pages.done")
                return
            if not flight:
                self._wanting.wait(min(IDLE_S, self._pace.soon_s or IDLE_S))
                heard = time.monotonic()
                if self._channel is not channel:
                    raise TransferError("the source offers pages over another connection")
                continue
            # Not for what nobody waits for: other services need processors, too.
            hurry.set(self.wanted_within(BUSY_S))
            if self._answered(channel, heard):
                content = channel.answer("pages.fetch").body
                heard = time.monotonic()
                self._take(flight[0], content)
                piece = flight.popleft()
                wanted = bool(piece.since)
                self._pace.answered(len(content), piece.asked, heard, wanted=wanted, alone=piece.alone)

    def _answered(self, channel: Channel, heard: float) -> bool:
        """Whether an answer has come, before something is wanted: that is asked for at once, not after it.

        :param heard: when one came last.
        :raises TransferError: none comes, and the service does not run yet.
        """
        if channel.has_something(unless=self._wanting.rung, timeout_s=LOOK_S):
            return True
        self._wanting.hush()
        if not self._runs and time.monotonic() - heard > RESTORE_PATIENCE_S:
            raise TransferError(f"no page came from the source in {RESTORE_PATIENCE_S:g} s")
        return False

    def _lost(self, channel: Channel, why: TransferError) -> None:
        """Before the service runs here, it had better go on at the source than be waited for."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._runs or self._closed or not self._absent or self._channel is not channel,
                RESTORE_PATIENCE_S,
            ):
                self.fail(f"before the service ran {why.message}")

    def _wait_for_begin(self, channel: Channel) -> bool:
        with self._changed:
            while not (self._begun or self._closed):
                self._changed.wait(LOOK_S)
                if not self._begun and channel.has_something():
                    # It is the source's part to answer here: all that can have come is its end.
                    return False
        return True

    def _next(self, flight: deque[_Piece]) -> _Piece | None:
        """What to ask for beside what is on its way."""
        with self._changed:
            now = time.monotonic()
            while self._wanted:
                process, start, end, since = self._wanted.popleft()
                # Else it is on its way already.
                if places := self._waiting[process].drop(start, end):
                    # What others wait for is little: it hardly delays this.
                    alone = all(each.since for each in flight)
                    piece = _Piece(process, places, now, alone, since)
                    self._near = process, end
                    self._pace.asked(piece.size_bytes, now, wanted=True)
                    return piece
            size_bytes = self._size_bytes(flight, now)
            if not size_bytes:
                return None
            near, _address = self._near
            for process in sorted(self._waiting, key=lambda process: process != near):
                if places := self._unasked(process, size_bytes):
                    piece = _Piece(process, places, now, alone=False)
                    self._pace.asked(piece.size_bytes, now, wanted=False)
                    return piece
        return None

    def _size_bytes(self, flight: deque[_Piece], now: float) -> int:
        """How much to ask for for which the service does not wait."""
        quiet_s = now - self._wanted_at
        others_bytes = sum(piece.size_bytes for piece in flight if not piece.since)
        if quiet_s >= BUSY_S:
            return self._pace.quiet_bytes if len(flight) < IN_FLIGHT else 0
        # Right behind what it waits for the link is idle longest. So little is asked for that there is hardly
        # anything before what it waits for next.
        is_soon = quiet_s < self._pace.soon_s
        if others_bytes > (0 if is_soon else self._pace.piece_bytes) or (is_soon and not flight):
            return 0
        return self._pace.beside_bytes(now)

    def _unasked(self, process: int, size_bytes: int) -> list[Extent]:
        """Take out what to ask for of *process*: what lies behind where the service waited, then the rest."""
        waiting = self._waiting[process]
        near, address = self._near
        places: list[Extent] = []
        while waiting and size_bytes and len(places) < REQUEST_RUNS:
            place = waiting.take_from(address, size_bytes) if process == near else None
            if place is None:
                place = waiting.take_last(size_bytes)
            else:
                address = place.end
                self._near = process, address
            size_bytes -= place.end - place.start
            places.append(place)
        return sorted(places)

    def _take(self, piece: _Piece, content: bytes) -> None:
        size_bytes = piece.size_bytes
        if len(content) != size_bytes:
            raise TransferError(
                f"{len(content)} bytes came of {size_bytes} of process {piece.process}", phase="handover"
            )
        if piece.since and self.deliver is not None and len(piece.places) == 1:
            place = piece.places[0]
            if self.deliver(piece.process, place, _address(content)):
                with self._changed:
                    self._absent.drop(place.source, place.source + size_bytes)
                    self.received_bytes += size_bytes
                    complete = not self._absent
                if complete:
                    self._come.ring()
                return
        done = 0
        while (done := done + _put(piece.places, content, done)) < size_bytes:
            self.obstacle = (
                "there is no room on the target for pages that come from the source: free space in the "
                "directory of its images (mec_migration_images_dir)"
            )
            if self._closed:
                return
            time.sleep(LOOK_S)
        self.obstacle = ""
        with self._changed:
            for extent in piece.places:
                self._absent.drop(extent.source, extent.source + extent.end - extent.start)
                self._arrived.append(Arrival(piece.process, extent))
            self.received_bytes += size_bytes
        self._come.ring()


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size_bytes", ctypes.c_size_t))


def _address(content: bytes) -> int:
    """Where it lies in this process's memory."""
    return ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p).value or 0


def _put(places: list[Extent], content: bytes, done: int) -> int:
    """Copy *content* from byte *done* on to where its *places* lie in this process's memory.

    The kernel does it: where the file system that the memory belongs to is full a process that wrote there
    itself would be ended (SIGBUS).

    :returns: the bytes that found room.
    """
    where = []
    at = -done
    for start, end, source in places:
        skipped = max(0, -at)
        at += end - start
        if at > 0:
            where.append(_Vector(source + skipped, end - start - skipped))
    what = _Vector(_address(content) + done, len(content) - done)
    vectors = (_Vector * len(where))(*where)
    return max(0, int(libc.process_vm_writev(os.getpid(), ctypes.byref(what), 1, vectors, len(where), 0)))
