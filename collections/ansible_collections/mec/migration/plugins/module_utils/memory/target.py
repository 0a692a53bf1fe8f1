# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target's side of a container's memory: each round becomes a CRIU image directory.

A directory holds the pages of its round and, where CRIU is to read them, names all others as held by its
parent, the directory of the round before; the last one is the parent of CRIU's own final dump. Plain CRIU
restores the chain. Shared memory is always restored so, that of processes only where it cannot be lazily.
"""

from __future__ import annotations

import bisect
import ctypes
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable
from typing import BinaryIO

from ..base.errors import MigrationError, TransferError
from ..base.page_ranges import Range, RangeSet, Run, unpack_runs
from ..criu.images import EntryKey, entry_keys, image_names, key_range, layered_entries, write_pagemap
from ..kernel.process_memory import PAGE_BYTES
from ..transport.wire import MAX_INTEGER, Channel, Message
from .copy_on_write import Fork, SharedPages
from .extents import Extent, Extents, Mapped
from .late_pages import LatePages
from .page_delta import load_numpy, xor


class _RoundFile:
    """The pages of one process in one round, in order of address."""

    def __init__(self, path: str) -> None:
        self.path = path
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.file: BinaryIO = open(descriptor, "wb", 0)  # noqa: SIM115
        self.present: list[Range] = []
        self.size_bytes = 0


class MemoryTarget:
    """Receives rounds into ``<images_dir>/<number>``.

    :param chain: CRIU itself will read processes' memory, too: write page maps for it.
    """

    def __init__(self, images_dir: str, *, chain: bool = True) -> None:
        self._dir = images_dir
        self._chain = chain
        self._known: dict[int, RangeSet] = {}
        self._round = 0
        self._announced = 0
        self._host_bytes = os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES
        self._files: dict[int, _RoundFile] = {}
        self._newest: dict[int, Extents] = {}
        self._maps: list[Mapped] = []
        # Of segments of shared memory: what has come since somebody asked.
        self._fresh: dict[int, RangeSet] = {}
        self._recent: deque[dict[int, RangeSet]] = deque(maxlen=2)
        self._ranges: dict[EntryKey, Range] = {}
        self._shared: SharedPages | None = None
        # Of the round that is coming in.
        self._late: dict[int, RangeSet] = {}
        self._expected_bytes = 0
        self.late = LatePages()

    def prepare(self) -> None:
        """What takes a while, in the agent's own process: Ansible goes on to the source meanwhile."""
        load_numpy()

    @property
    def handlers(self) -> dict[str, Callable[[Message, Channel], None]]:
        return {
            "memory.round": self._begin,
            "memory.pages": self._pages,
            "memory.late": self._late_pages,
            "pages.offer": lambda message, channel: self.late.fetch(channel),
            "memory.round_end": self._end,
        }

    @property
    def last_round(self) -> int:
        """Number of the last complete round, 0 if there was none."""
        return self._round

    def _begin(self, message: Message, channel: Channel) -> None:
        number = message.integer("number")
        if number != self._round + 1:
            raise TransferError(
                f"round {number} was announced after round {self._round}; start the migration again",
                phase="pre-copy",
            )
        for pages in self._files.values():
            pages.file.close()
        self._files, self._late = {}, {}
        self._announced = number
        path = self._path(number)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path, mode=0o700)

    def _pages(self, message: Message, channel: Channel) -> None:
        process = message.integer("process", least=-MAX_INTEGER)
        if self._announced != self._round + 1 or not process:
            raise TransferError(
                f"pages of process {process} came outside of a round; start the migration again",
                phase="pre-copy",
            )
        pages = self._files.get(process)
        if pages is None:
            path = os.path.join(self._path(self._round + 1), image_names(process).pages)
            pages = self._files[process] = _RoundFile(path)
        data = memoryview(message.body)
        runs = self._runs(message, process)
        if message.flag("delta"):
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

    def _late_pages(self, message: Message, channel: Channel) -> None:
        """Pages that are fetched once the service runs."""
        process = message.integer("process", least=1)
        if self._announced != self._round + 1 or self._chain:
            raise TransferError(
                f"late pages of process {process} came outside of a round, or cannot be filled here; start "
                "the migration again",
                phase="handover",
            )
        runs = self._runs(message, process)
        late = RangeSet((start, end) for start, end, _has_data in runs)
        self._late[process] = self._late.get(process, RangeSet()) | late

    def _runs(self, message: Message, process: int) -> list[Run]:
        """What of a process the message brings or names.

        :raises TransferError: it is damaged, or more than this host has memory for.
        """
        try:
            runs = unpack_runs(message.integers("runs"))
        except ValueError as error:
            raise TransferError(f"pages of process {process}: {error}", phase="pre-copy") from error
        self._refuse_too_much(process, runs)
        return runs

    def _refuse_too_much(self, process: int, runs: list[Run]) -> None:
        """Pages of zeros take nothing on the way, and memory here."""
        size_bytes = sum(end - start for start, end, _has_data in runs)
        size_bytes += sum(pages.size_bytes for pages in self._files.values())
        size_bytes += sum(late.size_bytes for late in self._late.values())
        if size_bytes > self._host_bytes:
            raise TransferError(
                f"with pages of process {process} a round has {size_bytes} bytes; this host has a memory of "
                f"{self._host_bytes} bytes. Choose a target with more memory",
                phase="pre-copy",
            )

    def _end(self, message: Message, channel: Channel) -> None:
        number = message.integer("number")
        if number != self._announced or number != self._round + 1:
            raise TransferError(
                f"the end of round {number} came after round {self._round}; start the migration again",
                phase="pre-copy",
            )
        path = self._path(number)
        changed: dict[int, RangeSet] = {}
        for process, late in self._late.items():
            self._expect(process, late, path)
        for process in sorted(set(self._known) | set(self._files)):
            pages = self._files.get(process)
            names = image_names(process)
            if pages is None:
                pages = _RoundFile(os.path.join(path, names.pages))
            pages.file.truncate(pages.size_bytes)
            pages.file.close()
            present = RangeSet(pages.present)
            known = self._known.get(process, RangeSet())
            if self._is_chained(process):
                write_pagemap(
                    os.path.join(path, names.pagemap),
                    names.pages_id,
                    layered_entries(present, known, PAGE_BYTES),
                )
            if present:
                changed[process] = present
                if process < 0:
                    self._fresh[process] = self._fresh.get(process, RangeSet()) | present
                if self._shared is not None:
                    self._shared.changed(process, present)
                self._take(process, present, pages.path)
            self._known[process] = known | present
            if not message.flag("last"):
                # The window is too short for it, and changes little.
                self._ranges.update(zip(entry_keys(self._known[process]), self._known[process]))
        if number > 1:
            # The first brings everything.
            self._recent.appendleft(changed)
            os.symlink(f"../{number - 1}", os.path.join(path, "parent"))
        self._files = {}
        self._round = number
        channel.send("ok", number=number)

    def _take(self, process: int, present: RangeSet, path: str) -> None:
        """The pages file at *path* holds the newest content of *present*, back to back.

        It goes where older content lies already: memory that is in few pieces is filled sooner.
        """
        mapped = Mapped(path)
        newest = self._newest.setdefault(process, Extents())
        arrived: list[Extent] = []
        source = mapped.address
        for start, end in present:
            arrived.append(Extent(start, end, source))
            source += end - start
        for new in arrived:
            for old in newest.within(RangeSet.ordered([(new.start, new.end)])):
                ctypes.memmove(old.source, new.part(old.start, old.end).source, old.end - old.start)
        fresh = Extents(arrived).within(present - self._known.get(process, RangeSet()))
        for extent in fresh:
            newest.put(extent)
        if fresh:
            self._maps.append(mapped)
        elif not self._is_chained(process):
            os.truncate(path, 0)

    def _expect(self, process: int, late: RangeSet, path: str) -> None:
        """Content of *late* comes later, to where older content lies already, or to a file in *path*."""
        if self._shared is not None:
            self._shared.late(process, late)
        known = self._known.get(process, RangeSet())
        newest = self._newest.setdefault(process, Extents())
        fresh = late - known
        if fresh:
            self._require_room(fresh.size_bytes, process)
            name = os.path.join(path, f"late-{process}.img")
            with open(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "r+b") as file:
                file.truncate(fresh.size_bytes)
            mapped = Mapped(name, filled=False)
            self._maps.append(mapped)
            source = mapped.address
            arriving = []
            for start, end in fresh:
                arriving.append(Extent(start, end, source))
                source += end - start
            newest.add(arriving)
        self._known[process] = known | late
        self.late.add(process, newest.within(late))

    def _require_room(self, size_bytes: int, process: int) -> None:
        """Now, while the source can still take the service back.

        :raises MigrationError: there is none for so much.
        """
        room = os.statvfs(self._dir)
        # Of several processes the pages of each come to lie there, and none has come yet.
        self._expected_bytes += size_bytes
        free_bytes = room.f_bavail * room.f_frsize
        if self._expected_bytes > free_bytes:
            raise MigrationError(
                f"with pages of process {process} that are to be fetched later the target needs "
                f"{self._expected_bytes} bytes in {self._dir}, where {free_bytes} are free. Free space "
                "there, or let mec_migration_images_dir name a directory with more",
                phase="handover",
                container_state="created",
            )

    def _is_chained(self, process: int) -> bool:
        """Whether CRIU will read it."""
        return self._chain or process < 0

    def _held_content(self, process: int, runs: list[Run]) -> bytes:
        """What the rounds before hold of *runs*, those that have data."""
        wanted = RangeSet.ordered((start, end) for start, end, has_data in runs if has_data)
        return b"".join(
            ctypes.string_at(source, end - start) for start, end, source in self.extents(process, wanted)
        )

    @property
    def segments(self) -> list[int]:
        """The segments of shared memory that rounds have brought something of."""
        return [number for number in self._known if number < 0]

    def held(self, number: int) -> RangeSet:
        """The pages of a process or segment that rounds have brought."""
        return self._known.get(number, RangeSet())

    def take_fresh(self, number: int) -> RangeSet:
        """Those pages of a segment that have come since this was asked last."""
        return self._fresh.pop(number, RangeSet())

    def recent(self, process: int) -> list[RangeSet]:
        """What of the process came in the last round, and in the one before."""
        return [changed[process] for changed in self._recent if process in changed]

    def named_by(self, keys: Iterable[EntryKey]) -> RangeSet:
        """The addresses of entries, in order of address; most of them are just what was sent."""
        known = self._ranges
        return RangeSet.ordered(known.get(key) or key_range(key) for key in keys)

    def extents(self, process: int, wanted: RangeSet) -> list[Extent]:
        """Where the newest content of *wanted* lies in this process's memory, in order of address.

        :raises TransferError: some of it never came.
        """
        found = self._newest.get(process, Extents()).within(wanted)
        missing = wanted.size_bytes - sum(end - start for start, end, _source in found)
        if missing:
            never = wanted - RangeSet((start, end) for start, end, _source in found)
            raise TransferError(
                f"pages of process {process} never came, {missing} bytes from {never.ranges[0].start:#x} on; "
                "start the migration again",
                phase="handover",
            )
        return found

    def places(self, number: int, wanted: RangeSet) -> list[tuple[str, int, int, int]]:
        """Where the newest content of *wanted* lies in files: path, offset there, start, bytes.

        :raises TransferError: some of it never came.
        """
        found = []
        maps = sorted(self._maps, key=lambda mapped: mapped.address)
        addresses = [mapped.address for mapped in maps]
        for first, last, source in self.extents(number, wanted):
            mapped = maps[bisect.bisect_right(addresses, source) - 1]
            found.append((mapped.path, source - mapped.address, first, last - first))
        return found

    def find_shared(
        self, shared: SharedPages, forks: list[Fork], anonymous_bytes: int, limit_bytes: int
    ) -> None:
        """Let *shared* take out what processes have in common with those they were forked from.

        From then on it hears of what changes.
        """
        self._shared = shared
        shared.find(forks, self._newest, anonymous_bytes, limit_bytes)

    def _path(self, number: int) -> str:
        return os.path.join(self._dir, str(number))
