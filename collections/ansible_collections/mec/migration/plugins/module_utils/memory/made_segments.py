# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Segments of shared memory that the target makes and fills before the freeze; CRIU is given them.

The larger a segment is, the longer CRIU takes to read it from images, and the service is frozen meanwhile. So
the target makes it when the rounds have brought most of it, and in the window writes only what has changed
since. The images keep it all the same: should the segment turn out to be one that cannot be given, CRIU reads
it there.

Pages are charged to the cgroup of the process that makes them, so they are first made by one that is in the
container's; see role edge_host's criu_gate.py.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..base.errors import MigrationError
from ..base.page_ranges import Range, RangeSet
from ..criu.given_segments import GIVEN_FILE, GivenSegment, given_in
from ..criu.images import PE_PARENT, PE_PRESENT, RawPagemap, image_names, key_range
from ..kernel.libc import call
from ..kernel.process_memory import PAGE_BYTES
from .shared_memory import Segment
from .target import MemoryTarget

F_ADD_SEALS = 1033
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2
MFD_CLOEXEC, MFD_ALLOW_SEALING = 1, 2
WRITE_BYTES = 64 << 20

# Makes pages: path of a segment, pairs of start and end.
Allocate = Callable[[list[tuple[str, list[Range]]]], object]


class _Final(NamedTuple):
    """What the images of the frozen container say of a segment.

    :ivar content: of pages that have changed since the last round: where each range of them begins in
        the file.
    :ivar unchanged: what is as the rounds have brought it. All else is zeros.
    """

    content: dict[Range, int]
    unchanged: RangeSet
    pages_path: str


