# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRIU's images of the final dump on the source: which pages they name, which they hold, and their way out.

All of it happens in the frozen window.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from ..base.errors import MigrationError
from ..base.page_ranges import Range, RangeSet
from ..criu.edits import edit_files
from ..criu.images import (
    PE_LAZY,
    PE_PARENT,
    PE_PRESENT,
    EntryKey,
    Part,
    RawEntry,
    RawPagemap,
    entry_keys,
    key_range,
    leave_out,
    left_out,
    rewrite,
    without,
)
from ..criu.parent import NAME as PARENT_LINK
from ..kernel.process_memory import (
    Pagemap,
    Reader,
    always_dumped,
    anonymous_ranges,
    locked_ranges,
)
from ..kernel.processes import locked_bytes
from ..memory.source import MemorySource
from ..transport.wire import Channel

SEGMENT_PAGEMAP = re.compile(r"pagemap-shmem-(\d+)\.img")
MAX_BODY_BYTES = 64 << 20
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
        edit_files(self._dir)
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

    def _settle_segment(self, pagemap: RawPagemap, number: int) -> None:
        """Of shared memory, which CRIU always dumps, keep what has changed since the last round."""

        def split(entry: RawEntry, content: memoryview) -> list[Part] | None:
            if not content:
                return None
            start, end = key_range((entry[1], entry[3]))
            place = ctypes.addressof(ctypes.c_char.from_buffer(content))
            known = self._memory.unchanged(number, start, end, place)
            return without(entry, content, known, PE_PARENT)

        rewrite(pagemap, split)

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
