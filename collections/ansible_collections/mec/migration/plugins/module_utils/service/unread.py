# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service had not read yet when it was frozen, and does not get on the target.

It comes and goes all the time, so that a preflight could only guess. Here it is looked for once the service
runs on the target, in the processes that are frozen still: nobody waits for that.
"""

from __future__ import annotations

import contextlib
import fcntl
import termios
from collections.abc import Iterable, Iterator

from ..base.page_ranges import RangeSet
from ..kernel.calls import duplicate
from ..kernel.process_memory import areas, flagged_ranges
from ..kernel.processes import descriptors
from ..kernel.sockets import command, unread_datagrams
from ..kernel.watches import WATCHERS

# Some kernels seal these in every process. The target's does so, too, or does not.
KERNELS_OWN = ("[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]", "[sigpage]", "[vectors]")


def unread(first: int, pids: Iterable[int]) -> list[str]:
    """In words, each with its process. What cannot be looked at is left out: nothing that fails here counts.

    :param first: the container's first process, for its network.
    """
    found: dict[str, None] = {}
    with contextlib.suppress(Exception):
        waiting = unread_datagrams(first)
        for pid in pids:
            for what in _of_process(pid, waiting):
                found[what] = None
    return list(found)


def _of_process(pid: int, waiting: dict[int, str]) -> Iterator[str]:
    who = f"process {pid} ({command(pid)})"
    for descriptor, link in descriptors(pid):
        if link.startswith("socket:["):
            # Of several processes that have it the first one is named.
            place = waiting.pop(int(link[8:-1]), "")
            if place:
                yield f"datagrams at {place} that {who} had not read"
        elif link in WATCHERS and _waits(pid, descriptor):
            # `anon_inode:inotify`, `anon_inode:[fanotify]`
            kind = link.partition(":")[2].strip("[]")
            yield f"events of {kind} that {who} had not read (file descriptor {descriptor})"
    if _seals(pid):
        yield f"that mappings of {who} are sealed (mseal)"


def _waits(pid: int, descriptor: int) -> int:
    """How many bytes can be read at once."""
    with contextlib.suppress(OSError), duplicate(pid, descriptor) as ours:
        return int.from_bytes(fcntl.ioctl(ours, termios.FIONREAD, bytes(4)), "little")
    return 0


def _seals(pid: int) -> bool:
    with contextlib.suppress(OSError):
        sealed = flagged_ranges(pid, "sl")
        own = RangeSet((area.start, area.end) for area in areas(pid) if area.path in KERNELS_OWN)
        return bool((sealed - own).size_bytes)
    return False
