# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the memory of another process while it runs: its mappings, its present pages, their content."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import struct
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..base.page_ranges import PAGE_BYTES, Range, RangeSet

# One copy: large enough to keep the cost per system call small, small enough for the L2 cache.
BATCH_BYTES = 1 << 20
BATCH_RANGES = 1024

# linux/fs.h, PAGEMAP_SCAN (kernel 6.7): _IOWR('f', 16, struct pm_scan_arg), twelve 64-bit words.
PAGEMAP_SCAN = 0xC0606610
SCAN_ARGUMENT = struct.Struct("=12Q")
SCAN_REGION = struct.Struct("=3Q")
PAGE_IS_WPALLOWED, PAGE_IS_WRITTEN, PAGE_IS_FILE, PAGE_IS_PRESENT, PAGE_IS_SWAPPED, PAGE_IS_PFNZERO = (
    1 << 0,
    1 << 1,
    1 << 2,
    1 << 3,
    1 << 4,
    1 << 5,
)
PAGE_IS_SOFT_DIRTY = 1 << 7
SCAN_REGIONS = 4096
# Documentation/admin-guide/mm/pagemap.rst
PM_PRESENT, PM_SWAPPED, PM_FILE, PM_SOFT_DIRTY = 1 << 63, 1 << 62, 1 << 61, 1 << 55
# Where a page lies: its frame, or its place in the swap.
PM_FRAME = PM_PRESENT | PM_SWAPPED | PM_SOFT_DIRTY - 1
# What one page table of the lowest level maps.
TABLE_BYTES = PAGE_BYTES * PAGE_BYTES // 8
TABLES_AT_ONCE = 512
# It has 4 to 16 KiB.
MAX_VDSO_BYTES = 64 << 10
ELF_MAGIC = b"\x7fELF"


class Area(NamedTuple):
    """One line of /proc/PID/maps."""

    start: int
    end: int
    permissions: str
    inode: int
    path: str

    @property
    def private_anonymous(self) -> bool:
        """Memory whose pages CRIU can leave out of a lazy dump (``vma_entry_can_be_lazy``)."""
        return (
            self.permissions[3] == "p"
            and self.inode == 0
            and self.path not in ("[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]")
            and not self.path.startswith("/")
        )


class Query(NamedTuple):
    """Pages that PAGEMAP_SCAN looks for: those with all categories of ``all_of`` and none of ``none_of``.

    Besides they must hold something: be in memory or in swap, and not the shared zero page.
    """

    all_of: int = 0
    none_of: int = 0
    flags: int = 0


HOLDING = PAGE_IS_PRESENT | PAGE_IS_SWAPPED
PRESENT = Query()
SOFT_DIRTY = Query(all_of=PAGE_IS_SOFT_DIRTY)


def areas(pid: int) -> list[Area]:
    """The mappings of *pid*; empty for a process that is gone."""
    found = []
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                parts = line.rstrip("\n").split(None, 5)
                start, _sep, end = parts[0].partition("-")
                path = parts[5] if len(parts) > 5 else ""
                found.append(Area(int(start, 16), int(end, 16), parts[1], int(parts[4]), path))
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found


def anonymous_ranges(pid: int) -> RangeSet:
    return _anonymous(areas(pid))


def fetchable_ranges(pid: int) -> RangeSet:
    """As :func:`anonymous_ranges`, without what a restore reads before pages can be fetched."""
    mapped = areas(pid)
    return _anonymous(mapped) - foreign_vdso(pid, mapped)


def _anonymous(mapped: Iterable[Area]) -> RangeSet:
    return RangeSet((area.start, area.end) for area in mapped if area.private_anonymous)


def foreign_vdso(pid: int, mapped: Iterable[Area]) -> RangeSet:
    """The vdso of another kernel, which the process was born with; empty if it has only this kernel's.

    Where the two differ a restore leaves the old one in place, as anonymous memory, with jumps to the new one
    in it (criu/pie/parasite-vdso.c). The next restore reads it before any page can be fetched.

    :param mapped: all its mappings.
    """
    found = []
    for area in mapped:
        if area.private_anonymous and "x" in area.permissions and area.end - area.start <= MAX_VDSO_BYTES:
            with contextlib.suppress(OSError), open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                if os.pread(memory.fileno(), len(ELF_MAGIC), area.start) == ELF_MAGIC:
                    found.append((area.start, area.end))
    return RangeSet(found)


