# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target's side of a container's memory: each round becomes a CRIU image directory.

A directory holds the pages of its round and, where CRIU is to read them, names all others as held by its
parent, the directory of the round before; the last one is the parent of CRIU's own final dump. Plain CRIU
restores the chain. Shared memory is always restored so, that of processes only where it cannot be lazily.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable
from typing import BinaryIO

from .criu_images import EntryKey, entry_keys, image_names, layered_entries, write_pagemap
from .errors import TransferError
from .lazy_restore import Extent, Mapped
from .page_delta import xor
from .page_ranges import Range, RangeSet, Run, unpack_runs
from .process_memory import PAGE_BYTES
from .wire import Channel, Message


class _RoundFile:
    """The pages of one process in one round, in order of address."""

    def __init__(self, path: str) -> None:
        self.path = path
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.file: BinaryIO = open(descriptor, "wb", 0)  # noqa: SIM115
        self.present: list[Range] = []
        self.size_bytes = 0


class _Newest:
    """Where the newest content of each page lies in this process's memory."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}

    def add(self, present: RangeSet, mapped: Mapped) -> None:
        source = mapped.address
        for start, end in present:
            addresses = range(start, end, PAGE_BYTES)
            self._places.update(zip(addresses, range(source, source + end - start, PAGE_BYTES)))
            source += end - start

    def page(self, address: int) -> bytes:
        return ctypes.string_at(self._places[address], PAGE_BYTES)


class MemoryTarget:
    """Receives rounds into ``<images_dir>/<number>``.

    :param chain: CRIU itself will read processes' memory, too: write page maps for it.
    """

    def __init__(self, images_dir: str, *, chain: bool = True) -> None:
        self._dir = images_dir
        self._chain = chain
        self._known: dict[int, RangeSet] = {}
        self._round = 0
        self._files: dict[int, _RoundFile] = {}
        self._held: list[dict[int, tuple[RangeSet, Mapped]]] = []
        self._newest: dict[int, _Newest] = {}

    @property
    def handlers(self) -> dict[str, Callable[[Message, Channel], None]]:
        return {
            "memory.round": self._begin,
            "memory.pages": self._pages,
            "memory.round_end": self._end,
        }

    @property
    def last_round(self) -> int:
        """Number of the last complete round, 0 if there was none."""
        return self._round

    def _begin(self, message: Message, channel: Channel) -> None:
        number = int(message.fields["number"])
        if number != self._round + 1:
            raise TransferError(
                f"round {number} was announced after round {self._round}; start the migration again",
                phase="pre-copy",
            )
        self._files = {}
        path = self._path(number)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path, mode=0o700)

    def _pages(self, message: Message, channel: Channel) -> None:
        process = int(message.fields["process"])
        pages = self._files.get(process)
        if pages is None:
            path = os.path.join(self._path(self._round + 1), image_names(process).pages)
            pages = self._files[process] = _RoundFile(path)
        data = memoryview(message.body)
        try:
            runs = unpack_runs(message.fields["runs"])
        except ValueError as error:
            raise TransferError(f"pages of process {process}: {error}", phase="pre-copy") from error
        if message.fields.get("delta"):
            held = self._held_content(process, runs)
            if len(held) != len(data):
                raise TransferError(f"pages of process {process} are missing", phase="pre-copy")
            data = memoryview(xor(data, held))
        offset = 0
        for start, end, has_data in runs:
            if pages.present and start < pages.present[-1].end:
                raise TransferError(f"pages of process {process} came out of order", phase="pre-copy")
            size = end - start
            if has_data:
                if offset + size > len(data):
                    raise TransferError(f"pages of process {process} are missing", phase="pre-copy")
                pages.file.write(data[offset : offset + size])
                offset += size
            else:
                # A hole: reads as zeros and takes no memory.
                pages.file.seek(size, os.SEEK_CUR)
            pages.size_bytes += size
            pages.present.append(Range(start, end))

    def _end(self, message: Message, channel: Channel) -> None:
        number = int(message.fields["number"])
        path = self._path(number)
        held: dict[int, tuple[RangeSet, Mapped]] = {}
        for process in sorted(set(self._known) | set(self._files)):
            pages = self._files.get(process)
            names = image_names(process)
            if pages is None:
                pages = _RoundFile(os.path.join(path, names.pages))
            pages.file.truncate(pages.size_bytes)
            pages.file.close()
            present = RangeSet(pages.present)
            known = self._known.get(process, RangeSet())
            if self._chain or process < 0:
                write_pagemap(
                    os.path.join(path, names.pagemap),
                    names.pages_id,
                    layered_entries(present, known, PAGE_BYTES),
                )
            self._known[process] = known | present
            if present:
                held[process] = (present, Mapped(pages.path))
                if process in self._newest:
                    self._newest[process].add(*held[process])
        self._held.append(held)
        if number > 1:
            os.symlink(f"../{number - 1}", os.path.join(path, "parent"))
        self._files = {}
        self._round = number
        channel.send("ok", number=number)

    def _held_content(self, process: int, runs: list[Run]) -> bytes:
        """What the rounds before hold of *runs*, those that have data."""
        if process not in self._newest:
            newest = self._newest[process] = _Newest()
            for held in self._held:
                if process in held:
                    newest.add(*held[process])
        try:
            return b"".join(
                self._newest[process].page(address)
                for start, end, has_data in runs
                if has_data
                for address in range(start, end, PAGE_BYTES)
            )
        except KeyError as error:
            raise TransferError(
                f"a difference to page {error.args[0]:#x} of process {process} came before the page itself",
                phase="pre-copy",
            ) from error

    def extents_by_entry(self) -> dict[int, dict[EntryKey, list[Extent]]]:
        """For each process: an entry that names pages as CRIU does -> where their newest content lies.

        What CRIU names is mostly just what was sent; computed beforehand, it needs only be looked up.
        """
        found: dict[int, dict[EntryKey, list[Extent]]] = {}
        for process, known in list(self._known.items()):
            if process < 0:
                continue
            extents = sorted(self.extents(process, known))
            of_process = found[process] = {}
            at = 0
            for key, (_start, end) in zip(entry_keys(known), known):
                first = at
                while at < len(extents) and extents[at].start < end:
                    at += 1
                of_process[key] = extents[first:at]
        return found

    def extents(self, process: int, wanted: RangeSet) -> list[Extent]:
        """Where the newest content of *wanted* lies in this process's memory.

        :raises TransferError: some of it never came.
        """
        found: list[Extent] = []
        for held in reversed(self._held):
            if process not in held:
                continue
            present, mapped = held[process]
            taken = wanted & present
            wanted = wanted - taken
            # The file holds the ranges of `present` back to back.
            offset, at = 0, 0
            for start, end in taken:
                while present.ranges[at].end <= start:
                    offset += present.ranges[at].end - present.ranges[at].start
                    at += 1
                source = mapped.address + offset + start - present.ranges[at].start
                found.append(Extent(start, end, source))
        if wanted:
            raise TransferError(f"pages of process {process} never came: {wanted}", phase="handover")
        return found

    def _path(self, number: int) -> str:
        return os.path.join(self._dir, str(number))
