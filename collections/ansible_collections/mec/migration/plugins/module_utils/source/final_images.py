# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRIU's images of the final dump on the source: which pages they name, which they hold, and their way out.

All of it happens in the frozen window.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..base.errors import MigrationError
from ..base.page_ranges import Range, RangeSet
from ..base.threads import InThread
from ..criu.connected_datagrams import disconnect
from ..criu.edits import LARGE_BYTES, keep_reserved, mount_anew, rearm_timers
from ..criu.eventfds import set_aside
from ..criu.files_image import FilesImage
from ..criu.given_segments import give
from ..criu.images import (
    PE_LAZY,
    PE_PARENT,
    PE_PRESENT,
    EntryKey,
    Part,
    RawEntry,
    RawPagemap,
    entry_keys,
    image_names,
    key_range,
    leave_out,
    left_out,
    rewrite,
    without,
)
from ..criu.parent import NAME as PARENT_LINK
from ..criu.renamed_sockets import bind_to_new_names
from ..criu.segments import segment_number
from ..kernel.closed_files import ClosedFiles
from ..kernel.datagram_peers import Peer
from ..kernel.process_memory import (
    Pagemap,
    Reader,
    always_dumped,
    fetchable_ranges,
    flagged_ranges,
)
from ..kernel.processes import locked_bytes
from ..memory.shared_memory import givable_segments, opened_memfds
from ..memory.source import FrozenSegment, MemorySource
from ..transport.wire import Channel

SEGMENT_PAGEMAP = re.compile(r"pagemap-shmem-(\d+)\.img")
MOUNTS = re.compile(r"mountpoints-\d+\.img")
PROCESS_PAGEMAP = re.compile(r"pagemap-(\d+)\.img")
# Of a process or thread; CRIU writes them once, each process's together. Those of descriptors are still to
# be edited.
OF_A_PROCESS = re.compile(r"(?:core|mm|fs|ids)-\d+\.img")
MAX_BODY_BYTES = 64 << 20
# What is sent before the dump is over: less is not worth a message.
MIN_EARLY_BYTES = 256 << 10
# How often the end of the dump is looked for while nothing is written.
WAIT_S = 0.005
MAX_LIKELY_BYTES = 8 << 20
LAZY = bytes([PE_LAZY])


class _Expected(NamedTuple):
    """Of one process: what can be restored lazily, and entries for what the target holds of it."""

    pid: int
    lazy: RangeSet
    usual: set[EntryKey]


def likely_content(pids: Iterable[int]) -> bytes:
    """Before the freeze: what the images will hold of memory, if it stays as it is.

    Most of it never changes again.
    """
    found: list[bytes] = []
    size_bytes = 0
    for pid in pids:
        try:
            content = Reader(pid).content(always_dumped(pid))
        except (FileNotFoundError, ProcessLookupError):
            continue
        size_bytes += len(content)
        if size_bytes > MAX_LIKELY_BYTES:
            break
        found.append(content)
    return b"".join(found)


