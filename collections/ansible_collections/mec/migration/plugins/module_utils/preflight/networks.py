# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of a container: those of the target must be like those of the source."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterator
from typing import Any

from .pair import Facts, Pair, Port, version_of

BUILT_IN = ("bridge", "host", "none", "default")
MTU = "com.docker.network.driver.mtu"
INTERFACE_NAME = "com.docker.network.endpoint.ifname"
# From this version on Docker wires a container's network only when it is restored.
NETWORK_AFTER_RESTORE = (28,)
BIND_TO_EVERY = "Let the service bind to every address (0.0.0.0, ::)"
Network = dict[str, Any]


def create_command(network: Network) -> str:
    """The command that makes the same network."""
    words = ["docker", "network", "create"]
    if network["driver"] != "bridge":
        words += ["--driver", network["driver"]]
    for range_ in network.get("ranges") or []:
        words += ["--subnet", range_["subnet"]]
        if range_.get("gateway"):
            words += ["--gateway", range_["gateway"]]
        if range_.get("ip_range"):
            words += ["--ip-range", range_["ip_range"]]
    for option in ("internal", "ipv6", "attachable"):
        if network.get(option):
            words.append(f"--{option}")
    for option, values in (("--opt", network.get("options")), ("--label", network.get("labels"))):
        for key, value in sorted((values or {}).items()):
            words += [option, f"{key}={value}"]
    return shlex.join([*words, network["name"]])


def _by_name(host: Facts) -> dict[str, Network]:
    return {network["name"]: network for network in host["docker"]["networks"]}


def _subnets(network: Network) -> list[str]:
    return sorted(str(range_["subnet"]) for range_ in network.get("ranges") or [])


def network_problems(pair: Pair) -> Iterator[str]:
    if pair.target["docker"]["error"]:
        return
    here, there = _by_name(pair.source), _by_name(pair.target)
    for name, endpoint in pair.container.spec["networks"].items():
        if name in BUILT_IN:
            continue
        ours = here.get(name) or {"name": name, "driver": "bridge"}
        on = f"container {pair.container.name} is on network {name}, which"
        if name not in there:
            yield (f"{on} {pair.target['hostname']} does not have. Create it there: `{create_command(ours)}`")
            continue
        if name not in here:
            continue
        differences = list(_differences(pair, ours, there[name]))
        if differences:
            yield (
                f"{on} {' and '.join(differences)}. Make it anew on {pair.target['hostname']}: "
                f"`docker network rm {shlex.quote(name)} && {create_command(ours)}`"
            )
        else:
            yield from _fixed_addresses(pair, name, endpoint, there[name])


def _differences(pair: Pair, ours: Network, theirs: Network) -> Iterator[str]:
    source, target = pair.source["hostname"], pair.target["hostname"]
    if ours["driver"] != theirs["driver"]:
        yield f"has driver {ours['driver']} on {source} and {theirs['driver']} on {target}"
    if bool(ours.get("internal")) != bool(theirs.get("internal")):
        isolated, open_ = (source, target) if ours.get("internal") else (target, source)
        yield f"is isolated (internal) on {isolated} and open on {open_}"
    if ours.get("ipv6") and not theirs.get("ipv6"):
        yield f"has IPv6 on {source} and not on {target}"


def _fixed_addresses(pair: Pair, name: str, endpoint: dict[str, Any], theirs: Network) -> Iterator[str]:
    ipam = endpoint.get("IPAMConfig") or {}
    subnets = [ipaddress.ip_network(subnet, strict=False) for subnet in _subnets(theirs)]
    for address in filter(None, (ipam.get("IPv4Address"), ipam.get("IPv6Address"))):
        if not any(ipaddress.ip_address(address) in subnet for subnet in subnets):
            yield (
                f"container {pair.container.name} has the fixed address {address} on network {name}, which "
                f"has the subnets {', '.join(map(str, subnets)) or 'none'} on {pair.target['hostname']}. "
                f"Make it anew there: `docker network rm {shlex.quote(name)} && "
                f"{create_command(_by_name(pair.source)[name])}`"
            )


def own_address_problems(pair: Pair) -> Iterator[str]:
    """CRIU binds a socket to the address that it was bound to, when Docker has not given it any there yet."""
    if _network_comes_late(pair):
        for port in pair.container.bound:
            yield (
                f"{_bound(pair, port)}, and Docker on {pair.target['hostname']} gives it its addresses only "
                f"once it is restored. {BIND_TO_EVERY}"
            )


