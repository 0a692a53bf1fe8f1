# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets of datagrams of other processes are connected again, reached by pidfd_getfd(2)."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from .interfaces import interface_names
from .libc import call
from .socket_options import INTERNET, socket_of

# Docker may wire the container's network only after the restore.
NOT_YET = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN)
# The process, the descriptor or the socket.
GONE = (errno.EBADF, errno.ESRCH, errno.ENOTSOCK)
PAUSE_S = 0.005
# In /proc/PID/net/if_inet6: the scope of a link-local address, and the flag of one that is being looked at.
LINK, IFA_F_TENTATIVE = 0x20, 0x40


class Peer(NamedTuple):
    """With whom a socket was connected.

    :ivar process: number in the container of one that has it open.
    :ivar descriptor: its number there.
    :ivar port: its own.
    :ivar address: as getpeername(2) gives it in Python: address, port and, with IPv6, flow and scope.
    :ivar shut_down: which directions, as shutdown(2) has them, and one more; 0 for none.
    :ivar interface: of a link-local address, the name of the interface that leads to it: the scope in
        *address* is its number on the source, and has another number here.
    """

    process: int
    descriptor: int
    port: int
    address: list[Any]
    shut_down: int
    interface: str = ""

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
            texts = (peer.address[0], peer.interface)
            if not all(isinstance(each, str) for each in texts) or not all(
                isinstance(each, int) for each in numbers
            ):
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
                _connect(by_number[peer.process], peer, is_last=late)
            except OSError as error:
                if error.errno in NOT_YET and not late:
                    waiting.append(peer)
                elif error.errno not in GONE:
                    refused.append(f"{peer} ({error.strerror})")
        left = waiting
        if left:
            time.sleep(PAUSE_S)
    return refused


def _connect(pid: int, peer: Peer, *, is_last: bool) -> None:
    """Connect it, unless the service has done so, or has closed it.

    :raises OSError: it cannot be connected, or not yet as it should be.
    """
    with socket_of(pid, peer.descriptor) as found:
        is_datagram = found.family in INTERNET and found.type == socket.SOCK_DGRAM
        if not is_datagram or found.getsockname()[1] != peer.port:
            # Another one by now.
            return
        address = _address(pid, peer)
        present = _peer_of(found)
        if present is not None and present[:2] != address[:2]:
            return
        if present is None:
            found.connect(address)
            if peer.shut_down:
                found.shutdown(peer.shut_down - 1)
        if not peer.interface or _scope(found):
            return
        # The kernel took another address of the interface, as it looks for a second or two whether the
        # link-local one is unique. A socket that has a source keeps it until it has no peer.
        if _has_link_local(pid, peer.interface):
            no_peer = socket.AF_UNSPEC.to_bytes(16, sys.byteorder)
            call("connect", found.fileno(), no_peer, len(no_peer))
            found.connect(address)
        elif not is_last:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))


def _scope(found: socket.socket) -> int:
    """The interface that its own address belongs to, if that is a link-local one."""
    return int(found.getsockname()[3])


def _has_link_local(pid: int, interface: str) -> bool:
    """Whether it has a link-local address that is in use already."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/net/if_inet6", encoding="ascii") as lines:
        for line in lines:
            # address, index, length of the prefix, scope, flags, name
            words = line.split()
            scope, flags = int(words[3], 16), int(words[4], 16)
            if words[5] == interface and scope == LINK and not flags & IFA_F_TENTATIVE:
                return True
    return False


def _peer_of(found: socket.socket) -> tuple[Any, ...] | None:
    with contextlib.suppress(OSError):
        return tuple(found.getpeername())
    return None


def _address(pid: int, peer: Peer) -> tuple[Any, ...]:
    """The address of *peer* with the number that its interface has in the network of *pid*."""
    if not peer.interface:
        return tuple(peer.address)
    for index, name in interface_names(pid).items():
        if name == peer.interface:
            return (*peer.address[:3], index)
    raise OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))
