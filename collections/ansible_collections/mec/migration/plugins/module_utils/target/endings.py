# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a migration on the target, and what is left to do when something went wrong in it."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from ..base.errors import MigrationError, PreflightError
from ..base.paths import ARMED_DIR, RUNTIME_NAME, migration_dir
from ..docker.container_state import (
    ABSENT,
    FROZEN,
    RUNNING,
    container_state,
    created_container,
    remove_container,
)
from ..docker.restart_policy import give_back
from ..kernel.cgroup import container_processes
from ..kernel.scratch import wipe
from ..state import journal as states
from ..state.journal import TARGET, Journal, read_journals
from ..transport.control import ABANDONED_S, CONTROL, IN_USE_S, SOURCE_CONTROL, control

STAGING_PREFIX = "mec-migration-"


def clean_target(client: Any, migration_id: str, check_mode: bool) -> str:
    """Make sure that the target has no copy of the service, and forget the migration there.

    :returns: the reason for a change, empty if there was none.
    :raises MigrationError: the service runs there.
    """
    journal = Journal(migration_id, TARGET)
    reason = ""
    alive = _receiver_alive(migration_id)
    if alive:
        reason = f"a receiver is there, in state {journal.state}"
        if not check_mode:
            control(migration_id, "abort", {"reason": "the migration was given up"})
    container_id = journal.entry.container_id
    if not container_id and journal.state == states.OPEN:
        # It was created, and its agent ended before that was written down.
        container_id = created_container(client, journal.entry.service, RUNTIME_NAME)
    # A container that is being started answers questions only afterwards, so the receiver goes first.
    state, _facts = container_state(client, container_id)
    if state in (RUNNING, FROZEN) and not (alive and check_mode):
        raise MigrationError(
            f"container {journal.entry.service} of migration {migration_id} is {state} on the target; "
            "it is not destroyed. Run the playbook mec.migration.resolve to end the migration forward",
            phase="cleanup",
            container_state=state,
        )
    may_run = journal.state in (states.RESTORING, states.RUNNING, states.FILLED)
    left = container_processes(container_id) if container_id and (may_run or state == ABSENT) else []
    if state != ABSENT and not left:
        reason = reason or f"a container in state {state} was left there"
        if not check_mode:
            remove_container(client, container_id)
            left = container_processes(container_id)
    if left and not check_mode:
        # Docker may not know of what was restored while its daemon was dead.
        raise MigrationError(
            f"processes {left} of container {container_id[:12]} of migration {migration_id} run on the "
            "target, and Docker does not know of them; they are not ended here. Run the playbook "
            "mec.migration.resolve",
            phase="cleanup",
            container_state=RUNNING,
        )
    if not check_mode:
        _wipe(migration_id, journal)
        journal.remove()
    return reason


def in_progress(service: str, migration_id: str, started_by: str) -> PreflightError:
    """What to say to whoever wants to move a service to this host that is being moved here already."""
    return PreflightError(
        f"{service} is being moved already: migration {migration_id}, to this host, started by "
        f"{started_by or 'someone unknown'}. Nothing of it was touched; to end it run the playbook "
        f"mec.migration.cancel -e service={service}",
        phase="preflight",
    )


def _at_work(migration_id: str) -> bool:
    """Whether its agent is: something comes from its source, or is being done.

    Where nothing comes it is between two steps, for a moment; or cut off from its source, which TCP notices
    in half a minute; or its play is gone, see ``ABANDONED_S``.
    """
    with contextlib.suppress(MigrationError):
        status = first = control(migration_id, "status", timeout_s=10)
        end = time.monotonic() + 3 * IN_USE_S
        # One that ends while it is watched was at work.
        with contextlib.suppress(MigrationError):
            while status["in_use"]:
                if status["busy"] or status["received_bytes"] != first["received_bytes"]:
                    return True
                if status["state"] in (states.OPEN, states.ARMED) and status["silent_s"] > ABANDONED_S:
                    return False
                if time.monotonic() > end:
                    return True
                time.sleep(0.2)
                status = control(migration_id, "status", timeout_s=10)
            return False
        return True
    return False


