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
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable

from ..base.page_ranges import RangeSet
from ..base.priority import no_hurry
from ..kernel.process_memory import PAGE_BYTES
from .extents import Extent, Extents

SOCKET_NAME = "lazy-pages.socket"
RESTORE_FINISHED = 0x52535446
# Pieces of what nobody asked for: in quiet moments, and while the service asks for others.
FILL_BYTES, BUSY_FILL_BYTES = 512 << 10, 64 << 10
# After so many turns in which the service asked, something else is filled all the same.
MOST_ASKED = 64
# What may be filled in the frozen window: as many pages as take some milliseconds.
FIRST_BYTES = 2 << 20
MADV_REMOVE = 9
FAULT_BYTES = 16 << 10

# linux/userfaultfd.h
UFFDIO_COPY = 0xC028AA03
UFFDIO_ZEROPAGE = 0xC020AA04
UFFDIO_UNREGISTER = 0x8010AA01
EVENT_PAGEFAULT, EVENT_FORK, EVENT_REMAP, EVENT_REMOVE, EVENT_UNMAP = 0x12, 0x13, 0x14, 0x15, 0x16
_COPY = struct.Struct("=QQQQq")
_ZERO = struct.Struct("=QQQq")
_RANGE = struct.Struct("=QQ")
_MESSAGE = struct.Struct("=B7xQQQ")


