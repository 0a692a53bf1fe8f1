# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a container that are on the way from one of its processes to another (SCM_RIGHTS).

Most of them CRIU dumps and restores as they are. What it does not is told here, in words.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Mapping
from socket import SOCK_STREAM
from typing import NamedTuple

from ..kernel.epolls import EPOLL
from ..kernel.in_flight import count_in_flight, first_in_flight
from ..kernel.kcmp import is_same_file
from ..kernel.processes import container_pids
from ..kernel.removed_files import DELETED
from ..kernel.socket_options import read_options, socket_of
from ..kernel.unix_diag import UnixSocket
from .open_files import NAMELESS, TIMER, OpenFile, describe

# What CRIU or the agent sees, or sets, through a process that has it open.
INODES = {
    "anon_inode:inotify": "watches (inotify)",
    "anon_inode:[fanotify]": "watches (fanotify)",
    # CRIU takes what it waits for by its numbers in the process that sent it, which may be others' by now.
    EPOLL: "an epoll",
}
TERMINALS = (4, 5, *range(136, 144))


class InFlight(NamedTuple):
    """What was seen of them.

    :ivar files: with the process at which the message waits. Their number is that of the socket.
    :ivar unseen: likewise, sockets with more files in messages after the first one, and how many.
    :ivar to_earlier: sockets at which a message with files waits that a later process sent.
    """

    files: tuple[tuple[int, OpenFile], ...] = ()
    unseen: tuple[tuple[int, OpenFile, int], ...] = ()
    to_earlier: tuple[tuple[int, OpenFile], ...] = ()


def in_flight(
    held: Mapping[int, Iterable[OpenFile]], devices: dict[int, int], sockets: Mapping[int, UnixSocket]
) -> InFlight:
    """:param held: the files that each process has open.

    :param sockets: those of UNIX, by inode.
    """
    files: list[tuple[int, OpenFile]] = []
    unseen: list[tuple[int, OpenFile, int]] = []
    to_earlier: list[tuple[int, OpenFile]] = []
    seen: set[int] = set()
    for pid, of_process in held.items():
        for receiver in of_process:
            if not receiver.protocol.startswith("UNIX") or receiver.socket_inode in seen:
                continue
            seen.add(receiver.socket_inode)
            socket = sockets.get(receiver.socket_inode)
            count = count_in_flight(pid, receiver.number) if _may_have_any(socket) else 0
            if count:
                if _is_to_earlier(socket, held, sockets):
                    to_earlier.append((pid, receiver))
                with first_in_flight(pid, receiver.number) as ours:
                    for each in ours:
                        with contextlib.suppress(OSError):
                            files.append((pid, _described(each, pid, receiver, held, devices)))
                    if count > len(ours):
                        unseen.append((pid, receiver, count - len(ours)))
    return InFlight(tuple(files), tuple(unseen), tuple(to_earlier))


def _may_have_any(found: UnixSocket | None) -> bool:
    """Nearly all sockets have nothing to read. A datagram may be empty but for its files."""
    return found is None or found.type != SOCK_STREAM or found.unread_bytes > 0


def _is_to_earlier(
    receiver: UnixSocket | None,
    held: Mapping[int, Iterable[OpenFile]],
    sockets: Mapping[int, UnixSocket],
) -> bool:
    """Whether CRIU would send the message anew from another process than that which it gave the files.

    Two ends that are connected to each other it makes in the process of the lower number
    (``interconnected_pair``, criu/sk-unix.c), and sends there what waits at both; but the files of a message
    are those of the sender's process (``unix_note_scm_rights``).
    """
    sender = sockets.get(receiver.peer) if receiver is not None else None
    if receiver is None or sender is None or sender.peer != receiver.inode:
        return False
    first, second = (
        min(container_pids([pid for pid, files in held.items() if _has(files, inode)]).values(), default=0)
        for inode in (receiver.inode, sender.inode)
    )
    return first < second


def _has(files: Iterable[OpenFile], inode: int) -> bool:
    return any(file.socket_inode == inode for file in files)


def _described(
    ours: int,
    pid: int,
    receiver: OpenFile,
    held: Mapping[int, Iterable[OpenFile]],
    devices: dict[int, int],
) -> OpenFile:
    file = describe(os.getpid(), ours, devices)
    left = _cannot_fly(file) or ("" if _is_held(ours, file, held) else _cannot_fly_alone(ours, pid, file))
    return file._replace(number=receiver.number, in_flight=True, left_in_flight=left)


def _cannot_fly(file: OpenFile) -> str:
    """CRIU sets timers once it has closed what lies in messages; of terminals it must see a process first."""
    if stat.S_ISCHR(file.mode) and os.major(file.rdev) in TERMINALS:
        return "a terminal"
    return "a timer (timerfd)" if file.link == TIMER else ""


def _cannot_fly_alone(ours: int, pid: int, file: OpenFile) -> str:
    """What is dumped or put back through a process that has the file open, so that it is not here."""
    if file.link in INODES:
        return INODES[file.link]
    if file.protocol.startswith("MPTCP"):
        return "a socket of MPTCP"
    if file.socket_inode:
        with socket_of(os.getpid(), ours) as found:
            return "a socket with options" if any(read_options(found, pid)) else ""
    if file.links and file.link.endswith(DELETED) and not file.link.startswith(NAMELESS):
        return "a file whose name was removed while another one stays"
    with open(f"/proc/self/fdinfo/{ours}", encoding="ascii") as info:
        lines = info.read().splitlines()
    if any(line.startswith("lock:") for line in lines):
        return "a file with a lock or lease"
    semaphore = any(line.startswith("eventfd-semaphore:") and line.endswith("1") for line in lines)
    return "an eventfd that is a semaphore (EFD_SEMAPHORE)" if semaphore else ""


def _is_held(ours: int, file: OpenFile, held: Mapping[int, Iterable[OpenFile]]) -> bool:
    """Whether a process has it open, too."""
    return any(
        is_same_file(pid, other.number, os.getpid(), ours)
        for pid, files in held.items()
        for other in files
        if other.link == file.link
    )
