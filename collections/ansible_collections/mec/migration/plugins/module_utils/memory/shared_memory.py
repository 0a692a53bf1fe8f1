# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared memory of a container: mappings of anonymous memory that several processes may write.

A segment is a file that has no name any more; CRIU calls it by its inode number (``shmid``). It is read
through /proc/PID/map_files, so that it does not matter which process wrote what.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from ..base.page_ranges import Range, RangeSet
from ..kernel.process_memory import PAGE_BYTES, Batch, Reader, areas

# Made by mmap(2) and by memfd_create(2). What shmget(2) makes CRIU dumps elsewhere.
KINDS = ("/dev/zero (deleted)", "/memfd:")
SYSTEM_V = "/SYSV"


def segments(pids: list[int], kinds: tuple[str, ...] = KINDS) -> dict[int, str]:
    """The segments that the processes have mapped: inode number -> a path to open each by."""
    found: dict[int, str] = {}
    for pid in pids:
        for area in areas(pid):
            if area.permissions[3] == "s" and area.path.startswith(kinds):
                found.setdefault(area.inode, f"/proc/{pid}/map_files/{area.start:x}-{area.end:x}")
    return found


def shared_bytes(pids: list[int], kinds: tuple[str, ...] = KINDS) -> int:
    """What the segments hold; each counts once, however many processes have it mapped."""
    size_bytes = 0
    for path in segments(pids, kinds).values():
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

    def _read(self, ranges: list[Range]) -> Iterator[Batch]:
        """In one batch; what lies behind the end, should the segment have shrunk, is zeros."""
        offset = 0
        for start, end in ranges:
            piece = memoryview(self._memory)[offset : offset + end - start]
            got = os.preadv(self._file, [piece], start)
            piece[got:] = bytes(len(piece) - got)
            offset += end - start
        yield Batch(ranges, memoryview(self._memory)[:offset])
