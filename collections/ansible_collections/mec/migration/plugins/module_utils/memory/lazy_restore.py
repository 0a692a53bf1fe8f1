# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lazy restore: the service runs on while its memory is still being filled from the local images.

CRIU restores everything but private anonymous memory, registers that with userfaultfd and hands the
descriptors to whoever listens on ``lazy-pages.socket`` (``criu/uffd.c``). We do, and fill pages in large
pieces from what pre-copy has brought, those first that a process touches. Restore time does not grow
with memory then.

A page that nobody fills would read as zeros once our descriptors are closed, so a second process holds
them, too: should we die before the end, it ends the service instead of letting it run on wrong memory.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable

from ..base.errors import MigrationError
from ..base.page_ranges import RangeSet
from ..base.priority import Hurry
from .extents import Extent
from .kill_guard import KillGuard
from .late_pages import LatePages
from .space import (
    EVENT_FORK,
    EVENT_PAGEFAULT,
    EVENT_REMAP,
    EVENT_REMOVE,
    EVENT_UNMAP,
    FILL_BYTES,
    SHORT_OF_MEMORY_S,
    Space,
)

SOCKET_NAME = "lazy-pages.socket"
RESTORE_FINISHED = 0x52535446
# Pieces of what nobody asked for: in quiet moments, and while the service asks for others.
BUSY_FILL_BYTES = 64 << 10
# As long after the service waited for a page from the source it is likely to wait for another one.
LATELY_S = 0.02
# After so many turns in which the service asked, something else is filled all the same.
MOST_ASKED = 64
# What may be filled in the frozen window: as many pages as take some milliseconds.
FIRST_BYTES = 2 << 20
# The source tries as long to be reached again.
LATE_PATIENCE_S = 300.0
# So often it is looked whether those that wait for the source are still there.
LOOK_S = 1.0
_MESSAGE = struct.Struct("=B7xQQQ")


