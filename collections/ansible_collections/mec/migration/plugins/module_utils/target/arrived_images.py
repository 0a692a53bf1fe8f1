# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRIU's images of the final dump as they arrive on the target, and what of memory they name."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from ..base.errors import MigrationError, TransferError
from ..base.threads import InThread
from ..criu.images import PE_LAZY, RawPagemap, refer_to_parent
from ..memory.copy_on_write import SharedPages, unpack_forks
from ..memory.extents import Extent
from ..memory.made_segments import Allocate, MadeSegments
from ..memory.shared_memory import Segment
from ..memory.system_v import leave_to_fill
from ..memory.target import MemoryTarget
from ..transport.wire import Message

DESCRIPTORS = "descriptors.json"
SHARED = "shared"


class ArrivedImages:
    """:param directory: on tmpfs, beside the directories of the rounds."""

    def __init__(self, directory: str, memory: MemoryTarget) -> None:
        self.directory = directory
        self._memory = memory
        self._shared = SharedPages(os.path.join(os.path.dirname(directory), SHARED))
        self._segments = MadeSegments(memory)
        self._found: dict[int, InThread[tuple[int, dict[int, list[Extent]]]]] = {}

    def close(self) -> None:
        """It is restored."""
        self._segments.close()

    def begin(self, descriptors: list[str]) -> None:
        """Before the first image: what standard input, output and error were, for runc."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        self._found = {}
        # Not the directory itself: a restore that was prepared before has it open.
        for name in os.listdir(self.directory):
            os.unlink(os.path.join(self.directory, name))
        with open(os.path.join(self.directory, DESCRIPTORS), "w", encoding="utf-8") as out:
            json.dump(descriptors, out)

    def share(self, message: Message, spec: dict[str, Any]) -> None:
        """Before the freeze: find what processes share with those that they were forked from.

        :param message: has ``forks`` and ``anonymous_bytes``, see :mod:`..memory.copy_on_write`.
        :param spec: the container's specification, for its memory limit.
        :raises MigrationError: the service's memory would not fit it.
        """
        try:
            forks = unpack_forks(message.integers("forks"))
        except ValueError as error:
            raise TransferError(f"the message {message.kind} is damaged: {error}") from error
        limit_bytes = int(spec["create"]["HostConfig"].get("Memory") or 0)
        self._memory.find_shared(self._shared, forks, message.integer("anonymous_bytes"), limit_bytes)

    def make_segments(self, message: Message, allocate: Allocate) -> list[int]:
        """Before the freeze: make shared memory, so that CRIU need not read it from images in the window.

        :param message: has ``segments``, see :class:`..memory.shared_memory.Segment`.
        :returns: the numbers of what is made.
        """
        try:
            wanted = [
                Segment(int(number), int(size_bytes), str(name))
                for number, size_bytes, name in message.fields["segments"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise TransferError(f"the message {message.kind} is damaged: {error!r}") from error
        try:
            return self._segments.make(wanted, allocate)
        except OSError:
            # CRIU makes them, and says so if there is no room for it either.
            self._segments.close()
            return []

    def take(self, message: Message) -> None:
        """Images as (name, size) pairs and their contents in one body; an image may come in several pieces.

        :raises TransferError: a name that is no plain file name.
        """
        offset = 0
        for name, size in message.fields["files"]:
            if os.path.basename(name) != name or name.startswith("."):
                raise TransferError(f"bad image name {name!r}")
            path = os.path.join(self.directory, name)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as out:
                out.write(message.body[offset : offset + size])
            offset += size

    def chain(self, lazily: bool, allocate: Allocate) -> None:
        """CRIU reads from the rounds' directories what the dump left out, if it is neither filled lazily nor
        made already.
        """
        self._segments.give(self.directory, allocate)
        leave_to_fill(self.directory, self._memory)
        if self._memory.last_round:
            os.symlink(f"../{self._memory.last_round}", os.path.join(self.directory, "parent"))
        if lazily:
            self._shared.settle(self.directory, os.path.join(self.directory, "parent"))
            return
        for name in os.listdir(self.directory):
            if name.startswith("pagemap-") and not name.startswith("pagemap-shmem"):
                refer_to_parent(os.path.join(self.directory, name))

    def look_for_extents(self, message: Message) -> None:
        """Find in a thread where the memory lies that the page maps in *message* name."""
        numbers = []
        for name, _size in message.fields["files"]:
            number = name[len("pagemap-") : -len(".img")]
            if name.startswith("pagemap-") and number.isdigit():
                numbers.append(int(number))
        if numbers:
            finding = InThread(lambda: self._extents_of(numbers))
            self._found.update(dict.fromkeys(numbers, finding))

    def extents(self, process: int) -> list[Extent]:
        """Where the newest content lies of all that the images name of a process."""
        finding = self._found.get(process)
        if finding is not None:
            rounds, found = finding.result()
            if rounds == self._memory.last_round and process in found:
                return found[process]
        return self._extents_now(process)

    def _extents_now(self, process: int) -> list[Extent]:
        entries = RawPagemap(os.path.join(self.directory, f"pagemap-{process}.img")).entries
        keys = ((address, pages) for _message, address, flags, pages in entries if flags[0] & PE_LAZY)
        return self._memory.extents(process, self._memory.named_by(keys) - self._shared.of(process))

    def _extents_of(self, numbers: list[int]) -> tuple[int, dict[int, list[Extent]]]:
        """The round up to which they are the newest, and those of each process."""
        rounds = self._memory.last_round
        found = {}
        for number in numbers:
            # What is missing may still come; it is missed when it is asked for.
            with contextlib.suppress(MigrationError):
                found[number] = self._extents_now(number)
        return rounds, found
