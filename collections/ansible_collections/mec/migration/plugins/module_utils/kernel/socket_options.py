# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of another process's sockets that CRIU 4.2 does not bring back: read, and set again.

The sockets are reached by pidfd_getfd(2). What CRIU keeps is in criu/sk-inet.c and criu/sockets.c; what it
does not is here. Multicast memberships cannot be listed for a socket, but it can be asked for each group
that its network has joined (MCAST_MSFILTER, ip(7)).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from .ptrace import SYS_PIDFD_GETFD, SYS_PIDFD_OPEN, syscall

SOL_SOCKET, SOL_IP, SOL_TCP, SOL_UDP, SOL_IPV6 = 1, 0, 6, 17, 41
MCAST_JOIN_GROUP, MCAST_MSFILTER = 42, 48
# The longest value that is taken (the name of a congestion control).
VALUE_BYTES = 16

# include/uapi/asm-generic/socket.h: SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING, SO_RXQ_OVFL, SO_BUSY_POLL,
# SO_MAX_PACING_RATE, SO_ZEROCOPY
_ANY = [(SOL_SOCKET, option) for option in (29, 35, 37, 40, 46, 47, 60)]
# include/uapi/linux/in.h: IP_RECVOPTS, IP_PKTINFO, IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTTL, IP_RECVTOS,
# IP_RECVORIGDSTADDR, IP_MINTTL, IP_BIND_ADDRESS_NO_PORT, IP_RECVFRAGSIZE, IP_MULTICAST_TTL,
# IP_MULTICAST_LOOP, IP_MULTICAST_ALL
_IP = [(SOL_IP, option) for option in (6, 8, 10, 11, 12, 13, 20, 21, 24, 25, 33, 34, 49)]
# include/uapi/linux/in6.h: IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP, IPV6_MTU_DISCOVER,
# IPV6_RECVERR, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_DONTFRAG, IPV6_RECVTCLASS, IPV6_TCLASS,
# IPV6_MINHOPCOUNT
_IPV6 = [(SOL_IPV6, option) for option in (16, 18, 19, 23, 25, 49, 51, 62, 66, 67, 73)]
# include/uapi/linux/tcp.h: TCP_MAXSEG, TCP_SYNCNT, TCP_LINGER2, TCP_DEFER_ACCEPT, TCP_CONGESTION,
# TCP_USER_TIMEOUT, TCP_FASTOPEN, TCP_NOTSENT_LOWAT, TCP_SAVE_SYN, TCP_FASTOPEN_CONNECT
_TCP = [(SOL_TCP, option) for option in (2, 7, 8, 9, 13, 18, 23, 25, 27, 30)]
# include/uapi/linux/udp.h: UDP_NO_CHECK6_TX, UDP_NO_CHECK6_RX, UDP_SEGMENT, UDP_GRO
_UDP = [(SOL_UDP, option) for option in (101, 102, 103, 104)]

_libc = ctypes.CDLL(None, use_errno=True)


class Membership(NamedTuple):
    """A multicast group that a socket has joined: the address packed, the interface's name."""

    group: bytes
    interface: str


class Options(NamedTuple):
    """What is not as in a fresh socket of its kind: (level, option, value), and memberships."""

    values: list[tuple[int, int, bytes]]
    memberships: list[Membership]


@contextlib.contextmanager
def socket_of(pid: int, descriptor: int) -> Iterator[socket.socket]:
    """A duplicate of another process's socket.

    :raises OSError: it is gone, or is no socket.
    """
    process = syscall(SYS_PIDFD_OPEN, pid, 0)
    try:
        taken = syscall(SYS_PIDFD_GETFD, process, descriptor, 0)
    finally:
        os.close(process)
    try:
        with socket.socket(fileno=taken) as found:
            taken = -1
            yield found
    finally:
        if taken >= 0:
            os.close(taken)


