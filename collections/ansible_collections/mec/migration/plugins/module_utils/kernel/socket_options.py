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

from .calls import duplicate_of
from .libc import libc

SOL_SOCKET, SOL_IP, SOL_TCP, SOL_UDP, SOL_IPV6, SOL_UDPLITE, SOL_NETLINK = 1, 0, 6, 17, 41, 136, 270
MCAST_JOIN_GROUP, MCAST_MSFILTER = 42, 48
MCAST_EXCLUDE, MCAST_INCLUDE = 0, 1
# struct sockaddr_storage, and struct group_filter without sources.
STORAGE_BYTES, FILTER_BYTES = 128, 144
# By default a socket of IPv4 has at most 10 (igmp_max_msf), one of IPv6 64 (mld_max_msf).
MAX_SOURCES = 256
# The longest value that is taken (IP options).
VALUE_BYTES = 40
INTERNET = (socket.AF_INET, socket.AF_INET6)
FAMILIES = (*INTERNET, socket.AF_UNIX, socket.AF_NETLINK)

# include/uapi/asm-generic/socket.h: SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING, SO_RXQ_OVFL, SO_NOFCS,
# SO_LOCK_FILTER, SO_SELECT_ERR_QUEUE, SO_BUSY_POLL, SO_MAX_PACING_RATE, SO_ZEROCOPY, SO_TXTIME,
# SO_PREFER_BUSY_POLL, SO_BUSY_POLL_BUDGET, SO_TXREHASH, SO_RCVMARK, SO_RCVPRIORITY
_ANY = [(SOL_SOCKET, option) for option in (29, 35, 37, 40, 43, 44, 45, 46, 47, 60, 61, 69, 70, 74, 75, 82)]
# SO_PASSSEC, SO_PEEK_OFF, SO_PASSPIDFD, SO_PASSRIGHTS, SO_INQ
_UNIX = [(SOL_SOCKET, option) for option in (34, 42, 76, 83, 84)]
# include/uapi/linux/netlink.h: NETLINK_PKTINFO, NETLINK_BROADCAST_ERROR, NETLINK_NO_ENOBUFS,
# NETLINK_LISTEN_ALL_NSID, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK
_NETLINK = [(SOL_NETLINK, option) for option in (3, 4, 5, 8, 10, 11, 12)]
# include/uapi/linux/in.h: IP_TOS, IP_TTL, IP_OPTIONS, IP_RECVOPTS, IP_RETOPTS, IP_PKTINFO, IP_MTU_DISCOVER,
# IP_RECVERR, IP_RECVTTL, IP_RECVTOS, IP_PASSSEC, IP_TRANSPARENT, IP_RECVORIGDSTADDR, IP_MINTTL,
# IP_NODEFRAG, IP_CHECKSUM, IP_BIND_ADDRESS_NO_PORT, IP_RECVFRAGSIZE, IP_RECVERR_RFC4884, IP_MULTICAST_IF,
# IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MULTICAST_ALL, IP_UNICAST_IF, IP_LOCAL_PORT_RANGE
_IP = [
    (SOL_IP, option)
    for option in (
        *(1, 2, 4, 6, 7, 8, 10, 11, 12, 13, 18, 19, 20, 21, 22, 23, 24, 25, 26, 32, 33, 34),
        *(49, 50, 51),
    )
]
# include/uapi/linux/in6.h: IPV6_CHECKSUM (of raw sockets), IPV6_UNICAST_HOPS, IPV6_MULTICAST_IF,
# IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP, IPV6_MTU_DISCOVER, IPV6_RECVERR, IPV6_MULTICAST_ALL,
# IPV6_RECVERR_RFC4884, IPV6_FLOWINFO_SEND, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVHOPOPTS,
# IPV6_RECVRTHDR, IPV6_RECVDSTOPTS, IPV6_RECVPATHMTU, IPV6_DONTFRAG, IPV6_RECVTCLASS, IPV6_TCLASS,
# IPV6_AUTOFLOWLABEL, IPV6_ADDR_PREFERENCES, IPV6_MINHOPCOUNT, IPV6_ORIGDSTADDR, IPV6_TRANSPARENT,
# IPV6_UNICAST_IF, IPV6_RECVFRAGSIZE, and IPV6_FLOWINFO (11)
_IPV6 = [
    (SOL_IPV6, option)
    for option in (
        *(7, 11, 16, 17, 18, 19, 23, 25, 29, 31, 33, 49, 51, 53, 56, 58, 60, 62, 66, 67, 70, 72, 73),
        *(74, 75, 76, 77),
    )
]
# include/uapi/linux/tcp.h: TCP_MAXSEG, TCP_SYNCNT, TCP_LINGER2, TCP_DEFER_ACCEPT, TCP_WINDOW_CLAMP,
# TCP_CONGESTION, TCP_THIN_LINEAR_TIMEOUTS, TCP_THIN_DUPACK, TCP_USER_TIMEOUT, TCP_FASTOPEN,
# TCP_NOTSENT_LOWAT, TCP_SAVE_SYN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE, TCP_INQ,
# TCP_TX_DELAY, TCP_RTO_MAX_MS, TCP_RTO_MIN_US, TCP_DELACK_MAX_US
_TCP = [
    (SOL_TCP, option)
    for option in (2, 7, 8, 9, 10, 13, 16, 17, 18, 23, 25, 27, 30, 33, 34, 36, 37, 44, 45, 46)
]
# include/uapi/linux/udp.h: UDP_CORK, UDP_ENCAP, UDP_NO_CHECK6_TX, UDP_NO_CHECK6_RX, UDP_SEGMENT, UDP_GRO
_UDP = [(SOL_UDP, option) for option in (1, 100, 101, 102, 103, 104)]
# UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV
_UDPLITE = [(SOL_UDPLITE, option) for option in (10, 11)]


