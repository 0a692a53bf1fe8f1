# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets of datagrams of other processes are connected again, reached by pidfd_getfd(2)."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from .socket_options import INTERNET, socket_of

# Docker may wire the container's network only after the restore.
NOT_YET = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN)
# The process, the descriptor or the socket.
GONE = (errno.EBADF, errno.ESRCH, errno.ENOTSOCK)
PAUSE_S = 0.005


class Peer(NamedTuple):
    """With whom a socket was connected.

    :ivar process: number in the container of one that has it open.
    :ivar descriptor: its number there.
    :ivar port: its own.
    :ivar address: as getpeername(2) gives it in Python: address, port and, with IPv6, flow and scope.
    :ivar shut_down: which directions, as shutdown(2) has them, and one more; 0 for none.
    """

    process: int
    descriptor: int
    port: int
    address: list[Any]
    shut_down: int

    def __str__(self) -> str:
        where = f"{self.address[0]} port {self.address[1]}"
        return f"the connection to {where} of file descriptor {self.descriptor} of process {self.process}"


def peers_of(fields: Any) -> list[Peer]:
    """What came as lists in a message.

    :raises ValueError: that is none.
    """
    try:
        peers = [Peer(*one) for one in fields]
        for peer in peers:
            numbers = (peer.process, peer.descriptor, peer.port, peer.shut_down, *peer.address[1:])
            if not isinstance(peer.address[0], str) or not all(isinstance(each, int) for each in numbers):
                raise ValueError("an address is none")
        return peers
    except (IndexError, TypeError) as error:
        raise ValueError(f"peers of sockets: {error}") from error


def connect_again(pids: dict[int, int], peers: Iterable[Peer], patience_s: float = 10.0) -> list[str]:
    """Connect those that have no peer yet; returns what could not be, as words.

    The service runs already: a socket that it has closed, or connected, meanwhile needs nothing.

    :param pids: number on the host -> number in the container.
    :param patience_s: so long its network may still be on the way.
    """
    by_number = {number: pid for pid, number in pids.items()}
    left = [peer for peer in peers if peer.process in by_number]
    refused: list[str] = []
    end = time.monotonic() + patience_s
    while left:
        late = time.monotonic() > end
        waiting = []
        for peer in left:
            try:
                _connect(by_number[peer.process], peer)
            except OSError as error:
                if error.errno in NOT_YET and not late:
                    waiting.append(peer)
                elif error.errno not in GONE:
                    refused.append(f"{peer} ({error.strerror})")
        left = waiting
        if left:
            time.sleep(PAUSE_S)
    return refused


def _connect(pid: int, peer: Peer) -> None:
    with socket_of(pid, peer.descriptor) as found:
        is_datagram = found.family in INTERNET and found.type == socket.SOCK_DGRAM
        if not is_datagram or found.getsockname()[1] != peer.port:
            # Another one by now.
            return
        with contextlib.suppress(OSError):
            found.getpeername()
            return
        found.connect(tuple(peer.address))
        if peer.shut_down:
            found.shutdown(peer.shut_down - 1)
