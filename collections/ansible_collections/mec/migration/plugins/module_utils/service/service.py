# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service on its source host: the container, its processes, and the trees of files that move with it."""

from __future__ import annotations

import os
from typing import Any

from ..base.errors import PreflightError
from ..docker.container_spec import check_movable, specification
from ..docker.runc_state import RuncState, runc_state
from ..files.scan import ROOTFS_TREE, Tree
from ..kernel.cgroup import Cgroup
from ..kernel.processes import container_pids, memory_bytes
from ..memory.shared_memory import shared_bytes


class Service:
    """A running container, seen by Docker, by runc and by the kernel.

    :param client: a ``docker.APIClient``.
    :param move_binds: whether bind mounts move, too (their destinations, or all with True).
    :raises PreflightError: there is no such container, or it cannot be moved.
    """

    def __init__(self, client: Any, name: str, move_binds: bool | list[str] = False) -> None:
        self.client = client
        self.inspected = inspect(client, name)
        check_movable(self.inspected)
        self.name = name
        self.id: str = self.inspected["Id"]
        self.spec = specification(self.inspected)
        self.runc: RuncState = runc_state(self.id)
        self.cgroup = Cgroup(self.runc.pid)
        self._move_binds = move_binds

    @property
    def restart_policy(self) -> dict[str, Any]:
        policy: dict[str, Any] = self.spec["restart_policy"]
        return policy

    def processes(self) -> dict[int, int]:
        """Number on the host -> number in the container, of every process of the service."""
        return container_pids(self.cgroup.pids())

    @property
    def memory_bytes(self) -> int:
        """Private and shared anonymous memory, as far as it holds anything."""
        pids = self.cgroup.pids()
        return memory_bytes(pids) + shared_bytes(pids)

    def moved_mounts(self) -> list[dict[str, Any]]:
        """The mounts whose content moves: writable named volumes, and bind mounts on request."""
        moved = []
        for mount in self.spec["mounts"]:
            wanted = mount["type"] == "volume" and mount["driver"] in ("", "local")
            if mount["type"] == "bind":
                wanted = self._move_binds is True or (
                    isinstance(self._move_binds, list) and mount["destination"] in self._move_binds
                )
            if wanted and os.path.isdir(mount["source"]):
                moved.append(mount)
        return moved

    def trees(self) -> list[Tree]:
        """The writable layer and the moved mounts, for :class:`FileSync`."""
        mounts = [mount["destination"].strip("/") for mount in self.spec["mounts"]]
        upper = self.inspected["GraphDriver"]["Data"]["UpperDir"]
        trees = [Tree(ROOTFS_TREE, upper, overlay=True, exclude=tuple(mounts))]
        for mount in self.moved_mounts():
            trees.append(Tree(mount["destination"], mount["source"], destination=mount["destination"]))
        return trees


def inspect(client: Any, name: str) -> dict[str, Any]:
    """``docker inspect`` of one container.

    :raises PreflightError: no such container, or its storage driver is not overlay2.
    """
    try:
        inspected: dict[str, Any] = client.inspect_container(name)
    except Exception as error:
        if getattr(getattr(error, "response", None), "status_code", None) == 404:
            raise PreflightError(
                f"no container {name} on this host. Is it the host that runs the service?",
                container_state="absent",
            ) from error
        raise PreflightError(f"Docker does not answer about container {name}: {error}") from error
    driver = inspected.get("GraphDriver") or {}
    if driver.get("Name") != "overlay2":
        raise PreflightError(
            f"container {name} uses storage driver {driver.get('Name')!r}; overlay2 is needed "
            "(set it in daemon.json; the containerd image store is not supported yet)"
        )
    return inspected