class Membership(NamedTuple):
    """A multicast group that a socket has joined.

    :ivar group: its address, packed.
    :ivar interface: by name.
    :ivar excludes: whether *sources* are those that it does not want to hear, or the only ones that it does.
    :ivar sources: addresses, packed.
    """

    group: bytes
    interface: str
    excludes: bool = True
    sources: tuple[bytes, ...] = ()


class Options(NamedTuple):
    """What is not as in a fresh socket of its kind: (level, option, value), and memberships."""

    values: list[tuple[int, int, bytes]]
    memberships: list[Membership]


@contextlib.contextmanager
def socket_of(pid: int, descriptor: int) -> Iterator[socket.socket]:
    """A duplicate of another process's socket.

    :raises OSError: it is gone, or is no socket.
    """
    taken = duplicate_of(pid, descriptor)
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
    if found.family not in FAMILIES or _is_connection(found):
        return Options([], [])
    values = []
    with socket.socket(found.family, found.type, found.proto) as fresh:
        for level, option in _options(found):
            with contextlib.suppress(OSError):
                value = found.getsockopt(level, option, VALUE_BYTES)
                if value != fresh.getsockopt(level, option, VALUE_BYTES):
                    values.append((level, option, value))
    memberships = []
    if found.family in INTERNET and found.type in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        for index, each in groups(pid, found.family):
            member = _membership(found, index, each)
            if member is not None:
                memberships.append(member)
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
    for wanted in options.memberships:
        try:
            _join(found, indices[wanted.interface], wanted)
        except (KeyError, OSError):
            group = socket.inet_ntop(found.family, wanted.group)
            refused.append(f"membership of {group} on {wanted.interface}")
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


def _is_tcp(found: socket.socket) -> bool:
    is_stream = found.family in INTERNET and found.type == socket.SOCK_STREAM
    return is_stream and found.proto in (0, socket.IPPROTO_TCP)


def _options(found: socket.socket) -> list[tuple[int, int]]:
    if found.family not in INTERNET:
        return _UNIX if found.family == socket.AF_UNIX else _NETLINK
    wanted = [*_ANY, *(_IP if found.family == socket.AF_INET else _IP + _IPV6)]
    if _is_tcp(found):
        wanted += _TCP
    if found.type == socket.SOCK_DGRAM and found.proto in (0, socket.IPPROTO_UDP):
        wanted += _UDP
    if found.proto == socket.IPPROTO_UDPLITE:
        wanted += _UDPLITE
    return wanted


def _is_connection(found: socket.socket) -> bool:
    if not _is_tcp(found):
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
    return packed.ljust(STORAGE_BYTES, b"\0")


def _membership(found: socket.socket, index: int, each: Membership) -> Membership | None:
    """Of the group of *each*, as *found* has it; None if it is no member."""
    size_bytes = FILTER_BYTES + MAX_SOURCES * STORAGE_BYTES
    request = ctypes.create_string_buffer(_filter(index, each._replace(sources=())), size_bytes)
    # Room for so many; the answer says how many there are.
    struct.pack_into("=I", request, FILTER_BYTES - 4, MAX_SOURCES)
    size = ctypes.c_uint32(size_bytes)
    if libc.getsockopt(found.fileno(), _level(found), MCAST_MSFILTER, request, ctypes.byref(size)) != 0:
        return None
    mode, count = struct.unpack_from("=II", request, FILTER_BYTES - 8)
    # An address of IPv4 is behind family and port, one of IPv6 behind its flow label, too.
    at = FILTER_BYTES + (4 if found.family == socket.AF_INET else 8)
    sources = [
        request.raw[at + STORAGE_BYTES * number :][: len(each.group)]
        for number in range(min(count, MAX_SOURCES))
    ]
    return each._replace(excludes=mode == MCAST_EXCLUDE, sources=tuple(sorted(sources)))


def _join(found: socket.socket, index: int, wanted: Membership) -> None:
    present = _membership(found, index, wanted)
    if present is None:
        request = struct.pack("@I4x", index) + _storage(wanted.group)
        found.setsockopt(_level(found), MCAST_JOIN_GROUP, request)
        present = _membership(found, index, wanted)
    if present != wanted:
        found.setsockopt(_level(found), MCAST_MSFILTER, _filter(index, wanted))


def _filter(index: int, membership: Membership) -> bytes:
    """struct group_filter (include/uapi/linux/in.h)."""
    mode = MCAST_EXCLUDE if membership.excludes else MCAST_INCLUDE
    head = struct.pack("@I4x", index) + _storage(membership.group)
    sources = b"".join(_storage(one) for one in membership.sources)
    return head + struct.pack("=II", mode, len(membership.sources)) + sources
