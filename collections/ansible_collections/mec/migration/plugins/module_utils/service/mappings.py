# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process has mapped, as /proc/PID/maps tells it."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import NamedTuple

from ..kernel.inode_flags import protection
from ..kernel.removed_files import DELETED

REMOVED = DELETED.encode()
AIO_RING = b"/[aio]"
# struct aio_ring and struct io_event, both of 32 bytes (fs/aio.c, include/uapi/linux/aio_abi.h).
RING_HEAD_BYTES, EVENT_BYTES = 32, 32
TELLING = (b"anon_inode:", b"/secretmem", b"/anon_hugepage", b"/dev/")


class Mappings(NamedTuple):
    """Of one process.

    :ivar names: of those that are neither a plain file nor memory.
    :ivar lines: how many there are.
    :ivar protected: files that were opened for writing, and are immutable or append-only by now.
    :ivar removed: names that files had before they were removed.
    :ivar aio_requests: how many requests its rings of asynchronous input and output take (io_setup(2)).
    """

    names: frozenset[str]
    lines: int
    protected: tuple[str, ...]
    removed: tuple[str, ...]
    aio_requests: int


def mappings(pid: int, seen: dict[tuple[bytes, bytes], int]) -> Mappings:
    """:param seen: how each file that was looked at before is protected; more are added."""
    names, count, requests = set(), 0, 0
    protected: dict[str, None] = {}
    removed: dict[str, None] = {}
    with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", "rb") as lines:
        for line in lines:
            count += 1
            words = line.split(None, 5)
            name = words[5].rstrip() if len(words) > 5 else b""
            if name.startswith(AIO_RING):
                requests += _requests(words[0])
            if name.endswith(REMOVED):
                removed[os.fsdecode(name.removesuffix(REMOVED))] = None
            if name.startswith(TELLING):
                names.add(name.decode(errors="replace"))
            # Nearly all are libraries, which many processes have mapped many times.
            elif words[4] != b"0" and seen.get((words[3], words[4]), 1) and _protected(pid, words, seen):
                protected[name.decode(errors="replace")] = None
    return Mappings(frozenset(names), count, tuple(protected), tuple(removed), requests)


def _requests(addresses: bytes) -> int:
    """With how many CRIU makes a ring of that size anew: the kernel makes twice the places, and two more."""
    start, _dash, end = addresses.partition(b"-")
    events = (int(end, 16) - int(start, 16) - RING_HEAD_BYTES) // EVENT_BYTES
    return (events - 2) // 2


def _protected(pid: int, words: list[bytes], seen: dict[tuple[bytes, bytes], int]) -> bool:
    start, _dash, end = words[0].partition(b"-")
    path = f"/proc/{pid}/map_files/{int(start, 16):x}-{int(end, 16):x}"
    file = words[3], words[4]
    if file not in seen:
        seen[file] = protection(path)
    # The link's own permissions are how the file was opened. CRIU opens it so again, however it is mapped.
    with contextlib.suppress(OSError):
        return bool(seen[file] and os.lstat(path).st_mode & stat.S_IWUSR)
    return False