def own_address_warnings(pair: Pair) -> Iterator[str]:
    """Where Docker gives it an address before the restore, which may be another one."""
    endpoints = pair.container.spec["networks"].values()
    configured = [endpoint.get("IPAMConfig") or {} for endpoint in endpoints]
    fixed = {each.get(key) for each in configured for key in ("IPv4Address", "IPv6Address")}
    for port in pair.container.bound:
        if port.address not in fixed and not _network_comes_late(pair):
            yield (
                f"{_bound(pair, port)}: if Docker on {pair.target['hostname']} gives it another one, the "
                f"restore fails and the service runs on here. {BIND_TO_EVERY}, or give it a fixed address "
                "(`docker run --ip`) on a network that both hosts have"
            )


def late_peer_warnings(pair: Pair) -> Iterator[str]:
    """A UDP socket cannot be connected before its container has an address."""
    count = pair.container.connected_datagrams
    if count and _network_comes_late(pair):
        which = "a connected UDP socket" if count == 1 else f"{count} connected UDP sockets"
        yield (
            f"container {pair.container.name} has {which}, and Docker on {pair.target['hostname']} gives it "
            "its network only once it is restored: what it sends in the milliseconds before that gets an "
            "error (EDESTADDRREQ). Let the service try again after such an error"
        )


def _network_comes_late(pair: Pair) -> bool:
    return version_of(str(pair.target["docker"]["version"])) >= NETWORK_AFTER_RESTORE


def _bound(pair: Pair, port: Port) -> str:
    return (
        f"container {pair.container.name} has {port.protocol} port {port.port} bound to {port.address}, its "
        f"own address on {pair.source['hostname']}"
    )


def network_warnings(pair: Pair) -> Iterator[str]:
    """Differences that a service can live with."""
    here, there = _by_name(pair.source), _by_name(pair.target)
    for name in pair.container.spec["networks"]:
        ours, theirs = here.get(name), there.get(name)
        if ours is None or theirs is None or name in ("host", "none"):
            continue
        mtus = [str((network.get("options") or {}).get(MTU) or "1500") for network in (ours, theirs)]
        if mtus[0] != mtus[1]:
            yield (
                f"network {name} has an MTU of {mtus[0]} on {pair.source['hostname']} and of {mtus[1]} on "
                f"{pair.target['hostname']}"
            )
        if name not in BUILT_IN and _subnets(ours) != _subnets(theirs):
            yield (
                f"network {name} is {', '.join(_subnets(ours)) or 'without a subnet'} on "
                f"{pair.source['hostname']} and {', '.join(_subnets(theirs)) or 'without one'} on "
                f"{pair.target['hostname']}: the service gets another address"
            )


def own_network_warnings(pair: Pair) -> Iterator[str]:
    """What the service has added to its network by itself; on the target it has what Docker gives it."""
    endpoints = pair.container.inspected["NetworkSettings"].get("Networks") or {}
    drivers = {name: network["driver"] for name, network in _by_name(pair.source).items()}
    # On an overlay network Docker itself adds an interface that it shows nowhere.
    if any(drivers.get(name) == "overlay" for name in endpoints):
        return
    added = list(_added(pair, endpoints))
    if added:
        yield (
            f"container {pair.container.name} has changed its network by itself: {', '.join(added)}. On the "
            "target it has what Docker gives it. Let the service set that up again there, or a hook of the "
            "migration"
        )


def _added(pair: Pair, endpoints: dict[str, Any]) -> Iterator[str]:
    network = pair.container.network
    given = {
        str(endpoint[key])
        for endpoint in endpoints.values()
        for key in ("IPAddress", "GlobalIPv6Address", "Gateway")
        if endpoint.get(key)
    }
    options = [endpoint.get("DriverOpts") or {} for endpoint in endpoints.values()]
    names = {each[INTERFACE_NAME] for each in options if INTERFACE_NAME in each}
    extra = [name for name in network.interfaces if name not in names and not re.fullmatch(r"eth\d+", name)]
    yield from (f"interface {name}" for name in extra)
    yield from (f"address {address}" for address in network.addresses if address not in given)
    for route in network.routes:
        subnet = ipaddress.ip_network(route.destination)
        on_link = not route.gateway and any(ipaddress.ip_address(each) in subnet for each in given)
        if route.interface not in extra and not on_link and route.gateway not in given:
            by = f"via {route.gateway}" if route.gateway else f"on {route.interface}"
            yield f"route {route.destination} {by}"
    # Docker has rules for its name server in networks that a user made.
    usual = {"nat"} if set(endpoints) - set(BUILT_IN) else set()
    tables = [table for table in network.tables if table not in usual]
    if tables:
        yield f"firewall rules (iptables, {' and '.join(tables)})"
    yield from (f"setting {name}" for name in network.settings)
