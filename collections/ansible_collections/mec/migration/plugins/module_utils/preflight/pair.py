# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a preflight judges: the two hosts, the container, and how it says that something stands against it."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ..base.errors import PreflightError
from ..kernel.own_network import OwnNetwork
from ..service.inventory import Inventory
from ..service.staying_files import StayingFile

Facts = dict[str, Any]

ROLE = "run the role mec.migration.edge_host on it"
MIB = 1 << 20


class Port(NamedTuple):
    """A port that the service takes on its host."""

    protocol: str
    address: str
    port: int


class Container(NamedTuple):
    """What the preflight knows of the service.

    :param moved: destinations of the mounts whose content moves.
    :param bound: in a network of its own, the ports that they take at one of its addresses alone.
    :param connected_datagrams: in a network of its own, how many UDP sockets have a peer
        and one of its addresses.
    :param shared_bytes: how much of the memory is shared; CRIU dumps it once more.
    :param listening: with host networking, the ports that its processes listen on.
    :param inventory: what its processes hold that does not move.
    :param network: what there is in a network of its own.
    :param staying_files: what its processes use of bind mounts whose content does not move.
    :param shareable: with `--ipc shareable`, the names in its /dev/shm.
    :param changed_files: of those that Docker writes for it, what is not as Docker wrote it, in words.
    :param time_namespace: whether it has a time namespace of its own, as Docker makes one since 29.5.
    """

    inspected: dict[str, Any]
    spec: dict[str, Any]
    memory_bytes: int
    moved: tuple[str, ...] = ()
    listening: tuple[Port, ...] = ()
    shared_bytes: int = 0
    inventory: Inventory = Inventory()
    network: OwnNetwork = OwnNetwork()
    time_namespace: bool = False
    bound: tuple[Port, ...] = ()
    staying_files: tuple[StayingFile, ...] = ()
    shareable: tuple[str, ...] = ()
    connected_datagrams: int = 0
    changed_files: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def host_config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.spec["create"]["HostConfig"]
        return config


class Pair(NamedTuple):
    """The two hosts and the container, as each check gets them.

    :ivar lean: neither host keeps the service's memory twice.
    """

    source: Facts
    target: Facts
    container: Container
    lean: bool = False


class Refused(PreflightError):
    """The migration cannot work; ``problems`` are all the reasons that were found."""

    def __init__(self, subject: str, problems: list[str], **details: Any) -> None:
        message = problems[0]
        if len(problems) > 1:
            message = f"{len(problems)} problems stand against migrating {subject}:"
            message += "".join(f"\n- {problem}" for problem in problems)
        super().__init__(message, more={"problems": problems}, **details)
        self.problems = problems


def version_of(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``6.18.44-cloud`` is (6, 18, 44)."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
