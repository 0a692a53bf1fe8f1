# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRIU's images of the final dump on the source: which pages they name, which they hold, and their way out.

All of it happens in the frozen window.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from .criu_images import (
    PE_LAZY,
    PE_PARENT,
    PE_PRESENT,
    EntryKey,
    RawPagemap,
    entry_keys,
    entry_of,
    key_range,
    leave_out,
    left_out,
    raw_entry,
)
from .criu_parent import NAME as PARENT_LINK
from .errors import MigrationError
from .memory_source import MemorySource, locked_bytes
from .page_ranges import RangeSet
from .process_memory import (
    Pagemap,
    Reader,
    always_dumped,
    anonymous_ranges,
    locked_ranges,
)
from .wire import Channel

SEGMENT_PAGEMAP = re.compile(r"pagemap-shmem-(\d+)\.img")
MAX_BODY_BYTES = 64 << 20
MAX_LIKELY_BYTES = 8 << 20
LAZY, PRESENT = bytes([PE_LAZY]), bytes([PE_PRESENT])


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
    """:param directory: where CRIU dumps to; on tmpfs."""

    def __init__(self, directory: str, memory: MemorySource) -> None:
        self._dir = directory
        self._memory = memory
        self._expected: dict[int, _Expected] = {}

    def expect(self, pids: dict[int, int]) -> None:
        """While CRIU dumps, after the last round: what it will name if all is as usual.

        :param pids: number on the host -> number in the container.
        """
        for pid, number in pids.items():
            lazy = anonymous_ranges(pid)
            if locked_bytes(pid):
                # Locked memory is never restored lazily, so its content must be in the images.
                lazy = lazy - locked_ranges(pid)
            try:
                with Pagemap(pid) as pagemap:
                    held = pagemap.present(lazy) & self._memory.known(number)
            except (FileNotFoundError, ProcessLookupError):
                # A zombie has no memory.
                held = RangeSet()
            self._expected[number] = _Expected(pid, lazy, set(entry_keys(held)))

    def settle(self) -> dict[int, RangeSet]:
        """After the dump: leave out what can be restored lazily, bring in what cannot.

        :returns: pages that are left out and that the target does not hold, by number in the container.
        :raises MigrationError: pages cannot be read.
        """
        link = os.path.join(self._dir, PARENT_LINK)
        if os.path.islink(link):
            os.unlink(link)
        for name in os.listdir(self._dir):
            found = SEGMENT_PAGEMAP.fullmatch(name)
            if found and self._memory.known(-int(found.group(1))):
                self._settle_segment(RawPagemap(os.path.join(self._dir, name)), -int(found.group(1)))
        self._leave_out_known()
        missing = {}
        for number, expected in self._expected.items():
            path = self._pagemap(number)
            if os.path.exists(path):
                absent = self._settle(RawPagemap(path, lazy_parent=True), expected, number)
                if absent:
                    missing[number] = absent
        return missing

    def _settle(self, pagemap: RawPagemap, expected: _Expected, number: int) -> RangeSet:
        usual = expected.usual
        odd = [
            at
            for at, (_message, address, flags, pages) in enumerate(pagemap.entries)
            if flags == LAZY and (address, pages) not in usual
        ]
        named = RangeSet.ordered(key_range(_key(pagemap, at)) for at in odd)
        brought = named - expected.lazy
        _bring_in(pagemap, odd, brought, Reader(expected.pid).content(brought))
        pagemap.write()
        return named - brought - self._memory.known(number)

    def _settle_segment(self, pagemap: RawPagemap, number: int) -> None:
        """Of shared memory, which CRIU always dumps, keep what has changed since the last round."""
        entries, kept = [], []
        with open(pagemap.pages_path, "r+b") as pages:
            if not os.fstat(pages.fileno()).st_size:
                return
            content = mmap.mmap(pages.fileno(), 0)
        held = ctypes.c_char.from_buffer(content)
        at = 0
        for entry in pagemap.entries:
            start, end = key_range((entry[1], entry[3]))
            if not entry[2][0] & PE_PRESENT:
                entries.append(entry)
                continue
            known = self._memory.unchanged(number, start, end, ctypes.addressof(held) + at)
            parts = [(piece, PE_PARENT) for piece in known]
            parts += [(piece, PE_PRESENT) for piece in RangeSet([(start, end)]) - known]
            for piece, flags in sorted(parts):
                entries.append(raw_entry(entry_of(piece, flags)))
                if flags == PE_PRESENT:
                    kept.append(content[at + piece.start - start : at + piece.end - start])
            at += end - start
        pagemap.entries = entries
        pagemap.write()
        with open(os.open(pagemap.pages_path, os.O_WRONLY | os.O_TRUNC), "wb") as pages:
            pages.write(b"".join(kept))

    def _leave_out_known(self) -> None:
        """Where CRIU has dumped memory all the same: the target has it already."""
        dumped_bytes = sum(
            entry.stat().st_size for entry in os.scandir(self._dir) if entry.name.startswith("pages-")
        )
        known = {number: self._memory.known(number) for number in self._expected}
        if dumped_bytes < sum(pages.size_bytes for pages in known.values()) / 4:
            return
        for number, expected in self._expected.items():
            path = self._pagemap(number)
            if os.path.exists(path) and not left_out(path) and not locked_bytes(expected.pid):
                leave_out(path, known[number])

    def send(self, channel: Channel) -> None:
        """All images, in messages of a bounded size."""
        files: list[tuple[str, int]] = []
        body = bytearray()
        for name in sorted(os.listdir(self._dir)):
            with open(os.path.join(self._dir, name), "rb") as image:
                while True:
                    piece = image.read(MAX_BODY_BYTES - len(body))
                    if not piece and files and files[-1][0] == name:
                        break
                    files.append((name, len(piece)))
                    body += piece
                    if len(body) >= MAX_BODY_BYTES:
                        channel.send("handover.images", channel.resembling(body), files=files)
                        files, body = [], bytearray()
                    elif not piece:
                        break
        channel.send("handover.images", channel.resembling(body), files=files)

    def _pagemap(self, number: int) -> str:
        return os.path.join(self._dir, f"pagemap-{number}.img")


