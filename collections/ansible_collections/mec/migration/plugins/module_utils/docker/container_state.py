# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Docker and the kernel say of one container, and its removal."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from ..base.errors import MigrationError
from ..kernel.cgroup import Cgroup

RUNNING, FROZEN, CREATED, ABSENT = "running", "frozen", "created", "absent"


class EndedError(MigrationError):
    """The container has ended."""


def container_state(client: Any, container: str) -> tuple[str, dict[str, Any]]:
    """``running``, ``frozen``, ``absent`` or Docker's word for it, and what Docker knows of it.

    Frozen is what the freezer says: a container can be frozen without Docker knowing.
    """
    try:
        # The list comes first: Docker does not answer `inspect` while a start waits in the armed runtime.
        listed = client.containers(all=True) if container else []
        found = [one for one in listed if container in (one["Id"], *(n.lstrip("/") for n in one["Names"]))]
        if not found:
            return ABSENT, {}
        if found[0]["State"] == CREATED:
            return CREATED, {}
        inspected: dict[str, Any] = client.inspect_container(found[0]["Id"])
    except Exception as error:
        if getattr(getattr(error, "response", None), "status_code", None) == 404:
            return ABSENT, {}
        raise MigrationError(f"Docker does not answer about container {container}: {error}") from error
    state = inspected["State"]
    if state.get("Running"):
        with contextlib.suppress(MigrationError):
            if Cgroup(state["Pid"]).frozen:
                return FROZEN, inspected
        return RUNNING, inspected
    return str(state.get("Status", "unknown")), inspected


def wait_healthy(client: Any, container_id: str, timeout_s: float, docker_said: str = "") -> str:
    """Wait until the container runs and, if it has a health check, until that is content.

    :param docker_said: an error of its start, if there was one.
    :returns: a sentence with what was seen.
    :raises EndedError: it has ended.
    :raises MigrationError: it is frozen, or unhealthy, or not healthy in time.
    """
    end = time.monotonic() + timeout_s
    while True:
        state, inspected = container_state(client, container_id)
        if state == FROZEN:
            raise MigrationError(
                "somebody has paused the restored container; let it run again there (docker unpause). The "
                "source is still frozen: mec.migration.resolve decides",
                phase="verify",
                container_state=FROZEN,
            )
        if state != RUNNING:
            raise EndedError(
                f"the restored container is {state}; its processes ended after the restore"
                f"{docker_said and f', and Docker said of its start: {docker_said}'}. The source is still "
                "frozen: mec.migration.resolve decides",
                phase="verify",
                container_state=state,
                log_tail=container_log(client, container_id),
            )
        pid = inspected["State"].get("Pid")
        if pid and not os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
            # It has just ended, and Docker has not noticed yet.
            time.sleep(0.1)
            continue
        health = (inspected["State"].get("Health") or {}).get("Status")
        if health in (None, "healthy", "none"):
            return "running" if health is None else f"running and {health}"
        if health == "unhealthy" or time.monotonic() > end:
            raise MigrationError(
                f"the restored container is {health} by its own health check. It runs on the target; the "
                "source is still frozen: mec.migration.resolve decides",
                phase="verify",
                container_state=RUNNING,
                log_tail=container_log(client, container_id),
            )
        time.sleep(0.2)


def created_container(client: Any, name: str, runtime: str) -> str:
    """The id of a container that was created under *runtime* and never started; empty if there is none.

    :param name: the container's.
    :raises MigrationError: Docker does not answer.
    """
    try:
        for one in client.containers(all=True):
            if f"/{name}" in one["Names"] and one["State"] == CREATED:
                config = client.inspect_container(one["Id"])["HostConfig"]
                if config.get("Runtime") == runtime:
                    return str(one["Id"])
    except Exception as error:
        raise MigrationError(f"Docker does not answer about container {name}: {error}") from error
    return ""


def remove_container(client: Any, container_id: str) -> None:
    try:
        client.remove_container(container_id, v=True, force=True)
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        # Gone already, or going: a container that was started with --rm.
        if status not in (404, 409):
            raise MigrationError(
                f"Docker did not remove container {container_id[:12]}: {error}", phase="commit"
            ) from error


def container_log(client: Any, container_id: str) -> str:
    try:
        return str(client.logs(container_id, tail=12).decode(errors="replace"))
    except Exception:
        return ""