class FinalImages:
    """:param directory: where CRIU dumps to; on tmpfs.
    :param ready: segments of shared memory that the target has made.
    """

    def __init__(self, directory: str, memory: MemorySource, ready: Iterable[int] = ()) -> None:
        self._dir = directory
        self.files = FilesImage(directory)
        # What the target is to connect again.
        self.peers: list[Peer] = []
        self._memory = memory
        self._ready_segments = set(ready)
        self._expected: dict[int, _Expected] = {}
        self._missing: dict[int, RangeSet] = {}
        self._settled: set[int] = set()
        # Images of processes with much address space, which are still to be edited.
        self._reserving: set[str] = set()
        # Name and size of what was sent, and names of what can be.
        self._sent: dict[str, int] = {}
        self._ready: list[str] = []
        self._compared: InThread[dict[int, FrozenSegment]] | None = None
        self._closed: ClosedFiles | None = None
        # Without it all is sent at the end.
        with contextlib.suppress(OSError):
            self._closed = ClosedFiles(directory)

    def expect(self, pids: dict[int, int]) -> None:
        """While CRIU dumps, after the last round: what it will name if all is as usual.

        :param pids: number on the host -> number in the container.
        """
        for pid, number in pids.items():
            lazy = fetchable_ranges(pid)
            if locked_bytes(pid):
                # Locked memory is never restored lazily, so its content must be in the images.
                lazy = lazy - flagged_ranges(pid, "lo")
            try:
                with Pagemap(pid) as pagemap:
                    held = pagemap.present(lazy) & self._memory.known(number)
            except (FileNotFoundError, ProcessLookupError):
                # A zombie has no memory.
                held = RangeSet()
            self._expected[number] = _Expected(pid, lazy, set(entry_keys(held)))
            if any(end - start >= LARGE_BYTES for start, end in lazy):
                self._reserving.add(f"mm-{number}.img")

    def send_early(self, channel: Channel, dumping: Callable[[], bool]) -> None:
        """While CRIU dumps, after :meth:`expect`: settle and send what of each process is complete.

        Of a service of many processes that is most of the images.

        :param dumping: whether the dump still runs.
        :raises MigrationError: pages cannot be read, or the connection broke.
        """
        closed = self._closed
        ready_bytes = 0
        while closed is not None and dumping():
            for name in closed.next(WAIT_S):
                ready_bytes += self._complete(name)
            if ready_bytes >= MIN_EARLY_BYTES:
                self._send(channel, self._ready)
                self._ready, ready_bytes = [], 0

    def _complete(self, name: str) -> int:
        """CRIU has closed an image: it, and what belongs to it, can be sent; returns its bytes."""
        names = []
        process, segment = PROCESS_PAGEMAP.fullmatch(name), SEGMENT_PAGEMAP.fullmatch(name)
        if process:
            names = self._settle_process(int(process.group(1)))
        elif segment:
            # Those of memfds come first: they are compared while CRIU dumps the rest.
            names = self._settle_segment(int(segment.group(1)))
        elif OF_A_PROCESS.fullmatch(name) and name not in self._ready and name not in self._sent:
            names = [name]
        self._keep_reserved(names)
        sizes = []
        for one in names:
            with contextlib.suppress(FileNotFoundError):
                sizes.append(os.stat(os.path.join(self._dir, one)).st_size)
                self._ready.append(one)
        return sum(sizes)

    def _keep_reserved(self, names: Iterable[str]) -> None:
        for name in self._reserving.intersection(names):
            keep_reserved(os.path.join(self._dir, name))
            self._reserving.remove(name)

    def settle(self) -> dict[int, RangeSet]:
        """After the dump: leave out what can be restored lazily, bring in what cannot.

        :returns: pages that are left out and that the target does not hold, by number in the container.
        :raises MigrationError: pages cannot be read.
        """
        link = os.path.join(self._dir, PARENT_LINK)
        if os.path.islink(link):
            os.unlink(link)
        rearm_timers(self.files)
        pids = {expected.pid: number for number, expected in self._expected.items()}
        set_aside(self.files, pids)
        self.peers = disconnect(self.files, pids)
        bind_to_new_names(self.files, pids)
        self._give_segments()
        self.files.write()
        names = os.listdir(self._dir)
        self._keep_reserved(names)
        for name in names:
            if MOUNTS.fullmatch(name):
                mount_anew(os.path.join(self._dir, name))
            found = SEGMENT_PAGEMAP.fullmatch(name)
            if found:
                self._settle_segment(int(found.group(1)))
        for number in self._expected:
            if os.path.exists(self._pagemap(number)):
                self._settle_process(number)
        self._drop_links()
        return self._missing

    def _give_segments(self) -> None:
        """Have CRIU take over there the shared memory that the target has made, if it still can."""
        if self._ready_segments:
            try:
                givable = givable_segments(expected.pid for expected in self._expected.values())
            except OSError:
                # A zombie has none; another process cannot have ended.
                return
            give(self.files, self._ready_segments.intersection(givable))

    def _drop_links(self) -> None:
        """The links to nowhere that are left belong to no image, or to one that nobody can read any more.

        :raises MigrationError: to one of those.
        """
        left = {name for name in os.listdir(self._dir) if os.path.islink(os.path.join(self._dir, name))}
        for name in os.listdir(self._dir) if left else ():
            if name.startswith("pagemap-"):
                pages = os.path.basename(RawPagemap(os.path.join(self._dir, name)).pages_path)
                if pages in left:
                    raise MigrationError(
                        f"what {name} names could not be read once the service was frozen", phase="handover"
                    )
        for name in left:
            os.unlink(os.path.join(self._dir, name))

    def _settle_process(self, number: int) -> list[str]:
        """Once its images are complete; returns the names of those that are so for good."""
        expected = self._expected.get(number)
        if expected is None or number in self._settled:
            return []
        self._settled.add(number)
        pagemap = RawPagemap(self._pagemap(number), lazy_parent=True)
        if self._is_unwritten(pagemap):
            _bring_back(pagemap, Reader(expected.pid))
        if self._is_dumped_whole(pagemap, number, expected):
            leave_out(pagemap.path, self._memory.known(number))
            pagemap = RawPagemap(pagemap.path, lazy_parent=True)
        absent = self._settle(pagemap, expected, number)
        if absent:
            self._missing[number] = absent
        return [os.path.basename(path) for path in (pagemap.path, pagemap.pages_path)]

    def _settle(self, pagemap: RawPagemap, expected: _Expected, number: int) -> RangeSet:
        usual = expected.usual
        odd = {
            (address, pages): key_range((address, pages))
            for _message, address, flags, pages in pagemap.entries
            if flags == LAZY and (address, pages) not in usual
        }
        named = RangeSet.ordered(odd.values())
        brought = named - expected.lazy
        if brought:
            _bring_in(pagemap, odd, brought, Reader(expected.pid).content(brought))
        else:
            pagemap.write()
        return named - brought - self._memory.known(number)

    def compare(self, pids: Iterable[int]) -> None:
        """Begin to compare shared memory with what the target holds, beside the dump."""
        if self._memory.segments:
            self._compared = InThread(lambda: self._memory.compare_segments(pids))

    def wait(self) -> None:
        """Until nothing is compared any more: what runs may make a segment shorter."""
        if self._compared is not None:
            self._compared.wait()

    def _settle_segment(self, shmid: int) -> list[str]:
        """Of shared memory keep what has changed since the last round, be it dumped or left to the parent.

        :returns: the names of its images, once.
        """
        compared = self._compared.result() if self._compared is not None else {}
        numbers = [segment_number(shmid, system_v=system_v) for system_v in (False, True)]
        known = [number for number in numbers if self._memory.known(number)]
        number = (known or [number for number in numbers if number in compared] or numbers)[0]
        pagemap = RawPagemap(os.path.join(self._dir, image_names(number).pagemap))
        nowhere = self._is_unwritten(pagemap)
        if number in self._settled or not (nowhere or known):
            return []
        self._settled.add(number)
        found = compared.get(number)
        if nowhere and found is None:
            found = self._opened(shmid)

        def split(entry: RawEntry, content: memoryview) -> list[Part] | None:
            start, end = key_range((entry[1], entry[3]))
            if found is not None:
                same = found.same & RangeSet([(start, end)])
                if content or same.size_bytes == end - start:
                    return without(entry, content, same, PE_PARENT)
                read = memoryview(found.content(start, end))
                return without(entry, read, same, PE_PARENT)
            if not content:
                raise MigrationError(
                    f"shared memory {shmid} could not be read once the service was frozen", phase="handover"
                )
            place = ctypes.addressof(ctypes.c_char.from_buffer(content))
            return without(entry, content, self._memory.unchanged(number, start, end, place), PE_PARENT)

        rewrite(pagemap, split)
        return [os.path.basename(path) for path in (pagemap.path, pagemap.pages_path)]

    def _opened(self, shmid: int) -> FrozenSegment | None:
        """A memfd that no process has mapped."""
        path = opened_memfds(expected.pid for expected in self._expected.values()).get(shmid)
        return FrozenSegment(path, RangeSet()) if path else None

    @staticmethod
    def _is_unwritten(pagemap: RawPagemap) -> bool:
        """Whether the pages went to nowhere; if so there is a place for them from now on."""
        if not os.path.islink(pagemap.pages_path):
            return False
        os.unlink(pagemap.pages_path)
        return True

    def _is_dumped_whole(self, pagemap: RawPagemap, number: int, expected: _Expected) -> bool:
        """Whether CRIU has dumped memory all the same, which the target has already."""
        dumped_bytes, known_bytes = 0, self._memory.known(number).size_bytes
        with contextlib.suppress(FileNotFoundError):
            dumped_bytes = os.stat(pagemap.pages_path).st_size
        if not known_bytes or dumped_bytes < known_bytes / 4:
            return False
        return not left_out(pagemap.path) and not locked_bytes(expected.pid)

    def send(self, channel: Channel) -> None:
        """All images that were not sent before.

        :raises MigrationError: one has changed since.
        """
        for name, size in self._sent.items():
            now = os.stat(os.path.join(self._dir, name)).st_size
            if now != size:
                raise MigrationError(
                    f"CRIU's image {name} had {size} bytes when it was sent, and has {now} now: this version "
                    "of CRIU writes it in several goes. Use a version that was tested",
                    phase="handover",
                )
        self._send(channel, sorted(set(os.listdir(self._dir)) - set(self._sent)))

    def _send(self, channel: Channel, names: list[str]) -> None:
        """In messages of a bounded size."""
        files: list[tuple[str, int]] = []
        body = bytearray()
        for name in names:
            self._sent[name] = 0
            with open(os.path.join(self._dir, name), "rb") as image:
                while True:
                    piece = image.read(MAX_BODY_BYTES - len(body))
                    if not piece and files and files[-1][0] == name:
                        break
                    files.append((name, len(piece)))
                    self._sent[name] += len(piece)
                    body += piece
                    if len(body) >= MAX_BODY_BYTES:
                        channel.send("handover.images", channel.resembling(body), files=files)
                        files, body = [], bytearray()
                    elif not piece:
                        break
        channel.send("handover.images", channel.resembling(body), files=files)

    def _pagemap(self, number: int) -> str:
        return os.path.join(self._dir, f"pagemap-{number}.img")


