# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pages of files changed, as the kernel reports it, so that they need not be read to find out.

What a read of a file gives comes from the kernel's page cache. Once a page has been read it is there, and
what a read gives can change in two ways only:

- The page becomes dirty: by write(2) or a store through a mapping. The kernel reports it
  (``writeback_dirty_folio``) when a clean page becomes dirty, and once more only after it has been cleaned,
  that is written to the disk. So :func:`clean` comes before the read from which on changes are to be known.
- The page leaves the cache: it is truncated, punched out, replaced by a clone, overwritten past the cache by
  a direct write, or the kernel needed its memory (``mm_filemap_delete_from_page_cache``).

This holds for file systems on a disk of this host whose blocks are no smaller than a page (else a part of a
page can be punched out with no report of it) and that neither journal data (ext4's ``data=journal``: such a
page is not made dirty) nor map the storage itself (DAX: there is no cache). :func:`is_reported` and
:func:`is_on_reporting_device` say whether it does. FUSE and network file systems write to the cache in ways
of their own.

Sources: mm/filemap.c, mm/page-writeback.c, mm/truncate.c, fs/buffer.c, fs/iomap and fs/sync.c of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import sys
from collections.abc import Iterable

from .inode_flags import FS_IOC_GETFLAGS, STATX_BYTES
from .libc import call, libc
from .mountinfo import mounts
from .process_memory import PAGE_BYTES
from .trace_buffer import MAX_FILTER_BYTES, TraceBuffer

FILE_SYSTEMS = ("ext4", "xfs")
# linux/stat.h, linux/fs.h
AT_EMPTY_PATH = 0x1000
STATX_ATTR_DAX = 1 << 21
FS_JOURNAL_DATA_FL = 0x4000
STATX_ATTRIBUTES, STATX_ATTRIBUTES_MASK = slice(8, 16), slice(56, 64)
# sync_file_range(2): all three flags, otherwise pages that are already being written are skipped.
WRITE_AND_WAIT = 1 | 2 | 4

BUFFER_BYTES = 16 << 20
DIRTIED = ("writeback/writeback_dirty_folio", "writeback/writeback_dirty_page")
REMOVED = ("filemap/mm_filemap_delete_from_page_cache",)
LINES = re.compile(
    rb"^(?:writeback_dirty_(?:folio|page): bdi \S+ ino=(\d+) index=(\d+)"
    rb"|mm_filemap_delete_from_page_cache: dev \d+:\d+ ino ([0-9a-f]+) .*?ofs=(\d+)(?: order=(\d+))?)\n",
    re.MULTILINE,
)
# Pages are kept in groups ("folios") of a power of two that lie at a multiple of their size. An event that
# does not tell the size stands for the largest group that can begin there.
HUGE_PAGE = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
MAX_ORDER = 11

Pages = set[range]
"""Ranges of page numbers in a file; they may overlap."""


class Unknown(Exception):
    """Some changes were not reported."""


class PageCacheChanges:
    """Changes of the files that are followed.

    :raises OSError: this host does not report them.
    """

    def __init__(self, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._buffer = TraceBuffer(buffer_bytes)
        try:
            self._dirtied = self._buffer.first_of(DIRTIED)
            self._removed = self._buffer.first_of(REMOVED)
        except OSError:
            self._buffer.close()
            raise
        self._followed: set[int] = set()
        self._max_order = _max_order()

    def follow(self, inodes: Iterable[int]) -> None:
        """Also report changes of these, from now on.

        :param inodes: numbers; files of other file systems that have the same ones are reported as well.
        :raises OSError: that cannot be done any more, and what was followed is not known either.
        """
        more = set(inodes) - self._followed
        if not more:
            return
        first = not self._followed
        self._followed |= more
        for event, field in ((self._dirtied, "ino"), (self._removed, "i_ino")):
            self._buffer.filter(event, self._expression(field))
            if first:
                self._buffer.enable(event)

    def _expression(self, field: str) -> str:
        expression = "||".join(f"{field}=={inode}" for inode in sorted(self._followed))
        if len(expression) <= MAX_FILTER_BYTES:
            return expression
        return f"{field}>={min(self._followed)}&&{field}<={max(self._followed)}"

    def take(self) -> dict[int, Pages]:
        """By inode number: pages that changed since the last call, or since they are followed.

        :raises Unknown: some may be missing; those of before this call will never be known.
        """
        try:
            lines = self._buffer.take()
            if self._followed and not all(map(self._buffer.records, (self._dirtied, self._removed))):
                raise Unknown("somebody switched off the events that this migration had switched on")
        except OSError as error:
            raise Unknown(f"the kernel's events cannot be read: {error}") from error
        found: dict[int, Pages] = {}
        understood = 0
        for dirty_inode, dirty_page, inode, offset, order in LINES.findall(lines):
            understood += 1
            if dirty_inode:
                number, page = int(dirty_inode), int(dirty_page)
            else:
                number, page = int(inode, 16), int(offset) // PAGE_BYTES
            if number in self._followed:
                count = 1 << int(order) if order else self._largest_at(page)
                found.setdefault(number, set()).add(range(page, page + count))
        if understood != lines.count(b"\n"):
            raise Unknown("the kernel had more events than its buffer holds")
        return found

    def close(self) -> None:
        self._buffer.close()

    def _largest_at(self, page: int) -> int:
        """How many pages the largest group has that can begin at *page*."""
        largest = 1 << self._max_order
        return min(page & -page, largest) if page else largest


def _max_order() -> int:
    try:
        with open(HUGE_PAGE, encoding="ascii") as size:
            return min(MAX_ORDER, (int(size.read()) // PAGE_BYTES).bit_length() - 1)
    except (OSError, ValueError):
        return MAX_ORDER


def is_on_reporting_device(fd: int) -> bool:
    """Whether the file system of a file reports all changes; see the module's docstring."""
    status = os.fstat(fd)
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    of_it = [mount for mount in mounts() if mount.device == device]
    return bool(of_it) and all(
        mount.kind in FILE_SYSTEMS and "data=journal" not in mount.super_options.split(",") for mount in of_it
    )


def is_reported(fd: int) -> bool:
    """Whether all changes of a regular file are, if :func:`is_on_reporting_device`.

    :raises OSError: it cannot be looked at.
    """
    if os.fstatvfs(fd).f_bsize < PAGE_BYTES or _may_be_dax(fd):
        return False
    flags = bytearray(8)
    fcntl.ioctl(fd, FS_IOC_GETFLAGS, flags)
    return not int.from_bytes(flags[:4], sys.byteorder) & FS_JOURNAL_DATA_FL


def _may_be_dax(fd: int) -> bool:
    fields = ctypes.create_string_buffer(STATX_BYTES)
    if not hasattr(libc, "statx"):
        raise OSError(errno.ENOSYS, "the C library has no statx")
    call("statx", fd, b"", AT_EMPTY_PATH, 0, fields)
    attributes, known = (
        int.from_bytes(fields.raw[place], sys.byteorder)
        for place in (STATX_ATTRIBUTES, STATX_ATTRIBUTES_MASK)
    )
    return bool(attributes & STATX_ATTR_DAX) or not known & STATX_ATTR_DAX


def clean(fd: int) -> None:
    """Have all of a file written to the disk that is not: each later write makes its page dirty anew.

    This is no fsync(2): the disk's own cache is left alone.

    :raises OSError: a part could not be written.
    """
    call("sync_file_range", fd, ctypes.c_int64(0), ctypes.c_int64(0), WRITE_AND_WAIT)
