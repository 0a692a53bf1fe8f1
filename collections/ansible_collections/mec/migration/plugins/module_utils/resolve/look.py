# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says of the migrations that it remembers: for whoever decides how to end them."""

from __future__ import annotations

from typing import Any

from ..base.errors import MigrationError
from ..docker.container_state import FROZEN, RUNNING, container_state
from ..kernel.cgroup import container_processes
from ..state import journal as states
from ..state.journal import SOURCE, Entry, read_journals
from ..transport.control import CONTROL, SOURCE_CONTROL, NoAgentError, control

DAMAGED, UNKNOWN = "damaged", "unknown"
# What of an entry whoever decides needs to know.
TOLD = (
    "migration_id",
    "side",
    "service",
    "time",
    "engine_id",
    "address",
    "peer_engine_id",
    "peer_address",
    "container_id",
    "peer_container_id",
)


def look(client: Any, service: str) -> dict[str, Any]:
    """The host's Docker engine, its containers, and its side of each migration of *service*.

    :returns: ``engine_id``; ``containers``, by id ``running``, ``frozen`` or Docker's word; ``sides``, each
        with :data:`TOLD`, ``state`` (the outcome where it is settled, ``damaged`` where the journal cannot be
        read, of whichever service it is), ``container``, ``agent_alive`` and ``needs_source``.
    :raises MigrationError: Docker does not answer.
    """
    try:
        engine_id = str(client.info().get("ID", ""))
        ids = [str(one["Id"]) for one in client.containers(all=True)]
    except Exception as error:
        raise MigrationError(f"Docker does not answer: {error}", phase="resolve") from error
    journals = read_journals(service)
    sides = [_side(client, entry) for entry in journals.entries]
    for damaged in journals.damaged:
        entry = Entry(damaged.migration_id, damaged.side, reason=f"{damaged.path}: {damaged.why}")
        told = {name: getattr(entry, name) for name in TOLD}
        sides.append(
            dict(
                told,
                state=DAMAGED,
                container=UNKNOWN,
                **_agent(entry),
                lazy=True,
                reason=entry.reason,
            )
        )
    return {
        "engine_id": engine_id,
        "containers": {one: container_state(client, one)[0] for one in ids},
        "sides": sides,
    }


def _side(client: Any, entry: Entry) -> dict[str, Any]:
    told = {name: getattr(entry, name) for name in TOLD}
    return dict(
        told,
        state=entry.outcome or entry.state,
        container=_container(client, entry),
        **_agent(entry),
        lazy=entry.lazy,
        reason=entry.reason,
    )


def _container(client: Any, entry: Entry) -> str:
    """The container of that side, by its id. Processes that Docker does not know of count.

    In state ``armed`` nothing of the service can run: what is there belongs to the waiting restore.
    """
    if not entry.container_id:
        return "absent"
    state = container_state(client, entry.container_id)[0]
    if entry.state in (states.OPEN, states.ARMED) or state in (RUNNING, FROZEN):
        return state
    return RUNNING if container_processes(entry.container_id) else state


def _agent(entry: Entry) -> dict[str, bool]:
    """``agent_alive``, and ``needs_source`` as a target's agent says: whether pages of
    post-copy have not come yet."""
    name = SOURCE_CONTROL if entry.side == SOURCE else CONTROL
    try:
        status = control(entry.migration_id, "status", timeout_s=10.0, name=name)
    except NoAgentError:
        return {"agent_alive": False, "needs_source": False}
    except MigrationError:
        # It is there and does not answer in time: that is no proof of its death.
        return {"agent_alive": True, "needs_source": False}
    return {"agent_alive": True, "needs_source": bool(status.get("needs_source"))}