def clean_stale(client: Any, service: str, check_mode: bool) -> str:
    """Put away what earlier, interrupted migrations of *service* to this host have left.

    :returns: the reason for a change, empty if there was none.
    :raises MigrationError: one is in progress, or has been handed over and not ended.
    """
    reasons = []
    for entry in read_journals(service).entries:
        if entry.side != TARGET:
            continue
        migration_id = entry.migration_id
        if _at_work(migration_id):
            raise in_progress(service, migration_id, entry.started_by)
        if entry.outcome == states.KEPT:
            # Its source has not said that it is settled: if it is not, resolve has to know this.
            continue
        reasons.append(clean_target(client, migration_id, check_mode) or f"journal of {migration_id}")
    return "; ".join(reasons)


def finish_target(client: Any, migration_id: str, check_mode: bool) -> str:
    """Give the restored container its restart policy and wipe the images, receiver or not.

    :returns: the reason for a change, empty if there was none.
    """
    journal = Journal(migration_id, TARGET)
    entry = journal.entry
    if entry.state not in (states.RESTORING, states.RUNNING, states.FILLED):
        return ""
    ended = ""
    if not check_mode:
        if _receiver_alive(migration_id):
            ended = str(control(migration_id, "finish").get("how_it_ended") or "")
        else:
            if entry.lazy and entry.state != states.FILLED:
                raise MigrationError(
                    f"the agent of migration {migration_id} ended before the memory of {entry.service} was "
                    "complete on the target: what runs there cannot be trusted, and the source is still "
                    "needed",
                    phase="verify",
                    container_state=RUNNING,
                )
            ended = give_back(client, entry.container_id, entry.restart_policy)
            journal.write(states.SETTLED, outcome=states.KEPT)
        _wipe(migration_id, journal)
        journal.remove()
    what = f"the service was restored here and the migration is in state {entry.state}"
    return "; ".join(filter(None, (what, ended)))


def open_migrations(client: Any, service: str | None) -> list[dict[str, Any]]:
    """This host's journals, each with the ``container_state`` as it is now and with ``receiver_alive``, which
    says whether the migration's agent on this host is; then its ``phase`` is what it does now.

    Of those that cannot be read, of whichever service they are, ``damaged`` says why.
    """
    found = []
    journals = read_journals(service)
    for entry in journals.entries:
        agent = _agent(entry.migration_id, entry.side)
        alive = agent is not None
        phase = str((agent or {}).get("phase") or entry.phase)
        waiting = (
            alive and entry.side == TARGET and entry.state in (states.OPEN, states.ARMED, states.RESTORING)
        )
        # Docker does not answer about a container whose start still waits.
        state = "created" if waiting else container_state(client, entry.container_id)[0]
        now = {"phase": phase, "container_state": state, "receiver_alive": alive, "damaged": ""}
        found.append(dict(entry._asdict(), **now))
    for damaged in journals.damaged:
        found.append(
            {
                "migration_id": damaged.migration_id,
                "side": damaged.side,
                "state": "damaged",
                "damaged": f"{damaged.path}: {damaged.why}",
                "container_state": "unknown",
                "receiver_alive": False,
            }
        )
    return found


def _agent(migration_id: str, side: str) -> dict[str, Any] | None:
    """What a migration's agent on this host says of itself; None if it does not answer."""
    name = CONTROL if side == TARGET else SOURCE_CONTROL
    try:
        return control(migration_id, "status", timeout_s=10, name=name)
    except MigrationError:
        return None


def _receiver_alive(migration_id: str) -> bool:
    return _agent(migration_id, TARGET) is not None


def _wipe(migration_id: str, journal: Journal) -> None:
    wipe_arrived(journal)
    wipe(migration_dir(migration_id))


def wipe_arrived(journal: Journal) -> None:
    """What an agent that ended early has left: memory and layers that came, the armed runtime's way to it."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(ARMED_DIR, journal.entry.container_id))
    images, staging = journal.entry.images_dir, journal.entry.staging_dir
    if images and os.path.basename(images) == "images":
        wipe(os.path.dirname(images))
    if os.path.basename(staging) == f"{STAGING_PREFIX}{journal.entry.migration_id}":
        wipe(staging)
