# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runc knows of a container."""

from __future__ import annotations

import glob
import json
import os
from typing import Any, NamedTuple

from ..base.errors import MigrationError


class RuncState(NamedTuple):
    """What runc knows of a running container."""

    root: str
    state_dir: str
    pid: int
    config: dict[str, Any]
    cgroup_paths: dict[str, str] | None = None

    @property
    def namespaces(self) -> frozenset[str]:
        """Which it was started with, by runc's names of the kinds: NEWNS, NEWNET, NEWTIME and so on."""
        return frozenset(entry["type"] for entry in self.config.get("namespaces") or [])

    @property
    def time_namespace(self) -> bool:
        """Whether it was started in a time namespace of its own."""
        return "NEWTIME" in self.namespaces


def runc_state(container_id: str) -> RuncState:
    """runc's state of a Docker container, whatever runtime name Docker runs it under.

    :raises MigrationError: the container is not running under runc.
    """
    found = glob.glob(f"/run/docker/runtime-*/moby/{container_id}/state.json") + glob.glob(
        f"/var/run/docker/runtime-*/moby/{container_id}/state.json"
    )
    if not found:
        raise MigrationError(
            f"no runc state of container {container_id[:12]} below /run/docker/runtime-*/moby: it is not "
            "running, or not under runc; only runc containers can be migrated"
        )
    with open(found[0], encoding="utf-8") as state_file:
        state = json.load(state_file)
    state_dir = os.path.dirname(found[0])
    return RuncState(
        os.path.dirname(state_dir),
        state_dir,
        int(state["init_process_pid"]),
        state["config"],
        state.get("cgroup_paths"),
    )
