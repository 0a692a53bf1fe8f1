# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a migration on either host, and what is left to do when something went wrong in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import Any

from .cgroup import Cgroup
from .daemon import detach_process
from .errors import MigrationError
from .journal import SOURCE, TARGET, Journal, entries
from .module_base import ARMED_DIR, migration_dir
from .receiver_control import IN_USE_S, control
from .scratch import wipe

RUNNING, FROZEN, ABSENT = "running", "frozen", "absent"


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
        if found[0]["State"] == "created":
            return "created", {}
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


def wait_healthy(client: Any, container_id: str, timeout_s: float) -> str:
    """Wait until the container runs and, if it has a health check, until that is content.

    :returns: a sentence with what was seen.
    :raises MigrationError: it stopped, or is unhealthy, or is not healthy in time.
    """
    end = time.monotonic() + timeout_s
    while True:
        state, inspected = container_state(client, container_id)
        if state != RUNNING:
            raise MigrationError(
                f"the restored container is {state}; its processes ended after the restore. The source is "
                "still frozen: playbooks/resolve.yml decides",
                phase="verify",
                container_state=state,
                log_tail=_container_log(client, container_id),
            )
        health = (inspected["State"].get("Health") or {}).get("Status")
        if health in (None, "healthy", "none"):
            return "running" if health is None else f"running and {health}"
        if health == "unhealthy" or time.monotonic() > end:
            raise MigrationError(
                f"the restored container is {health} by its own health check. It runs on the target; the "
                "source is still frozen: playbooks/resolve.yml decides",
                phase="verify",
                container_state=RUNNING,
                log_tail=_container_log(client, container_id),
            )
        time.sleep(0.2)


def commit_source(client: Any, migration_id: str, container: str, check_mode: bool) -> str:
    """End the frozen processes on the source and remove their container. Named volumes stay.

    :returns: the reason for a change, empty if there was none.
    :raises MigrationError: the container is not frozen; nothing is done to one that runs.
    """
    journal = Journal(migration_id, SOURCE)
    container_id = str(journal.entry.get("container_id") or container)
    state, inspected = container_state(client, container_id)
    if state == ABSENT:
        _forget_source(migration_id, journal, check_mode)
        return ""
    if state == RUNNING:
        raise MigrationError(
            f"container {container} runs on this host; only a frozen one that has been handed over is "
            "removed",
            phase="commit",
            container_state=RUNNING,
        )
    if check_mode:
        return f"the source's container is {state}"
    if state == FROZEN:
        cgroup = Cgroup(inspected["State"]["Pid"])
        cgroup.kill()
    with contextlib.suppress(Exception):
        client.wait(container_id, timeout=10)
    _remove_container(client, container_id)
    journal.write("committed")
    _forget_source(migration_id, journal, check_mode)
    return f"the source's container was {state} and is removed"


def roll_back_source(client: Any, migration_id: str, container: str, check_mode: bool) -> str:
    """Let the source's container run again. Only on proof that the target has no copy.

    :returns: the reason for a change, empty if there was none.
    """
    journal = Journal(migration_id, SOURCE)
    container_id = str(journal.entry.get("container_id") or container)
    state, inspected = container_state(client, container_id)
    if state != FROZEN:
        if state == RUNNING and not check_mode:
            _give_back_policy(client, container_id, journal)
        _forget_source(migration_id, journal, check_mode)
        return ""
    if check_mode:
        return f"the source's container is {state}"
    if inspected["State"].get("Paused"):
        client.unpause(container_id)
    else:
        Cgroup(inspected["State"]["Pid"]).thaw()
    _give_back_policy(client, container_id, journal)
    journal.write("rolled_back")
    _forget_source(migration_id, journal, check_mode)
    return "the source's container was frozen and runs again"


def clean_target(client: Any, migration_id: str, check_mode: bool) -> str:
    """Make sure that the target has no copy of the service, and forget the migration there.

    :returns: the reason for a change, empty if there was none.
    :raises MigrationError: the service runs there.
    """
    journal = Journal(migration_id, TARGET)
    container_id = str(journal.entry.get("container_id") or "")
    reason = ""
    alive = _receiver_alive(migration_id)
    if alive:
        reason = f"a receiver is there, in state {journal.state}"
        if not check_mode:
            control(migration_id, "abort", reason="the migration was given up")
    # A container that is being started answers questions only afterwards, so the receiver goes first.
    state, _facts = container_state(client, container_id)
    if state in (RUNNING, FROZEN) and not (alive and check_mode):
        raise MigrationError(
            f"container {journal.entry.get('name')} of migration {migration_id} is {state} on the target; "
            "it is not destroyed. Run playbooks/resolve.yml to end the migration forward",
            phase="cleanup",
            container_state=state,
        )
    if state != ABSENT:
        reason = reason or f"a container in state {state} was left there"
        if not check_mode:
            _remove_container(client, container_id)
    if not check_mode:
        _wipe(migration_id, journal)
        journal.remove()
    return reason


