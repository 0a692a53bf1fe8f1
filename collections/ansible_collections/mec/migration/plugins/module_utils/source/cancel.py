# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending or changing a migration on its source, whoever began it and whether its agent lives or not."""

from __future__ import annotations

from typing import Any

from ..docker.container_state import FROZEN, RUNNING, container_state
from ..state import journal as states
from ..state.journal import SOURCE, Entry, Journal, read_journals
from ..transport.control import SOURCE_CONTROL, NoAgentError, control
from .endings import alone, forget_source, roll_back_source


def open_here(migration_id: str | None, service: str | None) -> list[Entry]:
    """The migrations away from this host that are not forgotten, by their id or the service's name."""
    return [
        entry
        for entry in read_journals(service).entries
        if entry.side == SOURCE and migration_id in (None, entry.migration_id)
    ]


def change(entry: Entry, values: dict[str, float | None]) -> dict[str, Any]:
    """Other values for a migration that is under way.

    :raises MigrationError: it is not, or a value is none.
    """
    return dict(
        control(entry.migration_id, "change", {"values": values}, timeout_s=30.0, name=SOURCE_CONTROL),
        migration_id=entry.migration_id,
    )


def cancel(client: Any, entry: Entry, by: str) -> dict[str, Any]:
    """End a migration, unless it was handed over.

    :param by: who asks for it.
    :returns: ``cancelled``, ``state`` it was in, ``target_left`` (why the target could not be told),
        ``container_state`` on this host afterwards.
    :raises MigrationError: its agent does not end it.
    """
    try:
        why = f"by {by}" if by else ""
        done = control(entry.migration_id, "cancel", {"why": why}, timeout_s=200.0, name=SOURCE_CONTROL)
    except NoAgentError:
        done = _without_agent(client, entry.migration_id, entry.container_id)
    now = container_state(client, entry.container_id)[0] if entry.container_id else "unknown"
    return dict(done, migration_id=entry.migration_id, service=entry.service, container_state=now)


def _without_agent(client: Any, migration_id: str, container_id: str) -> dict[str, Any]:
    """Its agent is dead: what it froze its guard thaws, and holds the lock until then."""
    with alone(migration_id):
        # The guard may have settled it.
        entry = Journal(migration_id, SOURCE).entry
        state = container_state(client, container_id)[0]
        rolled_back = entry.outcome == states.ROLLED_BACK
        if entry.state in (states.MARK_SENT, states.HANDED_OVER) or entry.outcome == states.COMMITTED:
            return {"cancelled": False, "state": entry.state, "target_left": ""}
        if not entry.state:
            # Its agent ended it after it was seen: in good order, one way or the other.
            return {"cancelled": state == RUNNING, "state": states.SETTLED, "target_left": ""}
        if rolled_back and state == RUNNING:
            forget_source(migration_id)
        elif entry.state in (states.OPEN, states.FROZEN) or (rolled_back and state == FROZEN):
            # The mark was never sent, so the target cannot have started.
            roll_back_source(client, migration_id, entry.service, False)
        return {
            "cancelled": True,
            "state": entry.state,
            "target_left": "its agent on the source had died; what waits on the target ends by itself",
        }
