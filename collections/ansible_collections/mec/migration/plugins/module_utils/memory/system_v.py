# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System V's shared memory, which is filled beside CRIU, right after CRIU has made it.

Such memory belongs to an IPC namespace, and that is there only once CRIU makes it: it cannot be made before
the freeze, as other shared memory is (:mod:`.made_segments`). But CRIU takes long to read it. So its page map
is emptied, and what would have been read is listed for a program that CRIU calls then (role edge_host's
fill_system_v.py).
"""

from __future__ import annotations

import json
import os

from ..base.page_ranges import RangeSet
from ..criu.images import PE_PARENT, PE_PRESENT, RawPagemap, image_names, key_range
from ..criu.segments import SYSTEM_V
from .target import MemoryTarget

# Read by role edge_host's criu_gate.py.
LIST_FILE = "system_v.json"
# Below this size CRIU reads the images sooner than we could start the program that makes the segment.
WORTHWHILE_BYTES = 32 << 20


def leave_to_fill(directory: str, memory: MemoryTarget) -> None:
    """Empty the page maps in *directory*, if it pays, and list there what they have named.

    :raises TransferError: they name what never came.
    """
    numbers = [number for number in memory.segments if number <= -SYSTEM_V]
    # If a System V id equals another segment's inode number, CRIU writes one page map for both.
    numbers = [number for number in numbers if not memory.held(number + SYSTEM_V)]
    listed, size_bytes = [], 0
    for number in numbers:
        path = os.path.join(directory, image_names(number).pagemap)
        if os.path.exists(path):
            pagemap = RawPagemap(path)
            pieces = _pieces(pagemap, number, memory)
            size_bytes += sum(size for _path, _offset, _start, size in pieces)
            listed.append((-number - SYSTEM_V, pieces, pagemap))
    if size_bytes < WORTHWHILE_BYTES:
        return
    with open(os.path.join(directory, LIST_FILE), "w", encoding="utf-8") as out:
        json.dump([(identifier, pieces) for identifier, pieces, _pagemap in listed], out)
    for _identifier, _pieces_of, pagemap in listed:
        pagemap.entries = []
        pagemap.write()


def _pieces(pagemap: RawPagemap, number: int, memory: MemoryTarget) -> list[tuple[str, int, int, int]]:
    """Of what the page map names: path, offset there, offset in the segment, bytes."""
    pieces, unchanged = [], []
    at = 0
    for _message, address, flags, pages in pagemap.entries:
        start, end = key_range((address, pages))
        if flags[0] & PE_PRESENT:
            pieces.append((pagemap.pages_path, at, start, end - start))
            at += end - start
        elif flags[0] & PE_PARENT:
            unchanged.append((start, end))
    return pieces + memory.places(number, RangeSet.ordered(unchanged))
