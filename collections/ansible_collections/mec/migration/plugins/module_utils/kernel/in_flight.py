# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that lie in a message which nobody has read yet (SCM_RIGHTS, unix(7)).

They are in no /proc/PID/fd. But who reads a message with MSG_PEEK gets duplicates of its files, and the
message stays. So it is read by our own process, through a duplicate of the socket.
"""

from __future__ import annotations

import array
import contextlib
import os
import re
import select
import socket
from collections.abc import Iterator

from .socket_options import socket_of

# include/uapi/asm-generic/socket.h; include/linux/socket.h: SCM_PIDFD, MSG_CMSG_CLOEXEC; include/net/scm.h
SO_PEEK_OFF = 42
SCM_PIDFD, MSG_CMSG_CLOEXEC = 4, 0x40000000
MOST_FILES = 253
# What else may come with a message: who sent it, when.
OTHER_BYTES = 512
COUNT = re.compile(r"^scm_fds:\s*(\d+)$", re.MULTILINE)


def count_in_flight(pid: int, descriptor: int) -> int:
    """How many files lie in all messages that wait at a UNIX socket; 0 where the kernel (before 5.9) does
    not tell."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as info:
        found = COUNT.search(info.read())
        return int(found[1]) if found else 0
    return 0


@contextlib.contextmanager
def first_in_flight(pid: int, descriptor: int) -> Iterator[list[int]]:
    """Our own descriptors of the files in the first message with any, for the time of the ``with`` block.

    What comes after that message cannot be seen without a change of the socket (SO_PEEK_OFF); of datagrams
    only the very first can be seen.
    """
    found: list[int] = []
    try:
        with contextlib.suppress(OSError), socket_of(pid, descriptor) as ours:
            if _can_be_peeked(ours):
                found += _peek(ours)
        yield found
    finally:
        for each in found:
            os.close(each)


def _can_be_peeked(ours: socket.socket) -> bool:
    """Whether reading with MSG_PEEK changes nothing: it moves an offset that was set, and takes an error."""
    waiting = select.poll()
    waiting.register(ours, select.POLLIN)
    events = dict(waiting.poll(0)).get(ours.fileno(), 0)
    is_readable = events & select.POLLIN and not events & (select.POLLERR | select.POLLNVAL)
    return bool(is_readable) and ours.getsockopt(socket.SOL_SOCKET, SO_PEEK_OFF) < 0


def _peek(ours: socket.socket) -> list[int]:
    room = socket.CMSG_SPACE(MOST_FILES * array.array("i").itemsize) + OTHER_BYTES
    flags = socket.MSG_PEEK | socket.MSG_DONTWAIT | MSG_CMSG_CLOEXEC
    # Of a stream the kernel looks on beyond that byte, up to the first message with files.
    _data, extras, _flags, _address = ours.recvmsg(1, room, flags)
    found: list[int] = []
    for level, kind, content in extras:
        if level == socket.SOL_SOCKET and kind in (socket.SCM_RIGHTS, SCM_PIDFD):
            numbers = array.array("i")
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
            if kind == socket.SCM_RIGHTS:
                found += numbers
            else:
                # Of the sender, for us alone.
                for each in numbers:
                    os.close(each)
    return found
