# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is in a process's network: interfaces, addresses, routes, firewall tables, from /proc/PID/net.

Of IPv6 only addresses are looked at. Rules of nftables are not shown in /proc.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

# Made by the kernel in every network as soon as the module is loaded.
_FALLBACK = "tunl0 gre0 gretap0 erspan0 ip_vti0 ip6_vti0 sit0 ip6tnl0 ip6gre0 ip6gretap0"
FALLBACK = frozenset(_FALLBACK.split())
# include/uapi/linux/if_addr.h, IFA_F_PERMANENT: given by somebody, and not learned from a router.
PERMANENT = 0x80


class Route(NamedTuple):
    """A route of IPv4.

    :param gateway: empty if the destination is on the link.
    """

    destination: str
    gateway: str
    interface: str


class OwnNetwork(NamedTuple):
    """A network namespace. Loopback is left out everywhere.

    :ivar settings: names of those below /proc/sys/net that are not as in a new one, where a service may set
        them.
    """

    interfaces: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    tables: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


def read_network(pid: int | str) -> OwnNetwork:
    """The network namespace of *pid*; what cannot be read is left out."""
    net = f"/proc/{pid}/net"
    names = [line.partition(":")[0].strip() for line in _lines(f"{net}/dev")[2:]]
    tables = [name for file in ("ip_tables_names", "ip6_tables_names") for name in _lines(f"{net}/{file}")]
    return OwnNetwork(
        tuple(sorted(set(names) - FALLBACK - {"lo"})),
        tuple(sorted({*_addresses(net), *_addresses_6(net)})),
        tuple(_routes(net)),
        tuple(sorted({name.strip() for name in tables})),
    )


def _addresses(net: str) -> Iterator[str]:
    last = ""
    for line in _lines(f"{net}/fib_trie"):
        words = line.split()
        if words[0] == "|--":
            last = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"] and not last.startswith("127."):
            yield last


def _addresses_6(net: str) -> Iterator[str]:
    for line in _lines(f"{net}/if_inet6"):
        address, _index, _prefix, scope, flags, _name = line.split()
        if int(scope, 16) == 0 and int(flags, 16) & PERMANENT:
            yield str(ipaddress.ip_address(bytes.fromhex(address)))


def _routes(net: str) -> Iterator[Route]:
    for line in _lines(f"{net}/route")[1:]:
        words = line.split()
        address, gateway, mask = (_address(words[column]) for column in (1, 2, 7))
        destination = str(ipaddress.ip_network(f"{address}/{mask}", strict=False))
        yield Route(destination, "" if gateway == "0.0.0.0" else gateway, words[0])  # noqa: S104 - compared


def _address(text: str) -> str:
    """In the processor's order, as all numbers in /proc/net/route."""
    return str(ipaddress.ip_address(bytes.fromhex(text)[::-1]))


def _lines(path: str) -> list[str]:
    with contextlib.suppress(OSError), open(path, encoding="ascii", errors="replace") as lines:
        return lines.read().splitlines()
    return []