class LazyPages:
    """Serves the faults of a restored container until all its memory is in place.

    :param work_dir: CRIU's work directory of the restore; the socket lies there.
    :param extents: gives what is to be filled of a process, by its number in the container.
    :param recent: gives what of it changed last, the newest first: the service will touch that at once.
    :param late: content that comes from the source only once the service runs.
    :param lean: give all back as soon as it is filled, even while the service waits for other pages.
    """

    def __init__(
        self,
        work_dir: str,
        extents: Callable[[int], list[Extent]],
        guard: KillGuard,
        recent: Callable[[int], list[RangeSet]] = lambda number: [],
        late: LatePages | None = None,
        *,
        lean: bool = False,
    ) -> None:
        self._lean = lean
        self._extents = extents
        self._recent = recent
        self._late = late if late is not None else LatePages()
        self._guard = guard
        path = os.path.join(work_dir, SOCKET_NAME)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(1)
        self._poll = select.epoll()
        self._spaces: dict[int, Space] = {}
        self._by_number: dict[int, list[Space]] = {}
        self._restored = False
        self._restored_at = 0.0
        self._given_up = False
        # The agent that made this thread is in a hurry.
        self._hurry = Hurry(True)
        self._error: BaseException | None = None
        self.finished = threading.Event()
        self.filled_bytes = 0
        self.fill_ms = 0.0
        # Whoever holds this may rely on what is known of the spaces, and on their descriptors.
        self._in_order = threading.Lock()
        self._late.deliver = self._deliver
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """CRIU restores from here on: what it restores must not outlive us.

        :raises OSError: nobody would see to that.
        """
        self._guard.begin()
        self._late.begin()

    def close(self) -> None:
        """Give up: before the restore has begun, or where the service is about to be ended."""
        self._given_up = True
        # Else a service that is ended would look like one that needs nothing any more.
        self._late.fail("it was given up")
        self._late.close()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def wait(self, timeout_s: float) -> None:
        """Wait until all memory is in place.

        :param timeout_s: for as long nothing need happen; longer while something is to come from the source.
        :raises MigrationError: filling failed, or did not end; the guard ends the service.
        """
        since, come_bytes = time.monotonic(), 0
        while not self.finished.wait(1.0):
            if self._late.received_bytes > come_bytes:
                come_bytes, since = self._late.received_bytes, time.monotonic()
            waited_s = time.monotonic() - since
            if waited_s > (timeout_s if self._late.complete else max(timeout_s, LATE_PATIENCE_S)):
                self._late.fail(self._why_not(waited_s))
        if self._error is not None:
            raise MigrationError(
                f"filling the memory failed: {self._error}. The copy on the target was ended, because its "
                "memory is not complete. What the source still has mec.migration.resolve can let run again",
                phase="verify",
                container_state="exited",
            ) from self._error

    def _why_not(self, waited_s: float) -> str:
        if any(space.short for space in list(self._spaces.values())):
            return "there is no memory for it on the target, within the container's limit or on the host"
        if self._late.complete:
            return f"it was not in place after {waited_s:.0f} s"
        return self._late.obstacle or f"no more of it came in {waited_s:.0f} s"

    @property
    def figures(self) -> dict[str, float]:
        """For the report. ``late_``: what came from the source once the service ran, and how often it
        waited for that.
        """
        return {
            "fill_ms": self.fill_ms,
            "filled_bytes": self.filled_bytes,
            "late_bytes": self._late.received_bytes,
            "late_waits": self._late.waited,
        }

    def _run(self) -> None:
        try:
            self._serve()
            self._guard.release()
        except BaseException as error:
            self._error = error
            if not self._given_up:
                self._guard.fire()
        finally:
            self._late.close()
            with self._in_order:
                self._by_number.clear()
                for space in self._spaces.values():
                    os.close(space.descriptor)
            self.finished.set()

    def _serve(self) -> None:
        connection, _peer = self._listener.accept()
        self._listener.close()
        self._poll.register(connection.fileno(), select.EPOLLIN)
        self._poll.register(self._late.arrival, select.EPOLLIN)
        piece_bytes = FILL_BYTES
        asked = 0
        while not self._restored or not all(space.done for space in self._spaces.values()):
            events = self._poll.poll(self._patience_s())
            with self._in_order:
                asking = self._answer([descriptor for descriptor, _kind in events], connection)
                asked = asked + 1 if asking else 0
                if asking:
                    # Whoever asked asks again soon, and must not find us at a long piece.
                    piece_bytes = BUSY_FILL_BYTES
                if self._restored and asked % MOST_ASKED == 0:
                    lately = self._late.wanted_within(LATELY_S)
                    self._hurry.set(lately)
                    self._fill(BUSY_FILL_BYTES if lately else piece_bytes)
                    piece_bytes = min(2 * piece_bytes, FILL_BYTES)
        self.fill_ms = (time.monotonic() - self._restored_at) * 1000
        connection.close()

    def _answer(self, readable: list[int], connection: socket.socket) -> bool:
        """See to what has happened; whether somebody asked for something."""
        if not readable and not self._late.complete:
            for space in self._spaces.values():
                space.look()
        asking = False
        for descriptor in readable:
            if descriptor == self._late.arrival:
                continue
            asking = True
            if descriptor == connection.fileno():
                self._hear(connection)
            else:
                self._event(self._spaces[descriptor])
        # After the faults: where somebody waits for what has come it is in place already, see `_deliver`.
        if self._late.arrival in readable:
            self._take_late()
        for space in list(self._spaces.values()):
            if space.waits and (late := space.retry()):
                self._late.want(space.number, late)
        return asking

    def _fill(self, piece_bytes: int) -> None:
        """A piece of what nobody asked for."""
        for space in list(self._spaces.values()):
            if space.fillable:
                self.filled_bytes += space.fill_next(piece_bytes)
                if self._lean or piece_bytes == FILL_BYTES:
                    space.give_back()
                return

    def _deliver(self, number: int, extent: Extent, address: int) -> bool:
        """From the thread of the connection to the source: sooner than by way of the images.

        While it copies no event is read whose consequences it would not know. As long as one that changes the
        address space is not read the kernel lets nothing be copied.
        """
        # What cannot be copied is met again, and told of, by the thread that fills.
        with self._in_order, contextlib.suppress(OSError):
            # As long as others may come, the content has to lie where they look for it.
            spaces = self._by_number.get(number, ()) if self._restored else ()
            delivered = len(spaces) == 1 and spaces[0].deliver(extent, address)
            if delivered:
                self.filled_bytes += extent.end - extent.start
            return delivered
        return False

    def _take_late(self) -> None:
        """What has come from the source is there to be filled."""
        if self._late.failed:
            raise OSError(self._late.failed)
        for number, extent in self._late.take_arrived():
            for space in self._by_number.get(number, ()):
                space.arrived(extent)

    def _patience_s(self) -> float | None:
        if self._restored and any(space.fillable for space in self._spaces.values()):
            return 0
        if any(space.waits for space in self._spaces.values()):
            return 0.001
        if any(space.short for space in self._spaces.values()):
            return SHORT_OF_MEMORY_S
        return None if self._late.complete else LOOK_S

    def _hear(self, connection: socket.socket) -> None:
        """A task with its descriptor, a zombie without one, or the end of the restore."""
        word = connection.recv(4, socket.MSG_WAITALL)
        if len(word) < 4:
            if not self._restored:
                raise ConnectionError("the restore ended before its end")
            self._poll.unregister(connection.fileno())
            return
        number = int.from_bytes(word, "little", signed=True)
        if number == RESTORE_FINISHED:
            self._restored = True
            self._restored_at = time.monotonic()
            self._late.runs()
            for space in self._spaces.values():
                space.settled = True
            # CRIU has still to let go of the processes: what they touch first does not wait for us then.
            for space in self._spaces.values():
                left_bytes = FIRST_BYTES - self.filled_bytes
                self.filled_bytes += space.fill_first(self._recent(space.number), left_bytes)
            # On few processors the service would wait until all is filled.
            self._hurry.set(False)
        elif number > 0:
            _word, ancillary, _flags, _sender = connection.recvmsg(1, socket.CMSG_SPACE(4))
            descriptors = array.array("i")
            descriptors.frombytes(ancillary[0][2][:4])
            here, late = self._late.split(self._extents(number))
            self._add(Space(descriptors[0], here, late, number))

    def _add(self, space: Space) -> None:
        self._guard.hold(space.descriptor)
        self._spaces[space.descriptor] = space
        # A child's content comes as its parent's.
        self._by_number.setdefault(space.number, []).append(space)
        self._poll.register(space.descriptor, select.EPOLLIN)

    def _event(self, space: Space) -> None:
        try:
            message = os.read(space.descriptor, _MESSAGE.size)
        except BlockingIOError:
            return
        # Any other error ends the service: where a fork is not heard of (there are no descriptors left) the
        # child would find zeros for content.
        if len(message) < _MESSAGE.size:
            self._poll.unregister(space.descriptor)
            space.gone = True
            return
        event, first, second, third = _MESSAGE.unpack(message)
        if event == EVENT_PAGEFAULT:
            if late := space.fault(second):
                self._late.want(space.number, late)
                self._hurry.set(True)
        elif event == EVENT_FORK:
            self._add(space.fork(first & 0xFFFFFFFF))
        elif event == EVENT_REMAP:
            space.remap(first, second, third)
        elif event in (EVENT_REMOVE, EVENT_UNMAP):
            # What was removed stays registered, and is found as zeros: a mapping of which only a part is
            # registered is split, and the service could not move it as one (mremap).
            space.drop(first, second)
