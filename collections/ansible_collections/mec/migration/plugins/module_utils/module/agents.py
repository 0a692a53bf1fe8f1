# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How modules on the source find the target and speak to the source's agent, which they start if need be."""

from __future__ import annotations

from typing import Any

from ..base.crash_points import enter
from ..base.errors import MigrationError, PreflightError
from ..base.paths import check_migration_id, state_dir
from ..transport.control import SOURCE_CONTROL, NoAgentError, control
from ..transport.wire import Channel, Keys, connect
from .base import Progress

PEER_ARGUMENTS: dict[str, Any] = {
    "migration_id": {"type": "str", "required": True},
    "peer": {
        "type": "dict",
        "options": {
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "silence_timeout_s": {"type": "float", "default": 10},
            "bandwidth_limit_mbit": {"type": "float", "default": 0},
            "certificate": {"type": "str", "required": True},
            "peer_certificate": {"type": "str", "required": True},
        },
    },
    # Not inside ``peer``: there it would reach the host's log of each module's invocation.
    "key": {"type": "str", "no_log": True},
    "compress": {"type": "bool", "default": True},
    "progress_file": {"type": "path"},
}
SOURCE_ARGUMENTS: dict[str, Any] = {
    **PEER_ARGUMENTS,
    "container": {"type": "str", "required": True},
    "move_binds": {"type": "list", "elements": "str", "default": []},
    "started_by": {"type": "str", "default": ""},
    "idle_timeout_s": {"type": "float", "default": 300},
    "begin": {"type": "bool", "default": True},
}


def _checked_peer(params: dict[str, Any]) -> dict[str, Any]:
    """:raises PreflightError: what is needed to reach the target is missing."""
    peer: dict[str, Any] | None = params["peer"]
    if peer is None or not params["key"]:
        raise PreflightError("options peer and key are needed to reach the target")
    return peer


def connect_peer(params: dict[str, Any]) -> Channel:
    """A channel to the target's agent that the module's options name.

    :raises PreflightError: options are missing.
    :raises TransferError: it cannot be reached.
    """
    peer = _checked_peer(params)
    return connect(
        peer["address"],
        peer["port"],
        Keys(params["key"], peer["certificate"], peer["peer_certificate"]),
        migration_id=params["migration_id"],
        scratch_dir=state_dir(params["migration_id"]),
        timeout_s=peer["silence_timeout_s"],
        compress=params["compress"],
        limit_mbit=peer["bandwidth_limit_mbit"],
    )


def source_status(migration_id: str) -> dict[str, Any] | None:
    """What the source's agent of a migration says of itself; None if there is none."""
    try:
        return control(migration_id, "status", timeout_s=10.0, name=SOURCE_CONTROL)
    except NoAgentError:
        return None


def start_source(module: Any) -> None:
    """Start the source's agent, if there is none, the module may and would do something.

    :raises MigrationError: there is none, and the module may not start one.
    :raises PreflightError: the container cannot be moved, or another migration is under way.
    """
    params = module.params
    check_migration_id(params["migration_id"])
    if module.check_mode or source_status(params["migration_id"]) is not None:
        return
    if not params["begin"]:
        raise MigrationError(
            f"migration {params['migration_id']} is not under way on this host any more: it was cancelled, "
            "given up or taken over, or its agent was killed. Start the move again",
            phase="pre-copy",
        )
    open_source(params)


def open_source(params: dict[str, Any], check_mode: bool = False) -> dict[str, Any]:
    """Start the source's agent; returns what it says of the service.

    :param check_mode: see whether it could be started, and end it at once.

    :raises PreflightError: the container cannot be moved, or another migration is under way.
    """
    # Only where it is needed: it takes a while to load all that a move may take.
    from ..docker.client import docker_client  # noqa: PLC0415
    from ..source.agent import SourceAgent, SourceSettings, detach  # noqa: PLC0415

    enter("source")
    agent = SourceAgent(
        SourceSettings(
            params["migration_id"],
            params["container"],
            params["move_binds"],
            params["started_by"],
            params.get("address") or "",
            params["idle_timeout_s"],
        ),
        docker_client(),
    )
    agent.open()
    facts = agent.facts()
    if check_mode:
        agent.close()
    else:
        detach(agent)
    return facts


def ask_source(params: dict[str, Any], operation: str, progress: Progress, **fields: Any) -> dict[str, Any]:
    """Have the source's agent do something, for as long as that takes.

    :raises MigrationError: it failed, or the agent is gone.
    """
    if params["peer"] is not None:
        peer = _checked_peer(params)
        fields["peer"] = {
            "address": peer["address"],
            "port": peer["port"],
            "keys": [params["key"], peer["certificate"], peer["peer_certificate"]],
            "silence_timeout_s": peer["silence_timeout_s"],
            "limit_mbit": peer["bandwidth_limit_mbit"],
            "compress": params["compress"],
        }
    return control(
        params["migration_id"], operation, fields, timeout_s=None, name=SOURCE_CONTROL, progress=progress
    )