def read_options(found: socket.socket, pid: int) -> Options:
    """What differs from a fresh socket. A TCP connection has nothing: it does not move.

    :param pid: a process in the socket's network namespace.
    """
    if found.family not in (socket.AF_INET, socket.AF_INET6) or _is_connection(found):
        return Options([], [])
    values = []
    with socket.socket(found.family, found.type, found.proto) as fresh:
        for level, option in _options(found):
            with contextlib.suppress(OSError):
                value = found.getsockopt(level, option, VALUE_BYTES)
                if value != fresh.getsockopt(level, option, VALUE_BYTES):
                    values.append((level, option, value))
    memberships = []
    if found.type in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        for index, each in groups(pid, found.family):
            if _is_member(found, index, each.group):
                memberships.append(each)
    return Options(values, memberships)


def set_options(found: socket.socket, pid: int, options: Options) -> list[str]:
    """Set what differs; returns what could not be set, as words.

    :param pid: a process in the socket's network namespace.
    """
    refused = []
    for level, option, value in options.values:
        try:
            if found.getsockopt(level, option, VALUE_BYTES) != value:
                found.setsockopt(level, option, value)
        except OSError as error:
            refused.append(f"option {option} of level {level} ({error.strerror})")
    indices = interfaces(pid) if options.memberships else {}
    for group, interface in options.memberships:
        try:
            index = indices[interface]
            if not _is_member(found, index, group):
                request = struct.pack("@I4x", index) + _storage(group)
                found.setsockopt(_level(found), MCAST_JOIN_GROUP, request)
        except (KeyError, OSError):
            refused.append(f"membership of {socket.inet_ntop(found.family, group)} on {interface}")
    return refused


def groups(pid: int, family: int) -> list[tuple[int, Membership]]:
    """The multicast groups that anybody in a process's network has joined, with the interface's index."""
    found = []
    name = "igmp" if family == socket.AF_INET else "igmp6"
    index, device = 0, ""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/net/{name}", encoding="ascii") as lines:
        for line in lines:
            words = line.split()
            if name == "igmp6":
                found.append((int(words[0]), Membership(bytes.fromhex(words[2]), words[1])))
            elif words[0].isdigit() and not line.startswith("\t"):
                index, device = int(words[0]), words[1].rstrip(":")
            elif line.startswith("\t"):
                # In the processor's order.
                found.append((index, Membership(struct.pack("=I", int(words[0], 16)), device)))
    return found


def interfaces(pid: int) -> dict[str, int]:
    """Name -> index, of a process's network interfaces that take part in multicast."""
    both = groups(pid, socket.AF_INET) + groups(pid, socket.AF_INET6)
    return {membership.interface: index for index, membership in both}


def _options(found: socket.socket) -> list[tuple[int, int]]:
    wanted = [*_ANY, *(_IP if found.family == socket.AF_INET else _IP + _IPV6)]
    if found.type == socket.SOCK_STREAM and found.proto in (0, socket.IPPROTO_TCP):
        wanted += _TCP
    if found.type == socket.SOCK_DGRAM and found.proto in (0, socket.IPPROTO_UDP):
        wanted += _UDP
    return wanted


def _is_connection(found: socket.socket) -> bool:
    if found.type != socket.SOCK_STREAM:
        return False
    try:
        found.getpeername()
    except OSError:
        return False
    return True


def _level(found: socket.socket) -> int:
    return SOL_IP if found.family == socket.AF_INET else SOL_IPV6


def _storage(group: bytes) -> bytes:
    """struct sockaddr_storage of an address."""
    if len(group) == 4:
        packed = struct.pack("=HH4s", socket.AF_INET, 0, group)
    else:
        packed = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, group, 0)
    return packed.ljust(128, b"\0")


def _is_member(found: socket.socket, index: int, group: bytes) -> bool:
    # struct group_filter: interface, group, mode, number of sources, and room for none.
    request = ctypes.create_string_buffer(
        struct.pack("@I4x", index) + _storage(group) + struct.pack("=II", 0, 0)
    )
    size = ctypes.c_uint32(len(request) - 1)
    return bool(
        _libc.getsockopt(found.fileno(), _level(found), MCAST_MSFILTER, request, ctypes.byref(size)) == 0
    )
