# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service on its source host: the container, its processes, and the trees of files that move with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any

from ..base.errors import MigrationError, PreflightError
from ..docker.container_networks import interface_names
from ..docker.container_spec import check_movable, compared_paths, specification
from ..docker.runc_state import RuncState, runc_state
from ..files.trees import ROOTFS_TREE, Tree
from ..image.opened import open_store, store_problem
from ..image.store import keeps_in_containerd
from ..kernel.cgroup import Cgroup
from ..kernel.interfaces import interfaces
from ..kernel.mountinfo import inside_root, root_upper_dir
from ..kernel.processes import family, memory_bytes
from ..memory.shared_memory import shared_bytes
from .executed import asked_by_check
from .staying_files import StayingFile, staying_files


class Service:
    """A running container, seen by Docker, by runc and by the kernel.

    :param client: a ``docker.APIClient``.
    :param name: the container's name or id.
    :param move_binds: whether bind mounts move, too (their destinations, or all with True).
    :raises PreflightError: there is no such container, or it cannot be moved.
    """

    def __init__(self, client: Any, name: str, move_binds: bool | list[str] = False) -> None:
        self.client = client
        self.inspected = inspect(client, name)
        check_movable(self.inspected)
        self.name = str(self.inspected["Name"]).lstrip("/")
        self.id: str = self.inspected["Id"]
        self.spec = specification(self.inspected)
        # The hosts' stores may have ids of their own; the digest of its configuration is the same on all.
        self.spec["image_id"] = open_store(client).image(str(self.inspected["Image"])).id
        self.runc: RuncState = runc_state(self.id)
        self._complete_specification()
        try:
            self.cgroup = Cgroup(self.runc.pid)
        except MigrationError as error:
            raise PreflightError(
                f"container {self.name} could not be frozen: {error.message}",
                container_state=error.container_state,
            ) from error
        self._move_binds = move_binds

    def _complete_specification(self) -> None:
        """What `docker inspect` of the container does not tell: options of volumes, names of interfaces."""
        for mount in self.spec["mounts"]:
            if mount["type"] == "volume":
                try:
                    volume = self.client.inspect_volume(mount["name"])
                except Exception as error:
                    raise PreflightError(
                        f"Docker does not answer about volume {mount['name']} of container {self.name}: "
                        f"{error}",
                        container_state="running",
                    ) from error
                mount["options"] = volume.get("Options")
                mount["labels"] = volume.get("Labels")
        if len(self.spec["networks"]) > 1:
            # Where the process is gone everything else says so, too.
            with contextlib.suppress(OSError):
                self.spec["interfaces"] = interface_names(self.inspected, interfaces(self.runc.pid))

    @property
    def restart_policy(self) -> dict[str, Any]:
        policy: dict[str, Any] = self.spec["restart_policy"]
        return policy

    def processes(self) -> dict[int, int]:
        """Number on the host -> number in the container, of every process that moves."""
        return family(self.runc.pid, self.cgroup.pids())

    def pids(self) -> list[int]:
        """Their numbers on the host, in ascending order."""
        return list(self.processes())

    def asked_by_check(self, moving: Iterable[int]) -> bool:
        """Whether a health check has a UNIX connection to it, of which CRIU cannot dump one end alone.

        :param moving: what :meth:`processes` says.
        """
        others = set(self.cgroup.pids()).difference(moving)
        return bool(others) and asked_by_check(self.runc.pid, others, moving)

    @property
    def memory_bytes(self) -> int:
        """Private and shared anonymous memory, as far as it holds anything."""
        pids = self.pids()
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

    def staying_mounts(self) -> list[str]:
        """Where the container sees mounts of the host whose content does not move."""
        moved = [mount["destination"] for mount in self.moved_mounts()]
        root = f"/proc/{self.runc.pid}/root"
        return [
            inside_root(root, mount["destination"])
            for mount in self.spec["mounts"]
            if mount["type"] != "tmpfs" and mount["destination"] not in moved
        ]

    def staying_files(self) -> list[StayingFile]:
        """What its processes use of bind mounts whose content does not move."""
        moved = [mount["destination"] for mount in self.moved_mounts()]
        root = f"/proc/{self.runc.pid}/root"
        places = {
            inside_root(root, mount["destination"]): mount["source"]
            for mount in self.spec["mounts"]
            if mount["type"] == "bind" and mount["destination"] not in moved
        }
        return staying_files(self.pids(), places)

    def paths_of_host(self) -> list[str]:
        """What both hosts must be asked about."""
        return sorted({*compared_paths(self.spec), *(file.path for file in self.staying_files())})

    def trees(self) -> list[Tree]:
        """The writable layer and the moved mounts, for :class:`FileSync`."""
        mounts = [mount["destination"].strip("/") for mount in self.spec["mounts"]]
        trees = [Tree(ROOTFS_TREE, self._upper_dir(), overlay=True, exclude=tuple(mounts))]
        for mount in self.moved_mounts():
            trees.append(Tree(mount["destination"], mount["source"], destination=mount["destination"]))
        return trees

    def _upper_dir(self) -> str:
        """The writable layer's directory.

        :raises PreflightError: there is none.
        """
        upper = upper_dir(self.inspected, self.runc.pid)
        if not upper or not os.path.isdir(upper):
            raise PreflightError(
                f"the writable layer of container {self.name} is not to be found: the root file system of "
                f"process {self.runc.pid} is no overlay that writes to a directory of this host",
                container_state="running",
            )
        return upper


def upper_dir(inspected: dict[str, Any], pid: int) -> str:
    """The directory of a running container's writable layer, empty if there is none.

    overlay2 names it in ``GraphDriver``. With containerd's store that has no data (API 1.51) or is not there
    (from 1.52 on, where ``Storage`` names the snapshotter only); then the kernel tells.

    :param inspected: the answer of ``GET /containers/(id)/json``.
    :param pid: the container's first process.
    """
    data = (inspected.get("GraphDriver") or {}).get("Data") or {}
    return str(data.get("UpperDir") or root_upper_dir(pid))


def inspect(client: Any, name: str) -> dict[str, Any]:
    """``docker inspect`` of one container.

    :raises PreflightError: no such container, or Docker keeps images in a way that is not supported.
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
    info = client.info()
    problem = store_problem(str(info.get("Driver")), by_containerd=keeps_in_containerd(info))
    if problem:
        raise PreflightError(f"Docker on the host of container {name} {problem}", container_state="running")
    return inspected
