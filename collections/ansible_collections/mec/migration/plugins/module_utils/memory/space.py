# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process's memory that is being filled through userfaultfd.

See Documentation/admin-guide/mm/userfaultfd.rst of the kernel.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from collections.abc import Iterable

from ..base.page_ranges import RangeSet
from ..kernel.calls import syscall
from ..kernel.libc import MADV_REMOVE, libc
from ..kernel.process_memory import PAGE_BYTES
from .extents import Extent, Extents

# The longest piece that is filled, or given back, at once.
FILL_BYTES = 512 << 10
# What comes with a page that the service waits for: what lies here, and what must come from the source.
FAULT_BYTES, LATE_BYTES = 16 << 10, 64 << 10
# Where the container or the host has no memory for a page it is tried again so much later.
SHORT_OF_MEMORY_S = 0.05

# linux/userfaultfd.h
UFFDIO_COPY = 0xC028AA03
UFFDIO_ZEROPAGE = 0xC020AA04
UFFDIO_WAKE = 0x8010AA02
UFFDIO_CONTINUE = 0xC020AA07
EVENT_PAGEFAULT, EVENT_FORK, EVENT_REMAP, EVENT_REMOVE, EVENT_UNMAP = 0x12, 0x13, 0x14, 0x15, 0x16
_COPY = struct.Struct("=QQQQq")
_ZERO = struct.Struct("=QQQq")
_CONTINUE = struct.Struct("=QQQq")
_RANGE = struct.Struct("=QQ")


