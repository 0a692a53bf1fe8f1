# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight on the source: looks at the container, judges it against both hosts, tries CRIU out."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import time
from collections.abc import Callable
from typing import Any

from ..base.clocks import ClockDifference, difference
from ..base.errors import MigrationError, PreflightError
from ..criu.rpc import canary
from ..docker.container_spec import compared_paths, specification
from ..docker.written_files import changed_files
from ..image.layers import image_info
from ..image.opened import open_store
from ..kernel.mountinfo import mounts
from ..kernel.network_settings import changed_settings
from ..kernel.own_network import OwnNetwork, read_network
from ..kernel.sockets import (
    bindable_addresses,
    connected_datagrams,
    is_own_address,
    listeners,
    open_sockets,
)
from ..memory.sent import FULL, LEAN
from ..memory.shared_memory import shared_bytes
from ..service.inventory import take_inventory
from ..service.service import Service, inspect
from .checks import problems, tracker_plan, warnings
from .host_facts import collect
from .logs import log_warnings
from .pair import Container, Facts, Pair, Port, Refused
from .room import choose_memory
from .storage import shared_storage

# Dump and restore of a process that holds next to nothing; how fast CRIU walks through memory that it does
# not dump, and how fast it reads pages back.
FIXED_DOWNTIME_MS = 130
WALK_BYTES_PER_S = 5e9
RESTORE_BYTES_PER_S = 1e9


def look(client: Any, name: str, move_binds: list[str]) -> Container:
    """The container as the preflight needs it, even if it cannot be moved.

    :raises PreflightError: there is none of that name.
    """
    inspected = inspect(client, name)
    try:
        service = Service(client, name, move_binds)
    except MigrationError:
        # Why it cannot be moved comes out together with everything else.
        return Container(inspected, specification(inspected), memory_bytes=0)
    on_host_network = inspected["HostConfig"]["NetworkMode"] == "host"
    held = {inode for pid in service.processes() for inode in open_sockets(pid)}
    return Container(
        inspected=inspected,
        spec=service.spec,
        memory_bytes=service.memory_bytes,
        moved=tuple(mount["destination"] for mount in service.moved_mounts()),
        listening=_listening(held) if on_host_network else (),
        shared_bytes=shared_bytes(service.pids()),
        inventory=take_inventory(service),
        network=OwnNetwork() if on_host_network else _own_network(service),
        time_namespace=service.runc.time_namespace,
        bound=() if on_host_network else _bound(held, service.runc.pid),
        connected_datagrams=0 if on_host_network else _connected(held, service.runc.pid),
        staying_files=tuple(service.staying_files()),
        changed_files=tuple(changed_files(inspected)),
        shareable=_shareable(service) if inspected["HostConfig"].get("IpcMode") == "shareable" else (),
    )


def _shareable(service: Service) -> tuple[str, ...]:
    with contextlib.suppress(OSError):
        return tuple(sorted(os.listdir(f"/proc/{service.runc.pid}/root/dev/shm")))
    return ()


def _own_network(service: Service) -> OwnNetwork:
    runc = service.runc
    found = read_network(runc.pid)
    with contextlib.suppress(OSError):
        # Docker mounts it read-only where the container is not privileged.
        if not any(mount.point == "/proc/sys" for mount in mounts(runc.pid)):
            return found._replace(settings=tuple(changed_settings(runc.pid, runc.config.get("sysctl") or {})))
    return found


def _listening(held: set[int], network: int | str = "self") -> tuple[Port, ...]:
    """The ports of these sockets that listen, in the network of a process or in the host's."""
    return tuple(sorted({Port(*socket[:3]) for socket in listeners(network) if socket.inode in held}))


def _connected(held: set[int], network: int) -> int:
    """How many of these sockets are of UDP and have a peer, by an address that only this container has."""
    return len(held.intersection(connected_datagrams(network, only_own=True)))


def _bound(held: set[int], network: int) -> tuple[Port, ...]:
    """The ports of these sockets that listen at an address which only this container has."""
    every = _listening(held, network)
    # What is bound to another address than that (IP_FREEBIND) needs none of it to be there.
    present = bindable_addresses(network)
    return tuple(
        port
        for port in every
        if is_own_address(ipaddress.ip_address(port.address)) and _plain(port.address) in present
    )


def _plain(address: str) -> str:
    """IPv4 in an IPv6 socket is what it is."""
    return str(getattr(ipaddress.ip_address(address), "ipv4_mapped", None) or address)


