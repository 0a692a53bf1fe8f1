# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared memory of a container: mappings of anonymous memory that several processes may write.

A segment is a file that has no name any more; CRIU calls it by its inode number (``shmid``), and what
shmget(2) made by its identifier. It is read through /proc/PID/map_files, so that it does not matter which
process wrote what.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..base.page_ranges import Range, RangeSet
from ..criu.segments import SYSTEM_V as SYSTEM_V_NUMBERS
from ..criu.segments import segment_number
from ..kernel.libc import libc
from ..kernel.process_memory import PAGE_BYTES, Batch, Reader, areas
from ..kernel.processes import descriptors
from ..kernel.removed_files import DELETED

# Made by mmap(2), by memfd_create(2) and by shmget(2).
ANONYMOUS, MEMFD, SYSTEM_V = "/dev/zero (deleted)", "/memfd:", "/SYSV"
KINDS = (ANONYMOUS, MEMFD, SYSTEM_V)
MADV_POPULATE_READ = 22
READ_AND_WRITE = stat.S_IRUSR | stat.S_IWUSR

libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
    *(ctypes.c_int, ctypes.c_int, ctypes.c_long),
]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def segments(pids: list[int], kinds: tuple[str, ...] = KINDS) -> dict[int, str]:
    """The segments that the processes have mapped: :func:`segment_number` -> a path to open each by.

    :param kinds: of these only.
    """
    found: dict[int, str] = {}
    for pid in pids:
        for area in areas(pid):
            if area.permissions[3] == "s" and area.path.startswith(kinds):
                # /proc/PID/maps shows the System V identifier where other mappings have an inode number.
                number = segment_number(area.inode, system_v=area.path.startswith(SYSTEM_V))
                found.setdefault(number, f"/proc/{pid}/map_files/{area.start:x}-{area.end:x}")
    for number in list(found):
        # If a System V id equals another segment's inode number, CRIU writes one page map for both; leave
        # it to CRIU.
        if number > -SYSTEM_V_NUMBERS and number - SYSTEM_V_NUMBERS in found:
            del found[number], found[number - SYSTEM_V_NUMBERS]
    return found


def opened_memfds(pids: Iterable[int]) -> dict[int, str]:
    """The memfds that hold something and that processes have open: inode number -> a path to open each by.

    :raises OSError: a process is gone.
    """
    found: dict[int, str] = {}
    for pid in pids:
        # Not by `descriptors`, to which a process that is gone is one without any.
        for name in os.listdir(f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{name}"
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(path).startswith(MEMFD):
                    status = os.stat(path)
                    if status.st_size:
                        found.setdefault(status.st_ino, path)
    return found


class Segment(NamedTuple):
    """One that the target can make before the freeze.

    :ivar number: see :func:`.segment_number`.
    :ivar name: as memfd_create(2) is told.
    """

    number: int
    size_bytes: int
    name: str


def givable_segments(pids: Iterable[int]) -> dict[int, Segment]:
    """The segments, by their number, that are open and mapped for reading and writing only.

    CRIU is given one descriptor for each file, opened for reading and writing; a segment that is also opened
    in another way cannot be given. System V's are no memfds.

    :raises OSError: a mapping is gone.
    """
    found: dict[int, Segment] = {}
    odd: set[int] = set()
    for pid in pids:
        for area in areas(pid):
            if area.path.startswith((ANONYMOUS, MEMFD)):
                path = f"/proc/{pid}/map_files/{area.start:x}-{area.end:x}"
                number = segment_number(area.inode)
                if not _is_for_both(path):
                    odd.add(number)
                name = area.path.removesuffix(DELETED)
                name = name[len(MEMFD) :] if name.startswith(MEMFD) else name
                # /proc/PID/maps escapes other characters, so the name would be wrong.
                if name.isascii() and name.isprintable() and "\\" not in name and number not in found:
                    found[number] = Segment(number, os.stat(path).st_size, name)
        for descriptor, link in descriptors(pid):
            path = f"/proc/{pid}/fd/{descriptor}"
            with contextlib.suppress(FileNotFoundError):
                if link.startswith((ANONYMOUS, MEMFD)) and not _is_for_both(path):
                    odd.add(segment_number(os.stat(path).st_ino))
    return {number: segment for number, segment in found.items() if number not in odd}


def _is_for_both(path: str) -> bool:
    """Whether a link in /proc says that the file was opened for reading and writing."""
    return os.lstat(path).st_mode & READ_AND_WRITE == READ_AND_WRITE


def shared_bytes(pids: list[int], *kinds: str) -> int:
    """What the segments hold; each counts once, however many processes have it mapped.

    :param kinds: those of :data:`KINDS` that count; all, if none is named.
    """
    size_bytes = 0
    for path in segments(pids, kinds or KINDS).values():
        with contextlib.suppress(OSError):
            size_bytes += os.stat(path).st_blocks * 512
    return size_bytes


class SegmentReader(Reader):
    """Reads a segment; addresses are offsets in it.

    :raises OSError: it is gone, or this process may not.
    """

    def __init__(self, path: str) -> None:
        super().__init__(0)
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._file)

    def held(self) -> RangeSet:
        """The pages that were ever written; the others are zeros.

        :raises OSError: the kind of memory cannot tell (huge pages).
        """
        found: list[tuple[int, int]] = []
        at = 0
        while True:
            try:
                start = os.lseek(self._file, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return RangeSet(found)
                raise
            at = os.lseek(self._file, start, os.SEEK_HOLE)
            found.append((start, -(-at // PAGE_BYTES) * PAGE_BYTES))

    @contextlib.contextmanager
    def mapped(self, pages: RangeSet) -> Iterator[int]:
        """Where the segment lies in this process meanwhile.

        Only while nobody can make it shorter: what is read behind its end ends this process. And to read a
        page that is not held makes it, and takes memory.

        :param pages: what is going to be read.
        :raises OSError: it cannot be mapped.
        """
        size = -(-os.fstat(self._file).st_size // PAGE_BYTES) * PAGE_BYTES
        address = None
        if size:
            address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, self._file, 0)
            if address == ctypes.c_void_p(-1).value:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
            for start, end in pages:
                # In one go; where the kernel cannot (before 5.14) it is done one by one as they are read.
                libc.madvise(address + start, end - start, MADV_POPULATE_READ)
        try:
            yield address or 0
        finally:
            if address:
                libc.munmap(address, size)

    def _read(self, ranges: list[Range]) -> Iterator[Batch]:
        """In one batch; what lies behind the end, should the segment have shrunk, is zeros."""
        offset = 0
        for start, end in ranges:
            piece = memoryview(self._memory)[offset : offset + end - start]
            got = os.preadv(self._file, [piece], start)
            piece[got:] = bytes(len(piece) - got)
            offset += end - start
        yield Batch(ranges, memoryview(self._memory)[:offset])
