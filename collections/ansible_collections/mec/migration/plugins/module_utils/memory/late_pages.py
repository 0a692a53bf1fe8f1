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
from collections.abc import Iterable
from typing import NamedTuple

from ..base.errors import MigrationError, TransferError
from ..base.page_ranges import Run, pack_runs
from ..transport.wire import Channel
from .extents import Extent, Extents

# Of one request, and how many are on their way: less would leave the link idle.
REQUEST_BYTES, REQUEST_RUNS = 128 << 10, 512
IN_FLIGHT = 4
# As long after the service waited for a page it is likely to wait for another one: nothing else is asked for
# then, for that would be in its way. So the service makes headway over a slow link, and what it does not
# touch comes a little later.
SOON_S = 0.005
# As long there is one request on its way, and so small that the service waits for about so long.
BUSY_S = 0.2
FEWEST_BYTES = 8 << 10
SHORT_S, LONG_S = 0.001, 0.002
# While CRIU still restores: so soon a page must come, and a connection that broke must be there again.
RESTORE_PATIENCE_S = 3.0
# Before it begins: how often it is looked whether the source is still there.
LOOK_S = 0.2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.process_vm_writev.restype = ctypes.c_ssize_t
_libc.process_vm_writev.argtypes = [
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
    """

    process: int
    places: list[Extent]
    since: float = 0.0


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
        self._wanted_at = 0.0
        self._busy_bytes = REQUEST_BYTES
        self.received_bytes = 0
        self.waited = 0

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
        while True:
            while not self._closed and (piece := self._next(len(flight))) is not None:
                runs = [Run(start, end, True) for start, end, _source in piece.places]
                flight.append(piece)
                channel.ask("pages.fetch", process=piece.process, runs=pack_runs(runs))
            # What an earlier connection broke with is asked for again, once its thread has noticed that.
            if not flight and (self._closed or not self._absent):
                channel.request("pages.done")
                return
            if not flight:
                self._wanting.wait(SOON_S)
                heard = time.monotonic()
                if self._channel is not channel:
                    raise TransferError("the source offers pages over another connection")
            elif self._answered(channel, heard):
                self._take(flight[0], channel.answer("pages.fetch").body)
                flight.popleft()
                heard = time.monotonic()

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

    def _next(self, in_flight: int) -> _Piece | None:
        """What to ask for beside so many requests that are on their way."""
        with self._changed:
            while self._wanted:
                process, start, end, since = self._wanted.popleft()
                # Else it is on its way already.
                if places := self._waiting[process].drop(start, end):
                    return _Piece(process, places, since)
            quiet_s = time.monotonic() - self._wanted_at
            busy = quiet_s < BUSY_S
            if in_flight >= (1 if busy else IN_FLIGHT) or quiet_s < SOON_S:
                return None
            for process, waiting in self._waiting.items():
                places, left_bytes = [], self._busy_bytes if busy else REQUEST_BYTES
                while waiting and left_bytes and len(places) < REQUEST_RUNS:
                    place = waiting.take_last(left_bytes)
                    left_bytes -= place.end - place.start
                    places.append(place)
                if places:
                    return _Piece(process, places[::-1])
        return None

    def _take(self, piece: _Piece, content: bytes) -> None:
        size_bytes = sum(end - start for start, end, _source in piece.places)
        if len(content) != size_bytes:
            raise TransferError(
                f"{len(content)} bytes came of {size_bytes} of process {piece.process}", phase="handover"
            )
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
        if piece.since:
            waited_s = time.monotonic() - piece.since
            if waited_s > LONG_S:
                self._busy_bytes = max(self._busy_bytes // 2, FEWEST_BYTES)
            elif waited_s < SHORT_S:
                self._busy_bytes = min(self._busy_bytes * 2, REQUEST_BYTES)
        self._come.ring()


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size_bytes", ctypes.c_size_t))


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
    address = ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p).value or 0
    what = _Vector(address + done, len(content) - done)
    vectors = (_Vector * len(where))(*where)
    return max(0, int(_libc.process_vm_writev(os.getpid(), ctypes.byref(what), 1, vectors, len(where), 0)))