def _bring_back(pagemap: RawPagemap, reader: Reader) -> None:
    """Give a page map the content of its pages, which the dump wrote to nowhere, from the frozen process."""

    def split(entry: RawEntry, _content: memoryview) -> list[Part] | None:
        if not entry[2][0] & PE_PRESENT:
            return None
        piece = key_range((entry[1], entry[3]))
        content = reader.content(RangeSet([piece]))
        if len(content) != piece.end - piece.start:
            raise MigrationError(
                f"{piece} could not be read for {os.path.basename(pagemap.path)}: {len(content)} bytes of "
                f"{piece.end - piece.start}",
                phase="handover",
            )
        return [Part(piece, entry[2][0], content)]

    rewrite(pagemap, split)


def _bring_in(pagemap: RawPagemap, odd: dict[EntryKey, Range], brought: RangeSet, content: bytes) -> None:
    """Split the *odd* entries into what is *brought* in and what stays left out.

    :param content: of *brought*, back to back.
    """
    if len(content) != brought.size_bytes:
        raise MigrationError(
            f"{brought} could not be read for {os.path.basename(pagemap.path)}: "
            f"{len(content)} bytes of {brought.size_bytes}",
            phase="handover",
        )
    taken = 0

    def split(entry: RawEntry, _content: memoryview) -> list[Part] | None:
        nonlocal taken
        place = odd.get((entry[1], entry[3]))
        if place is None or entry[2] != LAZY:
            return None
        whole = RangeSet([place])
        parts = [Part(piece, PE_LAZY) for piece in whole - brought]
        for start, end in whole & brought:
            parts.append(Part((start, end), PE_PRESENT, content[taken : taken + end - start]))
            taken += end - start
        return sorted(parts, key=lambda part: part.piece)

    rewrite(pagemap, split)
