# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of a container: what it holds that does not move, and what should be known of it."""

from __future__ import annotations

import time
from typing import NamedTuple

from ..docker.reconnected_mounts import external_mounts
from ..kernel.keyrings import session_keys
from .holdings import Holdings, read_holdings
from .kernel_needs import Need, kernel_needs
from .kinds import REFUSED, SAID, Kind
from .kinds_container import KINDS as CONTAINER
from .kinds_files import KINDS as FILES
from .kinds_limits import KINDS as LIMITS
from .kinds_lost import KINDS as LOST
from .kinds_mounts import KINDS as MOUNTS
from .kinds_processes import KINDS as PROCESSES
from .kinds_sockets import KINDS as SOCKETS
from .kinds_watchers import KINDS as WATCHERS
from .service import Service
from .waiting_clients import waiting_clients

KINDS: tuple[Kind, ...] = (
    *PROCESSES,
    *LIMITS,
    *FILES,
    *SOCKETS,
    *WATCHERS,
    *MOUNTS,
    *LOST,
    *CONTAINER,
)
# Gone a moment later in most services: worth another look.
TRANSIENT = (
    "unix-backlog",
    "netlink-backlog",
    "unread-with-sender",
    "unsent-datagram",
    "shared-memory-space",
    "strange-epoll",
    "datagram-on-its-way",
    "client-gone",
    "unix-on-its-way",
    "unix-outside",
    "left-in-flight",
    "sent-to-earlier",
    "unseen-in-flight",
    "on-hosts-mount",
)
LOOKS, PAUSE_S = 3, 0.2


class Inventory(NamedTuple):
    """Sentences, each with process, thing, reason and remedy.

    :param users: whose processes there are besides root's.
    :param real_time: whether it has threads of real-time priority.
    :param needs: how much it takes of what the target's kernel limits.
    """

    refused: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    users: tuple[int, ...] = ()
    real_time: bool = False
    needs: tuple[Need, ...] = ()


def take_inventory(service: Service) -> Inventory:
    """Look at all processes of a running service; what may be gone in a moment is looked at again."""
    for look in range(LOOKS):
        holdings = _holdings(service)
        if look == LOOKS - 1 or not any(_found(name, holdings) for name in TRANSIENT):
            break
        time.sleep(PAUSE_S)
    return judge(service.name, holdings)


def causes_now(service: Service) -> str:
    """After a dump that failed: what is there now that cannot be dumped, as sentences; empty if nothing is.

    It may have appeared since the preflight. Why the dump failed is known already, so that nothing that goes
    wrong here counts.
    """
    try:
        found = judge(service.name, _holdings(service))
    except Exception:
        return ""
    # The tracker of written pages gives processes a userfaultfd, and they may still have it.
    sentences = [sentence for sentence in found.refused if "(userfaultfd)" not in sentence]
    return "".join(f" Since the preflight: {sentence}." for sentence in sentences[:3])


def _holdings(service: Service) -> Holdings:
    runc = service.runc
    found = read_holdings(runc.pid, service.cgroup.pids(), service.staying_mounts(), external_mounts(runc))
    labels = service.inspected["Config"].get("Labels") or {}
    return found._replace(
        session_keys=session_keys(service.id),
        waiting_clients=tuple(waiting_clients(service.name, service.id, labels)),
    )


def judge(container: str, holdings: Holdings) -> Inventory:
    """What the table says of *holdings*."""
    said: dict[str, list[str]] = {REFUSED: [], SAID: []}
    for kind in KINDS:
        said.get(kind.outcome, []).extend(kind.say(container, holdings))
    users = {process.uid for process in holdings.processes.values()} - {0}
    return Inventory(
        tuple(said[REFUSED]),
        tuple(said[SAID]),
        tuple(sorted(users)),
        _found("real-time", holdings),
        kernel_needs(container, holdings),
    )


def _found(name: str, holdings: Holdings) -> bool:
    kind = next(kind for kind in KINDS if kind.name == name)
    return kind.find is not None and any(True for _found in kind.find(holdings))