def flagged_ranges(pid: int, flag: str) -> RangeSet:
    """Mappings with a flag of VmFlags; asks the kernel for a walk through all memory.

    :param flag: two letters of Documentation/filesystems/proc.rst: ``lo`` is locked (mlock(2)).
    """
    found: list[tuple[int, int]] = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            word = line.split(None, 1)[0]
            if not word.endswith(":"):
                start, _sep, end = word.partition("-")
            elif word == "VmFlags:" and flag in line.split():
                found.append((int(start, 16), int(end, 16)))
    return RangeSet(found)


class Pagemap:
    """Which pages of a process are there, through /proc/PID/pagemap."""

    def __init__(self, pid: int) -> None:
        self._fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        self._scan = True

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Pagemap:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    @property
    def scan_works(self) -> bool:
        """Whether this kernel has PAGEMAP_SCAN; known once :meth:`present` was asked for some range."""
        return self._scan

    def present(self, ranges: Iterable[Range]) -> RangeSet:
        """Pages with content (in memory or in swap; not the shared zero page) within *ranges*."""
        wanted = list(ranges)
        found = self._scan_if_possible(wanted, PRESENT)
        return found if found is not None else self._read(wanted, PM_PRESENT | PM_SWAPPED)

    def written_of_files(self, ranges: Iterable[Range]) -> RangeSet:
        """Pages within *ranges*, which are of files, that are no longer the file's."""
        wanted = list(ranges)
        self.present(wanted[:1])
        if self._scan:
            return self.scan(wanted, Query(none_of=PAGE_IS_FILE))
        return self._read(wanted, PM_PRESENT | PM_SWAPPED)

    def soft_dirty(self, ranges: Iterable[Range]) -> RangeSet:
        """Pages within *ranges* that were written since ``clear_refs``."""
        wanted = list(ranges)
        found = self._scan_if_possible(wanted, SOFT_DIRTY)
        if found is not None:
            return found
        return self._read(wanted, PM_SOFT_DIRTY) & self._read(wanted, PM_PRESENT | PM_SWAPPED)

    def _scan_if_possible(self, ranges: list[Range], query: Query) -> RangeSet | None:
        if not self._scan:
            return None
        try:
            return self.scan(ranges, query)
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise
            self._scan = False
            return None

    def tables(self, start: int, end: int) -> Iterator[tuple[int, int, bytes]]:
        """[start, end) cut where page tables end: start, end, and the entries of its pages."""
        while start < end:
            stop = min(end, (start // TABLE_BYTES + TABLES_AT_ONCE) * TABLE_BYTES)
            entries = os.pread(self._fd, (stop - start) // PAGE_BYTES * 8, start // PAGE_BYTES * 8)
            at = start
            while at < stop:
                last = min(stop, (at // TABLE_BYTES + 1) * TABLE_BYTES)
                yield at, last, entries[(at - start) // PAGE_BYTES * 8 : (last - start) // PAGE_BYTES * 8]
                at = last
            start = stop

    def scan(self, ranges: Iterable[Range], query: Query) -> RangeSet:
        """Pages within *ranges* that answer *query*, by PAGEMAP_SCAN."""
        found: list[tuple[int, int]] = []
        regions = ctypes.create_string_buffer(SCAN_REGION.size * SCAN_REGIONS)
        none_of = query.none_of | PAGE_IS_PFNZERO
        argument = bytearray(SCAN_ARGUMENT.size)
        for start, end in ranges:
            at = start
            while at < end:
                SCAN_ARGUMENT.pack_into(
                    argument,
                    0,
                    SCAN_ARGUMENT.size,
                    query.flags,
                    at,
                    end,
                    0,
                    ctypes.addressof(regions),
                    SCAN_REGIONS,
                    0,
                    none_of,
                    none_of | query.all_of,
                    HOLDING,
                    HOLDING,
                )
                count = fcntl.ioctl(self._fd, PAGEMAP_SCAN, argument, True)
                for index in range(count):
                    first, last, _categories = SCAN_REGION.unpack_from(regions, index * SCAN_REGION.size)
                    found.append((first, last))
                if count < SCAN_REGIONS:
                    break
                at = found[-1][1]
        return RangeSet(found)

    def _read(self, ranges: list[Range], any_of: int) -> RangeSet:
        found: list[tuple[int, int]] = []
        for start, end in ranges:
            first = start // PAGE_BYTES
            entries = array("Q")
            entries.frombytes(os.pread(self._fd, (end // PAGE_BYTES - first) * 8, first * 8))
            run = -1
            for index, entry in enumerate(entries):
                if entry & any_of and not entry & PM_FILE:
                    if run < 0:
                        run = index
                elif run >= 0:
                    found.append((start + run * PAGE_BYTES, start + index * PAGE_BYTES))
                    run = -1
            if run >= 0:
                found.append((start + run * PAGE_BYTES, start + len(entries) * PAGE_BYTES))
        return RangeSet(found)


def frames_that_differ(start: int, before: bytes, after: bytes) -> list[tuple[int, int]]:
    """Pages from *start* on whose entries in :meth:`Pagemap.tables` tell of another frame."""
    found = []
    for index, (old, new) in enumerate(zip(memoryview(before).cast("Q"), memoryview(after).cast("Q"))):
        if (old ^ new) & PM_FRAME:
            found.append((start + index * PAGE_BYTES, start + (index + 1) * PAGE_BYTES))
    return found


def present_pages(pid: int) -> RangeSet:
    """Every page of private anonymous memory that holds something; none for a process that is gone."""
    try:
        with Pagemap(pid) as pagemap:
            return pagemap.present(anonymous_ranges(pid))
    except (FileNotFoundError, ProcessLookupError):
        return RangeSet()


def always_dumped(pid: int) -> RangeSet:
    """What CRIU puts into its images whatever else it leaves out: written pages of files, and the vdso.

    :raises OSError: the process is gone.
    """
    mapped = [area for area in areas(pid) if area.permissions[0] == "r" and area.permissions[3] == "p"]
    files = RangeSet((area.start, area.end) for area in mapped if area.path.startswith("/"))
    vdso = RangeSet((area.start, area.end) for area in mapped if area.path == "[vdso]")
    with Pagemap(pid) as pagemap:
        return pagemap.written_of_files(files) | vdso


def read_pages(memory: int, start: int, room: memoryview) -> int | None:
    """Read a process's memory from *start* on, by one call.

    :param memory: of /proc/PID/mem.
    :param room: for the content; as long as what is wanted.
    :returns: how many bytes of whole pages were read; 0 where the first one is unmapped, or a guard page,
        which nobody may read; None where the process has ended, and has no memory any more.
    """
    try:
        got = os.preadv(memory, [room], start)
    except OSError as error:
        # EFAULT: said by older kernels.
        if error.errno not in (errno.EIO, errno.EFAULT):
            raise
        return 0
    return got - got % PAGE_BYTES if got else None


class Batch(NamedTuple):
    """Pages that were read together: *ranges* in order, their content back to back in *data*."""

    ranges: list[Range]
    data: memoryview


class Reader:
    """Copies pages out of a process through /proc/PID/mem, running or frozen alike.

    ``process_vm_readv`` is a third faster, but it pins pages, and for that the kernel gives the process a
    copy of each page that it shares with a forked child or parent (``gup_must_unshare`` in mm/gup.c): reading
    would multiply the memory of a service that forks workers.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._memory = mmap.mmap(-1, BATCH_BYTES)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))

    @property
    def address(self) -> int:
        """Where the data of the current batch lies in this process."""
        return self._address

    def batches(self, pages: RangeSet) -> Iterator[Batch]:
        """The content of *pages*; each batch is valid until the next one is asked for.

        Pages that are gone when their turn comes are left out, and so are pages that nobody may read (the
        guard pages of threads); a process that ended yields nothing more.
        """
        pending: list[Range] = []
        size = 0
        for start, end in pages:
            at = start
            while at < end:
                stop = min(end, at + BATCH_BYTES - size)
                pending.append(Range(at, stop))
                size += stop - at
                at = stop
                if size == BATCH_BYTES or len(pending) == BATCH_RANGES:
                    yield from self._read(pending)
                    pending, size = [], 0
        if pending:
            yield from self._read(pending)

    def content(self, pages: RangeSet) -> bytes:
        """The content of *pages*, back to back; shorter if some are gone."""
        return b"".join(bytes(batch.data) for batch in self.batches(pages))

    def _read(self, ranges: list[Range]) -> Iterator[Batch]:
        try:
            memory = os.open(f"/proc/{self._pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            return
        try:
            done, size = self._read_each(memory, ranges)
        finally:
            os.close(memory)
        if done:
            yield Batch(done, memoryview(self._memory)[:size])

    def _read_each(self, memory: int, ranges: list[Range]) -> tuple[list[Range], int]:
        """Read *ranges* back to back; returns those that were there, and their bytes."""
        done: list[Range] = []
        room = memoryview(self._memory)
        size = 0
        for whole in ranges:
            start, end = whole
            while start < end:
                wanted = end - start
                got = read_pages(memory, start, room[size : size + wanted])
                if got is None:
                    return done, size
                if got:
                    done.append(whole if got == whole.end - whole.start else Range(start, start + got))
                    size += got
                # What stopped the call lies in the page behind what it has read.
                start += got if got == wanted else got + PAGE_BYTES
        return done, size
