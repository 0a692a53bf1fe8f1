# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets of a network namespace, from /proc/net: which listen, which have data left, who holds them."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from .namespaces import asked_in
from .processes import descriptors

# include/net/tcp_states.h; an unconnected UDP socket is in state "close".
_LISTENING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}

_CONNECTED = "01"
# How an IPv4 address in an IPv6 socket begins there.
_MAPPED = "0000000000000000FFFF0000"

# Those that send datagrams.
DATAGRAMS = ("udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6")


class Listener(NamedTuple):
    """A socket that takes what comes from the network."""

    protocol: str
    address: str
    port: int
    inode: int


def is_own_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether a network can have it for its own; every network has loopback, broadcast and the like."""
    # IPv4 in an IPv6 socket is what it is.
    plain = getattr(address, "ipv4_mapped", None) or address
    broadcast = str(plain) == "255.255.255.255"
    return not (plain.is_unspecified or plain.is_loopback or plain.is_multicast or broadcast)


def listeners(pid: int | str = "self") -> list[Listener]:
    """The listening sockets in the network namespace of *pid*."""
    found = []
    for name, state in _LISTENING.items():
        try:
            with open(f"/proc/{pid}/net/{name}", encoding="ascii") as table:
                lines = table.readlines()[1:]
        except OSError:
            # No IPv6 on this host, or the process is gone.
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == state:
                address, _sep, port = fields[1].partition(":")
                found.append(Listener(name[:3], _address(address), int(port, 16), int(fields[9])))
    return sorted(set(found))


def _address(text: str) -> str:
    """/proc/net/tcp writes addresses as 32-bit words in the processor's byte order."""
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def holders(inodes: Iterable[int]) -> dict[int, int]:
    """Inode of a socket -> a process that has it open."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        for _number, link in descriptors(int(name)):
            if link in wanted:
                found.setdefault(wanted[link], int(name))
    return found


def open_sockets(pid: int) -> list[int]:
    """Inodes of the sockets that *pid* has open."""
    return [int(link[8:-1]) for _number, link in descriptors(pid) if link.startswith("socket:[")]


def command(pid: int) -> str:
    """The short name of a process, empty if it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
            return comm.read().strip()
    except OSError:
        return ""


def addresses(pid: int | str = "self", kinds: Container[str] = ("LOCAL",)) -> list[str]:
    """The addresses of the network of *pid*, loopback included.

    :param kinds: of IPv4, as the kernel's table of routes calls them.
    """
    found = set()
    with contextlib.suppress(OSError):
        last = ""
        with open(f"/proc/{pid}/net/fib_trie", encoding="ascii") as trie:
            for line in trie:
                words = line.split()
                if words[0] == "|--":
                    last = words[1]
                elif words[0] == "/32" and words[2] in kinds:
                    found.add(last)
    with contextlib.suppress(OSError), open(f"/proc/{pid}/net/if_inet6", encoding="ascii") as table:
        for line in table:
            found.add(str(ipaddress.ip_address(bytes.fromhex(line.split()[0]))))
    return sorted(found)


def bindable_addresses(pid: int) -> set[str]:
    """The addresses that a socket can be bound to in the network of *pid*, those of broadcasts included."""
    return set(addresses(pid, ("LOCAL", "BROADCAST")))


def bound_elsewhere(pid: int) -> dict[int, Listener]:
    """Inode -> a socket that takes what comes for an address which its network does not have (IP_FREEBIND).

    Where `ip_nonlocal_bind` is set every socket may, and none is told.
    """
    every = [each for each in listeners(pid) if is_own_address(ipaddress.ip_address(each.address))]
    if not every:
        return {}
    present = bindable_addresses(pid)
    free = {version: _binds_anywhere(pid, version) for version in ("ipv4", "ipv6")}
    found = {}
    for each in every:
        address = ipaddress.ip_address(each.address)
        plain = getattr(address, "ipv4_mapped", None) or address
        if str(plain) not in present and not free[f"ipv{plain.version}"]:
            found[each.inode] = each
    return found


def _binds_anywhere(pid: int, version: str) -> bool:
    def read() -> bool:
        # Of the network of the thread that reads it.
        with open(f"/proc/sys/net/{version}/ip_nonlocal_bind", encoding="ascii") as value:
            return value.read().strip() != "0"

    with contextlib.suppress(OSError):
        return asked_in(pid, "net", read)
    return False


def _rows(pid: int, table: str) -> Iterator[list[str]]:
    """The words of each line of a table below /proc/PID/net; none if it is not there."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/net/{table}", encoding="ascii") as lines:
        # The heading.
        next(lines, "")
        for line in lines:
            yield line.split()


def unread_netlink(pid: int) -> Iterator[int]:
    """Inodes of the netlink sockets of a process's network that have data which nobody has read."""
    # sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
    return (int(words[9]) for words in _rows(pid, "netlink") if int(words[4]))


def inner_connections(pid: int) -> dict[int, int]:
    """Inode of a TCP socket -> a port, where both ends of the connection are in the network of *pid*.

    The port is that of the end which a listener has, so that both sockets have the same one.
    """
    ends = {}
    for table in ("tcp", "tcp6"):
        for words in _rows(pid, table):
            if words[3] == _CONNECTED:
                here, there = (_without_prefix(end) for end in words[1:3])
                ends[here, there] = int(words[9])
    inner = {(here, there): inode for (here, there), inode in ends.items() if (there, here) in ends}
    if not inner:
        return {}
    listening = {each.port for each in listeners(pid)}
    found = {}
    for pair, inode in inner.items():
        ports = sorted(int(end.partition(":")[2], 16) for end in pair)
        found[inode] = next((port for port in ports if port in listening), ports[0])
    return found


def _without_prefix(end: str) -> str:
    """Of an IPv4 address in an IPv6 socket what the other end has."""
    return end[len(_MAPPED) :] if end.startswith(_MAPPED) else end


def connected_datagrams(pid: int, *, only_own: bool = False) -> Iterator[int]:
    """Inodes of the UDP sockets of a process's network that have a peer.

    :param only_own: leave out those whose own address other networks have, too, see :func:`is_own_address`.
    """
    for protocol in ("udp", "udp6", "udplite", "udplite6"):
        for words in _rows(pid, protocol):
            if words[3] == _CONNECTED:
                address = _address(words[1].partition(":")[0])
                if not only_own or is_own_address(ipaddress.ip_address(address)):
                    yield int(words[9])


def connected_raw6(pid: int) -> Iterator[int]:
    """Inodes of the raw IPv6 sockets of a process's network that have a peer."""
    return (int(words[9]) for words in _rows(pid, "raw6") if words[2].strip("0:"))


def unsent_datagrams(pid: int) -> Iterator[int]:
    """Inodes of the sockets of a process's network that hold back what they were given to send."""
    for protocol in DATAGRAMS:
        for words in _rows(pid, protocol):
            # sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
            if int(words[4].partition(":")[0], 16):
                yield int(words[9])


def unread_datagrams(pid: int) -> dict[int, str]:
    """Inode -> what it is called, of the sockets of a network with datagrams that nobody has read."""
    found = {}
    for protocol in DATAGRAMS:
        for words in _rows(pid, protocol):
            if int(words[4].partition(":")[2], 16):
                number = int(words[1].partition(":")[2], 16)
                kind = protocol.rstrip("6")
                names = {"raw": f"a raw socket of protocol {number}", "icmp": "a ping socket"}
                found[int(words[9])] = names.get(kind, f"UDP port {number}")
    return found
