# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A parent image that claims to hold all memory, so that CRIU's final dump passes over it.

CRIU takes a page that is not soft-dirty for one of the parent's and notes only its place
(``generate_iovs``, criu/mem.c). All others it splices into pipes, even those of a lazy dump: half a
microsecond a page, while the service is frozen. What the parent claims to hold is sent by the rounds.

CRIU has a parent only where the kernel tracks soft-dirty pages. Elsewhere no page is ever soft-dirty, and
that CRIU process alone is told otherwise: it sees, in a mount namespace of its own, a copy of CRIU's note
of what the kernel can do, with that one answer changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TypeVar

from ..kernel.process_memory import PAGE_BYTES
from .images import PE_PRESENT, PagemapEntry, write_inventory, write_pagemap
from .options import Given, Option
from .own_mounts import with_own_mounts
from .program import version
from .rpc import features

NAME = "parent"
KERNEL_NOTE = "/run/criu.kdat"
# struct kerndat_s (criu/include/kerndat.h), two magic numbers, a device, a number, zero_page_pfn before it.
HAS_DIRTY_TRACK = 32
NOTE_COPY = "criu.kdat"
# The largest address space of any 64-bit machine.
EVERYTHING = PagemapEntry(PAGE_BYTES, (1 << 56) // PAGE_BYTES - 2, PE_PRESENT)
# Before it a page map's entry counts to 2^32 pages.
CRIU_NEEDED = (4, 2)

Value = TypeVar("Value")


class ParentOfAll:
    """The parent image of one final dump, below *directory*, and how CRIU is started to believe in it.

    :ivar obstacle: why CRIU would not believe in it here, as a clause; empty if it does.
    """

    # The path is relative to the images beside it.
    options: tuple[Given, ...] = ((Option.PARENT_IMG, f"../{NAME}"), (Option.TRACK_MEM, True))

    def __init__(self, directory: str, processes: Iterable[int]) -> None:
        """:param processes: numbers in the container. What is forked later is dumped without a parent."""
        self._note = ""
        self.obstacle = self._prepare(directory)
        if self.obstacle:
            return
        path = os.path.join(directory, NAME)
        os.makedirs(path, mode=0o700, exist_ok=True)
        write_inventory(os.path.join(path, "inventory.img"), _uptime_us())
        for number in processes:
            write_pagemap(os.path.join(path, f"pagemap-{number}.img"), number, [EVERYTHING])
            with open(os.path.join(path, f"pages-{number}.img"), "wb"):
                pass

    def start(self, start: Callable[[], Value]) -> Value:
        """Call *start*, which starts CRIU, so that it sees what it is to believe."""
        return with_own_mounts(start, {KERNEL_NOTE: self._note} if self._note else None)

    def _prepare(self, directory: str) -> str:
        if version() < CRIU_NEEDED:
            return "CRIU is older than 4.2"
        found = features()
        if found.get("mem_dirty_track"):
            return ""
        try:
            # CRIU does the same to the service, and stops where the kernel does not even know the request.
            with open("/proc/self/clear_refs", "w", encoding="ascii") as clear:
                clear.write("4")
            with open(KERNEL_NOTE, "rb") as note:
                content = bytearray(note.read())
            if not found or len(content) <= HAS_DIRTY_TRACK or content[HAS_DIRTY_TRACK] != 0:
                return f"{KERNEL_NOTE} is not as this CRIU's version has it"
            content[HAS_DIRTY_TRACK] = 1
            self._note = os.path.join(directory, NOTE_COPY)
            with open(self._note, "wb") as copy:
                copy.write(content)
            believed = self.start(features)
        except OSError as error:
            self._note = ""
            return f"CRIU cannot be started with mounts of its own: {error}"
        if believed != dict(found, mem_dirty_track=True):
            self._note = ""
            return f"{KERNEL_NOTE} is not as this CRIU's version has it"
        return ""


def _uptime_us() -> int:
    """Now, on the clock of processes' start times: CRIU tells by it whose number was taken over."""
    with open("/proc/uptime", encoding="ascii") as uptime:
        return int(float(uptime.read().split()[0]) * 1e6)
