# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The UNIX sockets of a network namespace, as the kernel's sock_diag(7) tells of them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from .namespaces import asked_in

NETLINK_SOCK_DIAG = 4
# include/uapi/linux/sock_diag.h and netlink.h
SOCK_DIAG_BY_FAMILY, NLMSG_ERROR, NLMSG_DONE = 20, 2, 3
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
# include/uapi/linux/unix_diag.h: what to show, and the attributes of the answer
SHOW_NAME, SHOW_FILE, SHOW_PEER, SHOW_PENDING, SHOW_QUEUES = 1, 2, 4, 8, 0x10
NAME, FILE, PEER, PENDING, QUEUES = 0, 1, 2, 3, 4
# include/net/tcp_states.h
LISTEN = 10
HEADER = struct.Struct("=IHHII")
REQUEST = struct.Struct("=BBHIIIII")
MESSAGE = struct.Struct("=BBBBIII")


class UnixSocket(NamedTuple):
    """One socket.

    :param peer: inode of the socket that it is connected to; 0 if there is none yet.
    :param pending: of a listener, the inodes of the clients that nobody has accepted yet; 0 for one that has
        closed its end already.
    :param unread_bytes: what has come in, for a listener the number of connections to accept.
    :param unsent_bytes: what was sent and is not read yet, for a listener the length of its queue.
    :param file_inode: of the file that it was bound to; 0 if it is not bound to any.
    """

    inode: int
    type: int
    state: int
    name: str
    peer: int
    pending: tuple[int, ...]
    unread_bytes: int
    unsent_bytes: int
    file_inode: int = 0


def unix_sockets(pid: int) -> dict[int, UnixSocket]:
    """Every UNIX socket in the network namespace of *pid*, by inode.

    :raises OSError: the kernel has no UNIX socket diagnosis, or the process is gone.
    """
    return asked_in(pid, "net", _ask)


def _ask() -> dict[int, UnixSocket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as diagnosis:
        diagnosis.settimeout(2)
        show = SHOW_NAME | SHOW_FILE | SHOW_PEER | SHOW_PENDING | SHOW_QUEUES
        request = REQUEST.pack(socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, show, 0, 0)
        flags = NLM_F_REQUEST | NLM_F_DUMP
        diagnosis.send(HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, flags, 1, 0) + request)
        return {found.inode: found for found in _answers(diagnosis)}


def _answers(diagnosis: socket.socket) -> Iterator[UnixSocket]:
    while True:
        data = diagnosis.recv(1 << 18)
        while len(data) >= HEADER.size:
            length, kind, _flags, _sequence, _port = HEADER.unpack_from(data)
            body, data = data[HEADER.size : length], data[(length + 3) & ~3 :]
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                raise OSError(-struct.unpack_from("=i", body)[0], "the kernel refuses UNIX socket diagnosis")
            yield _socket(body)


def _socket(body: bytes) -> UnixSocket:
    _family, kind, state, _pad, inode, _low, _high = MESSAGE.unpack_from(body)
    values = dict(_attributes(body[MESSAGE.size :]))
    unread, unsent = struct.unpack("=II", values.get(QUEUES, bytes(8)))
    pending = values.get(PENDING, b"")
    return UnixSocket(
        inode,
        kind,
        state,
        values.get(NAME, b"").rstrip(b"\0").replace(b"\0", b"@").decode(errors="replace"),
        struct.unpack("=I", values.get(PEER, bytes(4)))[0],
        struct.unpack(f"={len(pending) // 4}I", pending),
        unread,
        unsent,
        # struct unix_diag_vfs: inode and device.
        struct.unpack_from("=I", values.get(FILE, bytes(4)))[0],
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:length]
        data = data[(length + 3) & ~3 :]
