# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's networks: which interface is on which, which addresses were asked for, and in which order
Docker on another host would make the interfaces."""

from __future__ import annotations

import json
import os
import re
from typing import Any, NamedTuple

# Names an interface, from Docker 28 on (libnetwork/netlabel).
IFNAME = "com.docker.network.endpoint.ifname"
FIRST_WITH_IFNAME = 28


def main_network(inspected: dict[str, Any]) -> str:
    """The network that ``HostConfig.NetworkMode`` names; empty if the container is not on it any more."""
    mode = str(inspected["HostConfig"].get("NetworkMode") or "default")
    wanted = "bridge" if mode == "default" else mode
    for name, settings in (inspected["NetworkSettings"].get("Networks") or {}).items():
        identity = str(settings.get("NetworkID") or "")
        if wanted == name or (len(wanted) >= 12 and identity.startswith(wanted)):
            return str(name)
    return ""


def fixed_mac_addresses(inspected: dict[str, Any]) -> dict[str, str]:
    """Network -> the MAC address that the user has asked for on it.

    ``docker inspect`` tells only the main network's; those of the others are in Docker's own file of the
    container.
    """
    found = {}
    file = os.path.join(os.path.dirname(inspected.get("HostnamePath") or ""), "config.v2.json")
    try:
        with open(file, encoding="utf-8") as config:
            networks = (json.load(config).get("NetworkSettings") or {}).get("Networks") or {}
        found = {name: str(settings.get("DesiredMacAddress") or "") for name, settings in networks.items()}
    except (OSError, ValueError, AttributeError):
        # Another daemon's layout: what `inspect` says must do.
        found = {}
    main, address = main_network(inspected), str(inspected["Config"].get("MacAddress") or "")
    if main and address:
        found[main] = address
    return {name: address for name, address in found.items() if address}


def interface_names(inspected: dict[str, Any], by_mac: dict[str, str]) -> dict[str, str]:
    """Network -> name of the interface that is on it.

    :param by_mac: MAC address -> name, as the container sees its interfaces.
    """
    networks = inspected["NetworkSettings"].get("Networks") or {}
    named = {name: by_mac.get(str(settings.get("MacAddress") or "")) for name, settings in networks.items()}
    return {name: interface for name, interface in named.items() if interface}


def interface_order(names: dict[str, str], networks: list[str]) -> list[str]:
    """The networks in the order of their interfaces, eth2 before eth10; those without one come last."""

    def key(network: str) -> tuple[Any, ...]:
        found = re.match(r"(.*?)(\d*)$", names.get(network, "~"))
        return (found.group(1), int(found.group(2) or 0), network) if found else ("~", 0, network)

    return sorted(networks, key=key)


def order_of_docker(networks: dict[str, dict[str, Any]]) -> list[str]:
    """The order in which Docker before 28 makes a container's interfaces (libnetwork, Endpoint.Less).

    :param networks: name -> what ``docker network inspect`` says.
    """

    def key(name: str) -> tuple[bool, int, str]:
        network = networks[name]
        gateways = 0 if network.get("Internal") else 3 if network.get("EnableIPv6") else 1
        return bool(network.get("Internal")), -gateways, name

    return sorted(networks, key=key)


class EndpointPlan(NamedTuple):
    """Endpoint settings by network: for `create`, to connect before the start, and after it."""

    create: dict[str, Any]
    before_start: dict[str, Any]
    after_start: dict[str, Any]


def plan_endpoints(spec: dict[str, Any], docker_version: str, networks: dict[str, Any]) -> EndpointPlan:
    """How a container gets its interfaces in the order that they have on the source.

    Docker makes them in an order of its own. From 28 on it can be told their names. Before, a container that
    has them in another order gets all but the first when it is started: Docker gives each of those the next
    number.

    :param spec: the source's, with ``networks`` and, if there are several, ``interfaces``.
    :param networks: name -> what ``docker network inspect`` says on this host.
    """
    settings = dict(spec["networks"])
    names = spec.get("interfaces") or {}
    order = interface_order(names, list(settings))
    if len(order) < 2:
        return EndpointPlan(settings, {}, {})
    if major_version(docker_version) >= FIRST_WITH_IFNAME:
        for network, name in names.items():
            options = dict(settings[network].get("DriverOpts") or {})
            options.setdefault(IFNAME, name)
            settings[network] = dict(settings[network], DriverOpts=options)
        return EndpointPlan(settings, {}, {})
    first, others = {order[0]: settings[order[0]]}, {name: settings[name] for name in order[1:]}
    if names and order != order_of_docker(networks):
        return EndpointPlan(first, {}, others)
    return EndpointPlan(first, others, {})


def major_version(version: str) -> int:
    """Of Docker's version: ``28.5.2+dfsg`` is 28."""
    found = re.match(r"\d+", version)
    return int(found.group()) if found else 0