def _key(pagemap: RawPagemap, at: int) -> EntryKey:
    _message, address, _flags, pages = pagemap.entries[at]
    return address, pages


def _bring_in(pagemap: RawPagemap, odd: list[int], brought: RangeSet, content: bytes) -> None:
    """Split the *odd* entries into what is *brought* in and what stays left out; rewrite the pages.

    :param content: of *brought*, back to back.
    """
    if not brought:
        return
    if len(content) != brought.size_bytes:
        raise MigrationError(
            f"{brought} could not be read for {os.path.basename(pagemap.path)}: "
            f"{len(content)} bytes of {brought.size_bytes}",
            phase="handover",
        )
    with open(os.open(pagemap.pages_path, os.O_RDONLY | os.O_CREAT, 0o600), "rb") as pages:
        dumped = pages.read()
    entries, kept = [], []
    turns = set(odd)
    taken = dumped_at = 0
    for at, entry in enumerate(pagemap.entries):
        if at in turns:
            whole = RangeSet([key_range(_key(pagemap, at))])
            parts = [(piece, PE_PRESENT) for piece in whole & brought]
            parts += [(piece, PE_LAZY) for piece in whole - brought]
            for piece, flags in sorted(parts):
                entries.append(raw_entry(entry_of(piece, flags)))
                if flags == PE_PRESENT:
                    size = piece.end - piece.start
                    kept.append(content[taken : taken + size])
                    taken += size
            continue
        entries.append(entry)
        if entry[2] != LAZY:
            start, end = key_range(_key(pagemap, at))
            kept.append(dumped[dumped_at : dumped_at + end - start])
            dumped_at += end - start
    pagemap.entries = entries
    with open(os.open(pagemap.pages_path, os.O_WRONLY | os.O_TRUNC), "wb") as pages:
        pages.write(b"".join(kept))