class Preflight:
    """One preflight; :meth:`run` gives what to expect, or every reason not to try.

    :param target: gives the target's facts, or None to judge the source and the container alone. It is asked
        once this host has been looked at, so that the target can look at itself meanwhile.
    """

    def __init__(self, client: Any, target: Callable[[], Facts | None], params: dict[str, Any]) -> None:
        self._client = client
        self._ask_target = target
        self._target: Facts | None = None
        self._params = params

    def run(self) -> dict[str, Any]:
        """Returns ``plan`` and ``warnings``.

        :raises Refused: with all problems.
        """
        params = self._params
        try:
            container = look(self._client, params["container"], params["move_binds"])
        except PreflightError as error:
            name = f"container {params['container']}"
            raise Refused(name, [error.message], container_state=error.container_state) from error
        source = collect(params["images_dir"], compared_paths(container.spec))
        found: list[str] = []
        canary_ms, log_tail = 0.0, ""
        tracker: dict[str, str] = {}
        try:
            tracker = tracker_plan(source, params["tracker"])
        except PreflightError as error:
            found.append(error.message)
        if params["canary"] and source["criu"]["version"]:
            try:
                # CRIU may be allowed less with other users' processes than with root's.
                users = () if container.inventory.refused else container.inventory.users[:1]
                canary_ms = sum(canary(params["images_dir"], user) for user in (0, *users))
            except PreflightError as error:
                found.append(error.message)
                log_tail = error.log_tail
        self._target = self._ask_target()
        memory = {"name": FULL, "why": ""}
        try:
            memory = choose_memory(
                source, self._target, container, params["memory"], lazy=self._filled_later()
            )
        except PreflightError as error:
            found.append(error.message)
        lean = memory["name"] == LEAN
        found = problems(source, self._target, container, params["ignore"], lean=lean) + found
        if found:
            to = f" to {self._target['hostname']}" if self._target else ""
            subject = f"container {container.name} from {source['hostname']}{to}"
            state = str(container.inspected["State"].get("Status", "unknown"))
            raise Refused(subject, found, container_state=state, log_tail=log_tail)
        plan = dict(
            self._plan(source, container), tracker=tracker, memory=memory, canary_ms=round(canary_ms, 1)
        )
        clock = self._clock()
        told = warnings(source, self._target, container, clock)
        told += log_warnings(source, container, params["log_mib"])
        plan["clock"] = clock._asdict() if clock else {}
        return {"plan": plan, "warnings": told}

    def _clock(self) -> ClockDifference | None:
        """By how much the target's clock differs: measured by the connection, else from when it was asked."""
        measured: ClockDifference | None = self._params.get("clock")
        if measured is None and self._target is not None:
            return difference(self._params.get("target_asked_s"), self._target.get("clock_s"), time.time())
        return measured

    def _filled_later(self) -> bool:
        """Whether the service runs on while its memory is filled."""
        possible = self._target is None or self._target["criu"]["features"].get("lazy_pages", False)
        return bool(self._params["lazy_restore"] and possible)

    def _plan(self, source: Facts, container: Container) -> dict[str, Any]:
        pair = Pair(source, self._target, container) if self._target else None
        image = image_info(open_store(self._client), container.spec["image_id"])
        expected = estimate(
            container.memory_bytes,
            self._params["bandwidth_mbit"],
            self._params["downtime_ms"],
            lazy=self._filled_later(),
        )
        return {
            "memory_bytes": container.memory_bytes,
            "image_id": container.spec["image_id"],
            "image_bytes": image["size_bytes"],
            "layers": len(image["layers"]),
            "moved_mounts": [
                mount["destination"]
                for mount in container.spec["mounts"]
                if mount["destination"] in container.moved
                and not (pair is not None and shared_storage(pair, mount))
            ],
            "bind_sources": [
                mount["source"]
                for mount in container.spec["mounts"]
                if mount["type"] == "bind" and mount["destination"] not in container.moved
            ],
            **expected,
        }


def estimate(
    memory_bytes: int, bandwidth_mbit: float, downtime_ms: float, *, lazy: bool = False
) -> dict[str, float]:
    """What to expect of incompressible memory over a link of *bandwidth_mbit*.

    :param downtime_ms: what the residual pages may take, by the stop rule.
    :param lazy: the service runs on while its memory is filled from the images.
    """
    first_round_s = memory_bytes * 8 / (bandwidth_mbit * 1e6)
    walk_ms = memory_bytes / WALK_BYTES_PER_S * 1000
    restore_ms = 0.0 if lazy else memory_bytes / RESTORE_BYTES_PER_S * 1000
    return {
        "first_round_s": round(first_round_s, 2),
        "downtime_ms": round(FIXED_DOWNTIME_MS + downtime_ms + walk_ms + restore_ms),
    }
