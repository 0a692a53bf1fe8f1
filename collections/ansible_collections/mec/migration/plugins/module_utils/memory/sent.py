# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the source remembers of one process's memory that it has sent.

A :class:`Mirror` keeps the content, so that pages which changed a little can travel as what changed, and
takes as much memory as the service. :class:`Digests` keep 16 bytes for each page, so that a host moves a
service away which takes most of its memory; pages that changed travel whole.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
from collections.abc import Iterator
from typing import Union

from ..base.page_ranges import ADDRESS_SPACE_BYTES, Range
from ..kernel.libc import libc
from ..kernel.process_memory import PAGE_BYTES
from .comparison import compared

# Full: the content is kept. Lean: neither host keeps the service's memory twice.
FULL, LEAN = "full", "lean"
WINDOW_BYTES = 64 << 20
# Of BLAKE2b (RFC 7693). Two pages have the same one by chance in 2**64 pages, and by intent at no less cost.
DIGEST_BYTES = 16


class Mirror:
    """All of it, in one sparse file, addressed as the process addresses it.

    :param path: of the file, on tmpfs. What an earlier one had there is gone.
    """

    keeps_content = True

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._windows: dict[int, tuple[mmap.mmap, int]] = {}
        self.clear()

    def clear(self) -> None:
        self._windows.clear()
        os.ftruncate(self._fd, 0)
        os.ftruncate(self._fd, ADDRESS_SPACE_BYTES)

    def close(self) -> None:
        self._windows.clear()
        os.close(self._fd)

    def locate(self, address: int) -> tuple[int, int]:
        """Where the mirror of *address* lies in this process, and how many bytes lie there in one piece."""
        index, offset = divmod(address, WINDOW_BYTES)
        if index not in self._windows:
            window = mmap.mmap(self._fd, WINDOW_BYTES, offset=index * WINDOW_BYTES)
            self._windows[index] = window, ctypes.addressof(ctypes.c_char.from_buffer(window))
        return self._windows[index][1] + offset, WINDOW_BYTES - offset

    def compare(self, start: int, end: int, data_address: int) -> tuple[list[Range], list[Range]]:
        """Compare [start, end) with what lies at *data_address*.

        :returns: the ranges that differ, and those that are equal.
        """
        changed: list[Range] = []
        equal: list[Range] = []
        for first, last, mirrored in self._pieces(start, end):
            self._compare_piece(first, last, mirrored, data_address + first - start, changed, equal)
        return changed, equal

    def read(self, start: int, end: int) -> bytes:
        return b"".join(
            ctypes.string_at(mirrored, last - first) for first, last, mirrored in self._pieces(start, end)
        )

    def write(self, start: int, end: int, data_address: int) -> None:
        for first, last, mirrored in self._pieces(start, end):
            ctypes.memmove(mirrored, data_address + first - start, last - first)

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """[start, end) cut where windows end: start, end and where that lies in this process."""
        while start < end:
            mirrored, room = self.locate(start)
            stop = min(end, start + room)
            yield start, stop, mirrored
            start = stop

    @staticmethod
    def _compare_piece(
        start: int, end: int, mirrored: int, data: int, changed: list[Range], equal: list[Range]
    ) -> None:
        size = end - start
        if libc.memcmp(mirrored, data, size) == 0:
            equal.append(Range(start, end))
            return
        for at, stop, same in compared(mirrored, data, size):
            _extend(equal if same else changed, start + at, start + stop)


class Digests:
    """A digest for each page."""

    keeps_content = False

    def __init__(self) -> None:
        self._windows: dict[int, bytearray] = {}

    def clear(self) -> None:
        self._windows.clear()

    def compare(self, start: int, end: int, data_address: int) -> tuple[list[Range], list[Range]]:
        """As :meth:`Mirror.compare`."""
        changed: list[Range] = []
        equal: list[Range] = []
        for address, digest in _digests(start, end, data_address):
            window, at = self._locate(address)
            same = window[at : at + DIGEST_BYTES] == digest
            _extend(equal if same else changed, address, address + PAGE_BYTES)
        return changed, equal

    def read(self, start: int, end: int) -> bytes:
        """Nothing: the content was not kept."""
        raise NotImplementedError("digests do not keep what was sent")

    def write(self, start: int, end: int, data_address: int) -> None:
        for address, digest in _digests(start, end, data_address):
            window, at = self._locate(address)
            window[at : at + DIGEST_BYTES] = digest

    def _locate(self, address: int) -> tuple[bytearray, int]:
        index, offset = divmod(address, WINDOW_BYTES)
        window = self._windows.get(index)
        if window is None:
            window = self._windows[index] = bytearray(_ZEROS_DIGEST * (WINDOW_BYTES // PAGE_BYTES))
        return window, offset // PAGE_BYTES * DIGEST_BYTES


# Both can be compared and written; only the first can be read.
Sent = Union[Mirror, Digests]


def _digests(start: int, end: int, data_address: int) -> Iterator[tuple[int, bytes]]:
    """Address and digest of each page of [start, end), whose content lies at *data_address*."""
    data = memoryview((ctypes.c_char * (end - start)).from_address(data_address)).cast("B")
    for at in range(0, end - start, PAGE_BYTES):
        page = data[at : at + PAGE_BYTES]
        yield start + at, hashlib.blake2b(page, digest_size=DIGEST_BYTES).digest()


_ZEROS_DIGEST = hashlib.blake2b(bytes(PAGE_BYTES), digest_size=DIGEST_BYTES).digest()


def _extend(ranges: list[Range], start: int, end: int) -> None:
    """Append [start, end) to *ranges*, joining it to the last one if they touch."""
    if ranges and ranges[-1].end == start:
        ranges[-1] = Range(ranges[-1].start, end)
    else:
        ranges.append(Range(start, end))