def begin_source(service: str, migration_id: str, idle_timeout_s: float) -> None:
    """Note that a migration of *service* begins here, and wipe what an interrupted one has left.

    The copy of the service's memory that pre-copy keeps is wiped *idle_timeout_s* after this process has
    ended if no hand-over comes: a controller that died does not leave it behind.
    """
    for entry in entries(service=service):
        if entry["side"] == SOURCE and entry["migration_id"] != migration_id:
            _forget_source(entry["migration_id"], Journal(entry["migration_id"], SOURCE), check_mode=False)
    journal = Journal(migration_id, SOURCE)
    journal.write("prepared", service=service)
    ended, held_open = os.pipe()
    if os.fork() == 0:
        try:
            os.close(held_open)
            detach_process()
            # Pre-copy takes as long as it takes: the time begins with its end.
            os.read(ended, 1)
            time.sleep(idle_timeout_s)
            if Journal(migration_id, SOURCE).state == "prepared":
                _forget_source(migration_id, journal, check_mode=False)
        finally:
            os._exit(0)


def clean_stale(client: Any, service: str, check_mode: bool) -> str:
    """Put away what earlier, interrupted migrations of *service* to this host have left.

    :returns: the reason for a change, empty if there was none.
    :raises MigrationError: one is in progress, or has been handed over and not ended.
    """
    reasons = []
    for entry in entries(service=service):
        if entry["side"] != TARGET:
            continue
        migration_id = entry["migration_id"]
        status: dict[str, Any] = {}
        with contextlib.suppress(MigrationError):
            status = control(migration_id, "status", timeout_s=10)
            end = time.monotonic() + 2 * IN_USE_S
            # Nobody is connected: then nobody comes back either, once two tasks of a play could have met.
            while status["in_use"] and not status["connected"] and time.monotonic() < end:
                time.sleep(0.5)
                status = control(migration_id, "status", timeout_s=10)
        if status.get("in_use"):
            raise MigrationError(
                f"migration {migration_id} of {service} to this host is in progress; wait for its end, or "
                "stop whoever runs it and try again after half a minute"
            )
        reasons.append(clean_target(client, migration_id, check_mode) or f"journal of {migration_id}")
    return "; ".join(reasons)


def finish_target(client: Any, migration_id: str, restart_policy: dict[str, Any], check_mode: bool) -> str:
    """Give the restored container its restart policy and wipe the images, receiver or not.

    :returns: the reason for a change, empty if there was none.
    """
    journal = Journal(migration_id, TARGET)
    if journal.state not in ("running", "restoring"):
        return ""
    if not check_mode:
        if _receiver_alive(migration_id):
            control(migration_id, "finish")
        else:
            container_id = str(journal.entry["container_id"])
            policy = journal.entry.get("restart_policy") or restart_policy
            if policy:
                client.update_container(container_id, restart_policy=policy)
            journal.write("committed")
        _wipe(migration_id, journal)
        journal.remove()
    return f"the service was restored here and the migration is in state {journal.state}"


def open_migrations(client: Any, service: str | None) -> list[dict[str, Any]]:
    """This host's journals, each with the ``container_state`` as it is now and ``receiver_alive``."""
    found = []
    for entry in entries(service=service):
        alive = entry["side"] == TARGET and _receiver_alive(entry["migration_id"])
        waiting = alive and entry.get("state") in ("listening", "armed", "restoring")
        # Docker does not answer about a container whose start still waits.
        state = "created" if waiting else container_state(client, str(entry.get("container_id") or ""))[0]
        found.append(dict(entry, container_state=state, receiver_alive=alive))
    return found


def _receiver_alive(migration_id: str) -> bool:
    try:
        control(migration_id, "status", timeout_s=10)
    except MigrationError:
        return False
    return True


def _remove_container(client: Any, container_id: str) -> None:
    try:
        client.remove_container(container_id, v=True, force=True)
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        # Gone already, or going: a container that was started with --rm.
        if status not in (404, 409):
            raise MigrationError(
                f"Docker did not remove container {container_id[:12]}: {error}", phase="commit"
            ) from error


def _container_log(client: Any, container_id: str) -> str:
    try:
        return str(client.logs(container_id, tail=12).decode(errors="replace"))
    except Exception:
        return ""


def _give_back_policy(client: Any, container_id: str, journal: Journal) -> None:
    """The restart policy that the hand-over took away."""
    policy = journal.entry.get("restart_policy")
    if policy and policy.get("Name") not in ("", "no", None):
        client.update_container(container_id, restart_policy=policy)


def _forget_source(migration_id: str, journal: Journal, check_mode: bool) -> None:
    if not check_mode:
        shutil.rmtree(migration_dir(migration_id), ignore_errors=True)
        journal.remove()


def _wipe(migration_id: str, journal: Journal) -> None:
    images = str(journal.entry.get("images_dir") or "")
    if images and os.path.basename(images) == "images":
        wipe(os.path.dirname(images))
    wipe(migration_dir(migration_id))
    # A receiver that was killed leaves the socket on which the armed runtime found it.
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(ARMED_DIR, str(journal.entry.get("container_id") or "")))