class Space:
    """What is still to be filled of one process (one userfaultfd).

    What is filled is given back: else the host would hold the memory twice. To give back takes as long again
    as to fill, so that is done in moments when nobody waits.
    """

    def __init__(
        self, descriptor: int, extents: list[Extent], late: Iterable[Extent] = (), number: int = 0
    ) -> None:
        self.descriptor = descriptor
        self.number = number
        self._left = Extents(extents)
        # What still lies on the source, and which faults wait for that.
        self._late = Extents(late)
        self._wanted: set[int] = set()
        # Once something of it was moved: the same by where its content comes to lie.
        self._places: Extents | None = None
        self._short_until = 0.0
        self._next, self._ahead_bytes = -1, PAGE_BYTES
        self._again: set[int] = set()
        self._spent: list[tuple[int, int]] = []
        self._shared = False
        self.gone = False
        self.settled = False
        """All mappings are there: what is not mapped now is gone for good."""

    @property
    def done(self) -> bool:
        return self.gone or not (self._left or self._late or self._again)

    @property
    def fillable(self) -> bool:
        """Whether there is something to be filled that nobody asked for."""
        return not self.gone and bool(self._left) and not self.short

    @property
    def waits(self) -> bool:
        """Whether a fault could not be served yet; see :meth:`retry`."""
        return bool(self._again) and not self.short

    @property
    def short(self) -> bool:
        """Whether there was no memory for a page a moment ago."""
        return bool(self._short_until) and time.monotonic() < self._short_until

    def look(self) -> None:
        """See whether the process is still there, which else is only seen when a page is put in place."""
        late = next(iter(self._late), None)
        if late is not None and not self._left:
            # Pages of this kind cannot be continued: the call does nothing but say why not.
            self._call(UFFDIO_CONTINUE, bytearray(_CONTINUE.pack(late.start, PAGE_BYTES, 0, 0)))

    def retry(self) -> list[Extent]:
        """Serve the faults again that came while the address space was changing; returns as :meth:`fault`."""
        again, self._again = self._again, set()
        return [extent for address in again for extent in self.fault(address)]

    def fork(self, descriptor: int) -> Space:
        child = Space(descriptor, list(self._left), list(self._late), self.number)
        child.settled = self.settled
        if self._places is not None:
            child._places = Extents(self._places)
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
        libc.madvise(start, end - start, MADV_REMOVE)
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

    def fault(self, address: int) -> list[Extent]:
        """Fill the page at *address*, and some after it; returns what must come from the source for that."""
        address -= address % PAGE_BYTES
        found = self._left.drop(address, address + FAULT_BYTES)
        complete = [self._copy(*extent) for extent in found]
        for extent, filled in zip(found, complete):
            if filled:
                self._spend(extent.source, extent.source + extent.end - extent.start)
        if found and found[0].start <= address:
            if not complete[0]:
                self._again.add(address)
            return []
        # More at once for whoever reads on and on; each page takes its time on the link.
        reads_on = address == self._next or (
            # What lies between came beside.
            self._next < address < self._next + LATE_BYTES and not self._late.between(self._next, address)
        )
        self._ahead_bytes = min(2 * self._ahead_bytes, LATE_BYTES) if reads_on else PAGE_BYTES
        late = self._late.between(address, address + self._ahead_bytes)
        if late and late[0].start == address:
            self._next = address + self._ahead_bytes
            self._wanted.add(address)
            return late
        # Memory that the service never touched before: zeros. If it is there already, the call says so.
        request = bytearray(_ZERO.pack(address, PAGE_BYTES, 0, 0))
        code = self._call(UFFDIO_ZEROPAGE, request)
        if code in (errno.EAGAIN, errno.ENOMEM):
            self._again.add(address)
        elif code and self.settled:
            # It is there already, or was unmapped while somebody waited for it, whom nobody else wakes.
            self._call(UFFDIO_WAKE, bytearray(_RANGE.pack(address, PAGE_BYTES)))
        return []

    def deliver(self, extent: Extent, address: int) -> bool:
        """Put late content in place from *address* of this process's memory, for which a fault waits.

        :returns: whether all of it is in place. Where anything is in the way nothing is noted, and it has to
            come by :meth:`arrived`, which does not mind what is in place already.
        """
        start, end, source = extent
        if self._places is not None or self._shared or self.gone:
            return False
        if [(each.start, each.end) for each in self._late.between(start, end)] != [(start, end)]:
            return False
        request = bytearray(_COPY.pack(start, address, end - start, 0, 0))
        if self._call(UFFDIO_COPY, request) or self.gone:
            return False
        self._late.drop(start, end)
        self._wanted = {wanted for wanted in self._wanted if not start <= wanted < end}
        # Older content may lie there.
        self._spend(source, source + end - start)
        return True

    def arrived(self, extent: Extent) -> None:
        """Content has come for *extent*, which is as it was on the source."""
        if self._places is None:
            here = self._late.drop(extent.start, extent.end)
        else:
            # What lies elsewhere now is found by where its content lies.
            found = self._places.drop(extent.source, extent.source + extent.end - extent.start)
            here = [_turned(each) for each in found]
            for each in here:
                self._late.drop(each.start, each.end)
        for each in here:
            self._left.put(each)
            for address in [wanted for wanted in self._wanted if each.start <= wanted < each.end]:
                self._wanted.remove(address)
                self.fault(address)

    def drop(self, start: int, end: int) -> None:
        """[start, end) is not to be filled any more."""
        self._left.drop(start, end)
        for extent in self._late.drop(start, end):
            if self._places is not None:
                turned = _turned(extent)
                self._places.drop(turned.start, turned.end)
        self._serve_again(start, end)

    def remap(self, old: int, new: int, size: int) -> None:
        if self._places is None and self._late:
            self._places = Extents(_turned(extent) for extent in self._late)
        for extents in (self._left, self._late):
            for start, end, source in extents.drop(old, old + size):
                moved = Extent(start + new - old, end + new - old, source)
                extents.put(moved)
                if extents is self._late and self._places is not None:
                    self._places.put(_turned(moved))
        self._serve_again(old, old + size)

    def _serve_again(self, start: int, end: int) -> None:
        """Faults in [start, end) do not wait for the source any more."""
        moved = {address for address in self._wanted if start <= address < end}
        self._wanted -= moved
        self._again |= moved

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
            again = code == errno.ENOMEM or (code == errno.EAGAIN and not done)
            if again or (code == errno.ENOENT and not self.settled):
                # The address space is changing, and the event that says how is waiting to be read; or
                # there is no memory for it now; or the restore has not come to this mapping yet.
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
            if error.errno == errno.ENOMEM:
                self._short_until = time.monotonic() + SHORT_OF_MEMORY_S
            if error.errno in (errno.EAGAIN, errno.EEXIST, errno.ENOENT, errno.ENOMEM, errno.EINVAL):
                return int(error.errno)
            raise
        return 0


def _turned(extent: Extent) -> Extent:
    """The same by where its content lies, or back."""
    return Extent(extent.source, extent.source + extent.end - extent.start, extent.start)


def userfaultfd_works() -> bool:
    """Whether this kernel offers userfaultfd to us."""
    try:
        descriptor = syscall("userfaultfd", os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    os.close(descriptor)
    return True
