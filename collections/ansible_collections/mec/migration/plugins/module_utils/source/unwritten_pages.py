# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of shared memory that the final dump writes to nowhere, for the target has the pages.

CRIU dumps shared memory whole: it copies all of it into an image, while the service is frozen. If the image's
name is a link to /dev/null, nothing is copied (splice(2)); what changed since the last round is read from the
frozen service itself.

CRIU gives images of pages their numbers in the order in which it dumps (criu/cr-dump.c): for each process
first those segments, mapped or open, that no process before it had (anonymous shared memory is a memfd to
it), then its own memory; after all processes what is System V's. A guess that is wrong does no harm: pages
that are missing in an image are read from the frozen service, whatever they belong to.
"""

from __future__ import annotations

import os

from ..kernel.process_memory import areas
from ..kernel.system_v import segments as system_v_segments
from ..memory.shared_memory import ANONYMOUS, MEMFD, SYSTEM_V, opened_memfds
from ..memory.source import MemorySource

# Of less the copy costs less than to look for it.
WORTHWHILE_BYTES = 16 << 20
NOWHERE = "/dev/null"
# Shared memory that is read in no round, and has an image all the same.
OTHER_KINDS = ("/anon_hugepage",)


def to_nowhere(directory: str, pids: dict[int, int], memory: MemorySource) -> list[int]:
    """Before the dump: make the links in *directory*, where it pays; returns the images' numbers.

    :param pids: number on the host -> number in the container.
    """
    if sum(memory.known(number).size_bytes for number in memory.segments) < WORTHWHILE_BYTES:
        return []
    try:
        numbers = guess(pids)
    except OSError:
        # Something has ended meanwhile: CRIU writes all of them.
        return []
    for number in numbers:
        os.symlink(NOWHERE, os.path.join(directory, f"pages-{number}.img"))
    return numbers


def guess(pids: dict[int, int]) -> list[int]:
    """The numbers of the images of shared memory.

    :raises OSError: what is looked at has ended.
    """
    found: set[int] = set()
    numbers: list[int] = []
    system_v: set[int] = set()
    after, living = 1, 0
    for pid in sorted(pids, key=pids.__getitem__):
        mapped = areas(pid)
        if any(area.path.startswith(OTHER_KINDS) for area in mapped):
            return []
        if not mapped:
            # A zombie has no memory, and no image.
            continue
        living = living or pid
        segments = [area for area in mapped if area.path.startswith((ANONYMOUS, MEMFD))]
        own = {
            area.inode
            for area in segments
            if os.stat(f"/proc/{pid}/map_files/{area.start:x}-{area.end:x}").st_size
        }
        new = (own | opened_memfds([pid]).keys()) - found
        found |= new
        numbers += range(after, after + len(new))
        after += len(new) + 1
        system_v |= {area.inode for area in mapped if area.path.startswith(SYSTEM_V)}
    # One that nobody has attached could not be read.
    if system_v and system_v >= system_v_segments(living):
        numbers += range(after, after + len(system_v))
    return numbers