class _MadeSegment:
    def __init__(self, segment: Segment) -> None:
        self.number = segment.number
        self.name = segment.name
        self._file = os.memfd_create(segment.name, MFD_CLOEXEC | MFD_ALLOW_SEALING)
        self._size_bytes = 0
        self.pages = RangeSet()
        """Those that are there."""
        self.resize(segment.size_bytes)

    def close(self) -> None:
        os.close(self._file)

    @property
    def path(self) -> str:
        """By which others can open it."""
        return f"/proc/{os.getpid()}/fd/{self._file}"

    def resize(self, size_bytes: int) -> None:
        os.ftruncate(self._file, size_bytes)
        self._size_bytes = size_bytes
        self.pages &= RangeSet([(0, -(-size_bytes // PAGE_BYTES) * PAGE_BYTES)])

    def lacking(self, wanted: RangeSet) -> RangeSet:
        """What of *wanted* is not there yet."""
        return (wanted - self.pages) & RangeSet([(0, -(-self._size_bytes // PAGE_BYTES) * PAGE_BYTES)])

    def places(self, pages: RangeSet) -> list[Range]:
        """Where in the file *pages* are, the last of which may not be a whole one."""
        return [Range(start, min(end, self._size_bytes)) for start, end in pages]

    def write(self, start: int, content: memoryview) -> None:
        content = content[: max(self._size_bytes - start, 0)]
        for at in range(0, len(content), WRITE_BYTES):
            piece = content[at : at + WRITE_BYTES]
            if os.pwrite(self._file, piece, start + at) != len(piece):
                raise OSError(f"shared memory {self.number} took only a part of its content")

    def write_from(self, start: int, end: int, source: int) -> None:
        """:param source: where the content of [start, end) lies in this process's memory."""
        self.write(start, memoryview((ctypes.c_char * (end - start)).from_address(source)).cast("B"))

    def empty(self, ranges: RangeSet) -> None:
        """These pages are zeros, and take no memory."""
        for start, end in ranges & self.pages:
            mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
            call("fallocate", self._file, mode, start, end - start)
        self.pages -= ranges

    def finish(self, final: GivenSegment) -> None:
        """Give it what is neither content nor size."""
        os.fchown(self._file, final.uid, final.gid)
        os.fchmod(self._file, final.mode & 0o7777)
        if final.seals:
            fcntl.fcntl(self._file, F_ADD_SEALS, final.seals)


class MadeSegments:
    """Those of one migration.

    :param memory: has what the rounds have brought.
    """

    def __init__(self, memory: MemoryTarget) -> None:
        self._memory = memory
        self._made: dict[int, _MadeSegment] = {}

    def make(self, wanted: Iterable[Segment], allocate: Allocate) -> list[int]:
        """Before the freeze: make segments and fill them; returns the numbers of those that are ready.

        :raises OSError: there is no room for one.
        """
        by_number = {segment.number: segment for segment in wanted}
        for number, made in list(self._made.items()):
            if number not in by_number or made.name != by_number[number].name:
                self._drop(number)
        for number, segment in by_number.items():
            if number in self._made:
                self._made[number].resize(segment.size_bytes)
            else:
                self._made[number] = _MadeSegment(segment)
        held = {number: self._memory.held(number) for number in self._made}
        lacking = self._allocate(held, allocate)
        for number, made in self._made.items():
            self._fill(made, self._memory.take_fresh(number) | lacking[number])
        return list(self._made)

    def give(self, directory: str, allocate: Allocate) -> None:
        """In the window: make them what they are in the images in *directory*, and list them there for CRIU.

        :raises MigrationError: the images name what is not here.
        :raises OSError: there is no room for a page.
        """
        segments, files = given_in(directory)
        finals = {segment.number: self._final(directory, segment) for segment in segments}
        for number in set(self._made) - set(finals):
            # CRIU reads it from the images.
            self._drop(number)
        for segment in segments:
            self._made[segment.number].resize(segment.size_bytes)
        named = {number: RangeSet(final.content) | final.unchanged for number, final in finals.items()}
        lacking = self._allocate(named, allocate)
        for segment in segments:
            made, final = self._made[segment.number], finals[segment.number]
            fresh = self._memory.take_fresh(segment.number) | lacking[segment.number]
            self._fill(made, fresh & final.unchanged)
            self._write(made, final)
            made.empty(made.pages - named[segment.number])
            made.finish(segment)
        if files:
            listed = [[self._made[file.number].path, file.name, file.flags, file.position] for file in files]
            with open(os.path.join(directory, GIVEN_FILE), "w", encoding="utf-8") as out:
                json.dump(listed, out)

    def close(self) -> None:
        """Let go of them: whoever has been given them keeps them."""
        for number in list(self._made):
            self._drop(number)

    def _drop(self, number: int) -> None:
        self._made.pop(number).close()

    def _allocate(self, wanted: dict[int, RangeSet], allocate: Allocate) -> dict[int, RangeSet]:
        """See to it that pages are there; returns those that were not."""
        lacking = {number: self._made[number].lacking(pages) for number, pages in wanted.items()}
        places = [(self._made[number].path, self._made[number].places(lacking[number])) for number in wanted]
        if any(lacking.values()):
            allocate(places)
        for number, pages in lacking.items():
            self._made[number].pages |= pages
        return lacking

    def _fill(self, made: _MadeSegment, pages: RangeSet) -> None:
        """With what the rounds have brought."""
        for start, end, source in self._memory.extents(made.number, pages):
            made.write_from(start, end, source)

    def _write(self, made: _MadeSegment, final: _Final) -> None:
        """With what the images hold."""
        if not final.content:
            return
        with open(final.pages_path, "rb") as pages:
            size_bytes = os.fstat(pages.fileno()).st_size
            if size_bytes < sum(end - start for start, end in final.content):
                raise MigrationError(f"{final.pages_path} is cut short", phase="handover")
            content = memoryview(mmap.mmap(pages.fileno(), size_bytes, access=mmap.ACCESS_READ))
        for (start, end), at in final.content.items():
            made.write(start, content[at : at + end - start])

    def _final(self, directory: str, segment: GivenSegment) -> _Final:
        if segment.number not in self._made:
            raise MigrationError(
                f"shared memory {-segment.number} was not made on the target", phase="handover"
            )
        pagemap = RawPagemap(os.path.join(directory, image_names(segment.number).pagemap))
        content: dict[Range, int] = {}
        unchanged = []
        at = 0
        for _message, address, flags, pages in pagemap.entries:
            named = key_range((address, pages))
            if flags[0] & PE_PRESENT:
                content[named] = at
                at += named.end - named.start
            elif flags[0] & PE_PARENT:
                unchanged.append(named)
        never = RangeSet(unchanged) - self._memory.held(segment.number)
        if never:
            raise MigrationError(
                f"pages {never} of shared memory {-segment.number} never came; start the migration again",
                phase="handover",
            )
        return _Final(content, RangeSet(unchanged), pagemap.pages_path)
