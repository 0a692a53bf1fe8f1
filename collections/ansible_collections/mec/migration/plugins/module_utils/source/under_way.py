# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to say to whoever wants to move a service that is being moved already."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from ..base.errors import MigrationError
from ..docker.container_state import FROZEN, RUNNING, container_state
from ..state import journal as states
from ..state.migration_lock import MigrationLock, Owner
from ..transport.control import ABANDONED_S, CONTROL, SOURCE_CONTROL, control

# A container that changes its state each time it is looked at is reported as it was last.
LOOKS = 5


def look(client: Any, container: str) -> tuple[str, dict[str, Any], str]:
    """A container's state, what Docker knows of it, and :func:`in_the_way` of whoever moves it.

    All three are of one moment: a migration can end between a look at the container and one at its lock, and
    then what was frozen would seem to have been left so.
    """
    state, inspected = container_state(client, container)
    for _look in range(LOOKS):
        sentence = _mover(container, state, str(inspected.get("Id", "")))
        if sentence or state not in (RUNNING, FROZEN):
            return state, inspected, sentence
        before = state, inspected["Id"]
        state, inspected = container_state(client, container)
        if before == (state, inspected.get("Id")):
            break
    return state, inspected, ""


def _mover(container: str, state: str, container_id: str) -> str:
    """Of the migration that holds a lock on the container, what is to be said; empty if none does."""
    locks = [container_id]
    if state in (RUNNING, FROZEN):
        # The agent of the migration that brought it here may not be done. One that waits for a service that
        # runs elsewhere is not in the way: the next move to this host puts it away.
        locks.append(f"name-{container}")
    for lock in filter(None, locks):
        owner = MigrationLock(lock).held()
        sentence = "" if owner is None else in_the_way(owner)
        if sentence:
            return sentence
    return ""


def in_the_way(owner: Owner) -> str:
    """As :func:`under_way`; empty where the migration was abandoned, which the next one takes over."""
    with contextlib.suppress(MigrationError):
        status = control(owner.migration_id, "status", timeout_s=5.0, name=SOURCE_CONTROL)
        if between_steps(status) and status["idle_s"] > ABANDONED_S:
            return ""
    return under_way(owner)


def between_steps(status: dict[str, Any]) -> bool:
    """Whether a migration waits for whoever began it to ask for its next step, with nothing frozen yet.

    :param status: what its source's agent answers to ``status``.
    """
    return not status["busy"] and status["state"] == states.OPEN and status["phase"] != states.OPEN


def under_way(owner: Owner) -> str:
    """A sentence about the migration that is in the way, and what can be done."""
    phase, state, since = "", "", time.strftime("%H:%M:%S UTC", time.gmtime(owner.since))
    with contextlib.suppress(MigrationError):
        status = control(owner.migration_id, "status", timeout_s=5.0, name=SOURCE_CONTROL)
        phase, state = f", in phase {status['phase']}", status["state"]
    if not phase:
        with contextlib.suppress(MigrationError):
            status = control(owner.migration_id, "status", timeout_s=5.0, name=CONTROL)
            phase, state = f", in state {status['state']} on its target", status["state"]
    what_to_do = f"to end it run the playbook mec.migration.cancel -e service={owner.service}"
    if state in (states.HANDED_OVER, states.RUNNING, states.FILLED, states.SETTLED):
        what_to_do = "the service runs on its target already, so wait for its end and try again"
    return (
        f"{owner.service} is being moved already: migration {owner.migration_id}, started by "
        f"{owner.started_by or 'someone unknown'} at {since}{phase}. Nothing of it was touched. Module "
        f"mec.migration.migration_journal_info follows it; {what_to_do}"
    )
