# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restart policy that is given back, and what it means for a container that has ended without it.

During a migration the policy is "no", so Docker leaves a container that ends as it is. When Docker is told
the policy later it does nothing about an end that has passed: whoever tells it does what Docker would have
done.
"""

from __future__ import annotations

import calendar
import contextlib
import json
import os
import time
from typing import Any

from ..base.errors import MigrationError
from ..kernel.cgroup import container_processes
from ..kernel.processes import has_ended
from ..state.journal import sync_directory
from .container_state import ABSENT, FROZEN, RUNNING, EndedError, container_state, wait_healthy

# Written by the daemon as it starts.
PID_FILE = "/run/docker.pid"
# Docker needs a moment to remove a container.
REMOVAL_S = 10.0
# And to note that it has ended.
ENDING_S = 5.0
REMOVED_ITSELF = "it has ended, and Docker has removed it, as it was started with --rm"
# Docker's exit code for what had ended when its daemon came up.
HOST_WENT_DOWN = 255
NONE, ALWAYS, UNLESS_STOPPED, ON_FAILURE = "no", "always", "unless-stopped", "on-failure"


def is_policy(policy: dict[str, Any] | None) -> bool:
    """Whether Docker starts a container by it; a container without one has ``no``, an empty name, or none."""
    return bool(policy) and (policy or {}).get("Name") not in ("", NONE, None)


def take_away(client: Any, inspected: dict[str, Any]) -> None:
    """Have Docker not start a container again, not even after its host has lost its power.

    :param inspected: what Docker tells of the container.
    """
    client.update_container(inspected["Id"], restart_policy={"Name": NONE, "MaximumRetryCount": 0})
    _sync(inspected)


def _sync(inspected: dict[str, Any]) -> None:
    """What Docker has written of a container is there after a power failure, too.

    Docker syncs a file that it writes, but not the directory in which the file then gets its name
    (atomicwriter of github.com/moby/sys).

    :param inspected: what Docker tells of the container.
    """
    # A daemon may keep it elsewhere.
    with contextlib.suppress(OSError):
        sync_directory(os.path.dirname(inspected.get("HostnamePath") or ""))


def give_back(
    client: Any, container_id: str, policy: dict[str, Any] | None, removes_itself: bool = False
) -> str:
    """Give a container its restart policy, and start it if Docker would have started it after its end.

    :param removes_itself: whether it was started with ``--rm``.
    :returns: how it has ended and what was done; empty if it has not.
    :raises MigrationError: somebody has removed it.
    """
    give_back_policy(client, container_id, policy)
    # After the policy: from here on Docker itself starts it.
    state, inspected = container_state(client, container_id)
    if state in (RUNNING, FROZEN):
        return ""
    if removes_itself and _is_removed(client, container_id):
        return REMOVED_ITSELF
    if state == ABSENT:
        raise MigrationError(
            f"somebody has removed the restored container {container_id[:12]}. The source is still frozen: "
            "mec.migration.resolve decides",
            phase="verify",
            container_state=ABSENT,
        )
    return _treat_as_docker_does(client, container_id, policy, inspected)


def give_back_on_source(
    client: Any, container_id: str, policy: dict[str, Any] | None, pid: int, removes_itself: bool = False
) -> str:
    """After a move that failed: give the container its restart policy; see whether it goes on.

    :param pid: of its first process, before the move.
    :param removes_itself: whether it was started with ``--rm``.
    :returns: how it has ended meanwhile, and what was done; empty if it goes on.
    """
    give_back_policy(client, container_id, policy)
    # Docker may not have noted yet that it has ended.
    end = time.monotonic() + ENDING_S
    while has_ended(pid):
        state, inspected = container_state(client, container_id)
        if state == ABSENT:
            return REMOVED_ITSELF if removes_itself else "somebody has removed it (docker rm)"
        if state not in (RUNNING, FROZEN):
            if removes_itself and _is_removed(client, container_id):
                return REMOVED_ITSELF
            return _treat_as_docker_does(client, container_id, policy, inspected)
        if inspected["State"].get("Pid") not in (0, pid):
            by = f": its restart policy is {_name(policy)}" if is_policy(policy) else " (docker restart)"
            return f"it had ended, and Docker has started it anew{by}"
        if time.monotonic() > end:
            return "it has ended, and Docker has not noted that yet"
        time.sleep(0.05)
    return ""


def give_back_policy(client: Any, container_id: str, policy: dict[str, Any] | None) -> None:
    """Give a container its restart policy, if it has one, and do nothing else about it.

    It is on the disk then, and before it that the container was started: without either Docker would not
    start the container after a power failure, and the journals would say that all is settled.

    Docker refuses that in the moment in which one ends, so it is asked again for a while. One that is removed
    needs none.

    :raises Exception: of Docker's client, if it does not take it.
    """
    if policy is None or not is_policy(policy):
        return
    end = time.monotonic() + ENDING_S
    while True:
        try:
            client.update_container(container_id, restart_policy=policy)
        except Exception as error:
            refused = error
        else:
            # Nothing is lost yet where the daemon does not answer now.
            with contextlib.suppress(Exception):
                _sync(client.inspect_container(container_id))
            return
        is_late = time.monotonic() > end
        # A daemon that is started anew does not answer for a moment.
        with contextlib.suppress(MigrationError):
            if container_state(client, container_id)[0] == ABSENT or (
                is_late and _is_removed(client, container_id)
            ):
                return
        if is_late:
            raise refused
        time.sleep(0.1)


def _treat_as_docker_does(
    client: Any, container_id: str, policy: dict[str, Any] | None, inspected: dict[str, Any]
) -> str:
    """Start what has ended if Docker would have; returns how it has ended and what was done.

    :raises MigrationError: Docker has not noted that it was started, and it runs.
    """
    said = dict(inspected.get("State") or {})
    code = int(said.get("ExitCode") or 0)
    how = f"exit code {code}" + (", out of memory" if said.get("OOMKilled") else "")
    if not said:
        _refuse_running(container_id)
        # Docker had not noted its start, and calls it created. What ends with its host has failed, to Docker.
        code, how = HOST_WENT_DOWN, "with its host, right after the restore"
    name = _name(policy)
    if _stopped_by_hand(client, container_id, said):
        return (
            f"it was stopped with Docker (docker stop or docker kill; exit code {code}), and stays so. "
            "`docker start` starts it"
        )
    if name in (ALWAYS, UNLESS_STOPPED) or (name == ON_FAILURE and code):
        client.start(container_id)
        return f"it had ended ({how}), and was started anew: its restart policy is {name}"
    return f"it has ended ({how}), and stays so: its restart policy is {name}. `docker start` starts it"


def _refuse_running(container_id: str) -> None:
    """Docker ends what it does not know of in a container that it starts.

    :raises MigrationError: processes of the container run.
    """
    running = [pid for pid in container_processes(container_id) if not has_ended(pid)]
    if running:
        raise MigrationError(
            f"processes {running} of container {container_id[:12]} run here, and Docker does not know of "
            "them: its daemon was killed while it started the container, and would end them to start it "
            "anew. They are the service as clients have left it, so nothing was started. If its files are "
            "enough, end them (kill -9) and run the playbook mec.migration.resolve again, which starts it "
            "from these",
            phase="verify",
            container_state=RUNNING,
        )


def _name(policy: dict[str, Any] | None) -> str:
    return str((policy or {}).get("Name") or NONE)


def healthy_or_ended_well(
    client: Any, container_id: str, timeout_s: float, docker_said: str = "", removes_itself: bool = False
) -> str:
    """As :func:`wait_healthy`, but that a restored container may have ended in good order, or by Docker.

    :param removes_itself: whether it was started with ``--rm``: then nobody can tell how it ended.
    :raises EndedError: it has ended by itself with an error: it may be the restore that was not good.
    """
    try:
        return wait_healthy(client, container_id, timeout_s, docker_said)
    except EndedError:
        inspected = container_state(client, container_id)[1]
        code = int(dict(inspected.get("State") or {}).get("ExitCode") or 0)
        if code and not removes_itself and not _docker_stopped_it(client.info(), container_id):
            raise EndedError(
                f"the restored container has ended by itself (exit code {code}), so the source still has the "
                "service as it was at the hand-over, frozen. To go on with what is on the target, as its "
                "restart policy says, run the playbook mec.migration.resolve. To go back, which loses what "
                "clients have written since, remove the container on the target first",
                phase="verify",
                container_state="exited",
            ) from None
        return "exited"


def _is_removed(client: Any, container_id: str) -> bool:
    """Whether it is gone, or will be: Docker needs a moment to remove it."""
    end = time.monotonic() + REMOVAL_S
    while (state := container_state(client, container_id)[0]) != ABSENT:
        if state in (RUNNING, FROZEN) or time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _stopped_by_hand(client: Any, container_id: str, state: dict[str, Any]) -> bool:
    """Whether ``docker stop`` or ``docker kill`` ended it: then no policy starts it before the next boot.

    :param state: of the container, as Docker tells it.
    """
    info = client.info()
    if not _docker_stopped_it(info, container_id):
        return False
    try:
        daemon_began = os.stat(PID_FILE).st_mtime
        by_its_start = _seconds(state["StartedAt"]) < daemon_began <= _seconds(state["FinishedAt"]) + 1
    except (OSError, ValueError, KeyError, TypeError):
        return True
    return not by_its_start or bool(info.get("LiveRestoreEnabled"))


def _docker_stopped_it(info: dict[str, Any], container_id: str) -> bool:
    """Whether the daemon ended it.

    The API does not tell, but the daemon writes it down, as it has to know it after its own restart. It says
    the same of what it stopped itself as it came up after a crash, which nobody wanted to stay so.

    :param info: what the daemon says of itself.
    """
    try:
        path = os.path.join(str(info["DockerRootDir"]), "containers", container_id, "config.v2.json")
        with open(path, encoding="utf-8") as config_file:
            return json.load(config_file)["HasBeenManuallyStopped"] is True
    except (OSError, ValueError, KeyError, TypeError):
        # A daemon that writes it elsewhere: what ended by itself is the usual case.
        return False


def _seconds(time_of_docker: str) -> int:
    """Since the epoch, without the fraction."""
    return calendar.timegm(time.strptime(time_of_docker[:19], "%Y-%m-%dT%H:%M:%S"))