_libc = ctypes.CDLL(None)
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Space:
    """What is still to be filled of one process (one userfaultfd).

    What is filled is given back: else the host would hold the memory twice. To give back takes as long again
    as to fill, so that is done in moments when nobody waits.
    """

    def __init__(self, descriptor: int, extents: list[Extent]) -> None:
        self.descriptor = descriptor
        self._left = Extents(extents)
        self._again: set[int] = set()
        self._spent: list[tuple[int, int]] = []
        self._shared = False
        self.gone = False
        self.settled = False
        """All mappings are there: what is not mapped now is gone for good."""

    @property
    def done(self) -> bool:
        return self.gone or not (self._left or self._again)

    @property
    def waits(self) -> bool:
        """Whether a fault could not be served yet; see :meth:`retry`."""
        return bool(self._again)

    def retry(self) -> None:
        """Serve the faults again that came while the address space was changing."""
        again, self._again = self._again, set()
        for address in again:
            self.fault(address)

    def fork(self, descriptor: int) -> Space:
        child = Space(descriptor, list(self._left))
        child.settled = self.settled
        # Each of the two still needs the same content.
        self._shared = child._shared = True
        return child

    def fill_next(self, most_bytes: int) -> int:
        """Fill the next piece; returns its bytes."""
        if self.gone or not self._left:
            return 0
        start, end, source = self._left.take_last(most_bytes)
        if self._copy(start, end, source):
            self._spend(source, source + end - start)
        return end - start

    def _spend(self, start: int, end: int) -> None:
        """What lies there is in place, and can be given back."""
        if self._shared:
            return
        # Pieces of what nobody asked for come in falling order.
        if self._spent and self._spent[-1][0] == end:
            self._spent[-1] = (start, self._spent[-1][1])
        else:
            self._spent.append((start, end))

    def give_back(self) -> int:
        """Give back a piece of the images whose content is in place; returns its bytes."""
        if not self._spent:
            return 0
        start, end = self._spent.pop()
        if end - start > FILL_BYTES:
            self._spent.append((start, end - FILL_BYTES))
            start = end - FILL_BYTES
        # An images directory that cannot do it only keeps more until the end.
        _libc.madvise(start, end - start, MADV_REMOVE)
        return end - start

    def fill_first(self, recent: list[RangeSet], most_bytes: int) -> int:
        """Fill of *recent*, the first set first, *most_bytes* at most; returns the bytes."""
        left_bytes = most_bytes
        for start, end in [piece for ranges in recent for piece in ranges]:
            if not left_bytes:
                break
            for extent in self._left.drop(start, min(end, start + left_bytes)):
                self._copy(*extent)
                left_bytes -= extent.end - extent.start
        return most_bytes - left_bytes

    def fault(self, address: int) -> None:
        """Fill the page at *address*, and some after it."""
        address -= address % PAGE_BYTES
        found = self._left.drop(address, address + FAULT_BYTES)
        complete = [self._copy(*extent) for extent in found]
        for extent, filled in zip(found, complete):
            if filled:
                self._spend(extent.source, extent.source + extent.end - extent.start)
        if found and found[0].start <= address:
            if not complete[0]:
                self._again.add(address)
            return
        # Memory that the service never touched before: zeros. If it is there already, the call says so.
        request = bytearray(_ZERO.pack(address, PAGE_BYTES, 0, 0))
        if self._call(UFFDIO_ZEROPAGE, request) == errno.EAGAIN:
            self._again.add(address)

    def drop(self, start: int, end: int) -> None:
        """[start, end) is not to be filled any more."""
        self._left.drop(start, end)

    def remap(self, old: int, new: int, size: int) -> None:
        for start, end, source in self._left.drop(old, old + size):
            self._left.put(Extent(start + new - old, end + new - old, source))

    def unregister(self, start: int, end: int) -> None:
        self._call(UFFDIO_UNREGISTER, bytearray(_RANGE.pack(start, end - start)))

    def _copy(self, address: int, end: int, source: int) -> bool:
        """Whether all of it is in place; if not, the rest is back among what is left."""
        piece = size = end - address
        while size > 0 and not self.gone:
            request = bytearray(_COPY.pack(address, source, piece, 0, 0))
            code = self._call(UFFDIO_COPY, request)
            done: int = max(0, _COPY.unpack(request)[4])
            if code == errno.ENOENT and piece > PAGE_BYTES:
                # One call cannot cross from a mapping into the next.
                piece = max(PAGE_BYTES, piece // 2 // PAGE_BYTES * PAGE_BYTES)
                continue
            if (code == errno.EAGAIN and not done) or (code == errno.ENOENT and not self.settled):
                # The address space is changing, and the event that says how is waiting to be read; or
                # the restore has not come to this mapping yet.
                self._left.put(Extent(address, address + size, source))
                return False
            if code and not done:
                # EEXIST: filled already. ENOENT: unmapped.
                done = PAGE_BYTES
            address, source, size = address + done, source + done, size - done
            piece = size
        return True

    def _call(self, request: int, argument: bytearray) -> int:
        try:
            fcntl.ioctl(self.descriptor, request, argument, True)
        except OSError as error:
            if error.errno in (errno.ESRCH, errno.ENOSPC):
                self.gone = True
                return 0
            if error.errno in (errno.EAGAIN, errno.EEXIST, errno.ENOENT, errno.ENOMEM, errno.EINVAL):
                return int(error.errno)
            raise
        return 0


class LazyPages:
    """Serves the faults of a restored container until all its memory is in place.

    :param work_dir: CRIU's work directory of the restore; the socket lies there.
    :param extents: gives what is to be filled of a process, by its number in the container.
    :param recent: gives what of it changed last, the newest first: the service will touch that at once.
    :param lean: give all back as soon as it is filled, even while the service waits for other pages.
    """

    def __init__(
        self,
        work_dir: str,
        extents: Callable[[int], list[Extent]],
        guard: KillGuard,
        recent: Callable[[int], list[RangeSet]] = lambda number: [],
        *,
        lean: bool = False,
    ) -> None:
        self._lean = lean
        self._extents = extents
        self._recent = recent
        self._guard = guard
        path = os.path.join(work_dir, SOCKET_NAME)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(1)
        self._poll = select.epoll()
        self._spaces: dict[int, Space] = {}
        self._numbers: dict[int, int] = {}
        self._restored = False
        self._restored_at = 0.0
        self._given_up = False
        self._error: BaseException | None = None
        self.finished = threading.Event()
        self.filled_bytes = 0
        self.fill_ms = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """CRIU restores from here on: what it restores must not outlive us.

        :raises OSError: nobody would see to that.
        """
        self._guard.begin()

    def close(self) -> None:
        """Give up before the restore has begun."""
        self._given_up = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def wait(self, timeout_s: float) -> None:
        """Wait until all memory is in place.

        :raises TimeoutError: it is not.
        :raises OSError: filling failed; the guard ends the service.
        """
        if not self.finished.wait(timeout_s):
            raise TimeoutError(f"memory is not filled after {timeout_s:g} s")
        if self._error is not None:
            raise OSError(f"filling the memory failed: {self._error}")

    def _run(self) -> None:
        try:
            self._serve()
            self._guard.release()
        except BaseException as error:
            self._error = error
            if not self._given_up:
                self._guard.fire()
        finally:
            for space in self._spaces.values():
                os.close(space.descriptor)
            self.finished.set()

    def _serve(self) -> None:
        connection, _peer = self._listener.accept()
        self._listener.close()
        self._poll.register(connection.fileno(), select.EPOLLIN)
        piece_bytes = FILL_BYTES
        asked = 0
        while not self._restored or not all(space.done for space in self._spaces.values()):
            events = self._poll.poll(self._patience_s())
            for descriptor, _kind in events:
                if descriptor == connection.fileno():
                    self._hear(connection)
                else:
                    self._event(self._spaces[descriptor])
            for space in list(self._spaces.values()):
                if space.waits:
                    space.retry()
            asked = asked + 1 if events else 0
            if events:
                # Whoever asked asks again soon, and must not find us at a long piece.
                piece_bytes = BUSY_FILL_BYTES
            if self._restored and asked % MOST_ASKED == 0:
                self._fill(piece_bytes)
                piece_bytes = min(2 * piece_bytes, FILL_BYTES)
        self.fill_ms = (time.monotonic() - self._restored_at) * 1000
        connection.close()

    def _fill(self, piece_bytes: int) -> None:
        """A piece of what nobody asked for."""
        for space in list(self._spaces.values()):
            if not space.done:
                self.filled_bytes += space.fill_next(piece_bytes)
                if self._lean or piece_bytes == FILL_BYTES:
                    space.give_back()
                return

    def _patience_s(self) -> float | None:
        if self._restored:
            return 0
        if any(space.waits for space in self._spaces.values()):
            return 0.001
        return None

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
            for space in self._spaces.values():
                space.settled = True
            # CRIU has still to let go of the processes: what they touch first does not wait for us then.
            for descriptor, process in self._numbers.items():
                left_bytes = FIRST_BYTES - self.filled_bytes
                self.filled_bytes += self._spaces[descriptor].fill_first(self._recent(process), left_bytes)
            # On few processors the service would wait until all is filled.
            no_hurry()
        elif number > 0:
            _word, ancillary, _flags, _sender = connection.recvmsg(1, socket.CMSG_SPACE(4))
            descriptors = array.array("i")
            descriptors.frombytes(ancillary[0][2][:4])
            self._numbers[descriptors[0]] = number
            self._add(Space(descriptors[0], self._extents(number)))

    def _add(self, space: Space) -> None:
        self._guard.hold(space.descriptor)
        self._spaces[space.descriptor] = space
        self._poll.register(space.descriptor, select.EPOLLIN)

    def _event(self, space: Space) -> None:
        try:
            message = os.read(space.descriptor, _MESSAGE.size)
        except BlockingIOError:
            return
        except OSError:
            space.gone = True
            message = b""
        if len(message) < _MESSAGE.size:
            self._poll.unregister(space.descriptor)
            space.gone = True
            return
        event, first, second, third = _MESSAGE.unpack(message)
        if event == EVENT_PAGEFAULT:
            space.fault(second)
        elif event == EVENT_FORK:
            self._add(space.fork(first & 0xFFFFFFFF))
        elif event == EVENT_REMAP:
            space.remap(first, second, third)
        elif event in (EVENT_REMOVE, EVENT_UNMAP):
            space.drop(first, second)
            if event == EVENT_REMOVE:
                space.unregister(first, second)


class KillGuard:
    """A child that holds the descriptors beside us and ends the service if we die with work left.

    Before :meth:`begin` nothing runs, and runc is left to put away what it has made.

    :param kill: ends every process of the restored container.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self._ours, theirs = socket.socketpair()
        self._child = os.fork()
        if self._child == 0:
            code = 0
            try:
                self._ours.close()
                os.setsid()
                self._watch(theirs, kill)
            except BaseException:  # the child must never return into its parent's code
                code = 1
            finally:
                os._exit(code)
        theirs.close()

    @staticmethod
    def _watch(connection: socket.socket, kill: Callable[[], None]) -> None:
        begun = False
        while True:
            word, ancillary, _flags, _sender = connection.recvmsg(1, socket.CMSG_SPACE(4))
            if word == b"b":
                begun = True
            elif word == b"h":
                begun = True
                # Never closed before the end: a closed descriptor turns missing pages into zeros.
                if not ancillary:
                    kill()
                    return
            elif word == b"r":
                return
            else:
                if begun or word == b"k":
                    kill()
                return

    def begin(self) -> None:
        """CRIU restores from here on.

        :raises OSError: the guard is gone.
        """
        self._ours.send(b"b")

    def hold(self, descriptor: int) -> None:
        rights = array.array("i", [descriptor])
        self._ours.sendmsg([b"h"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    def release(self) -> None:
        """All is in place."""
        self._end(b"r")

    def fire(self) -> None:
        """End the service."""
        self._end(b"k")

    def _end(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            self._ours.send(word)
        self._ours.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._child, 0)


def userfaultfd_works() -> bool:
    """Whether this kernel offers userfaultfd to us."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 323, "aarch64": 282}.get(os.uname().machine)
    if number is None:
        return False
    descriptor = libc.syscall(number, os.O_CLOEXEC | os.O_NONBLOCK)
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True
