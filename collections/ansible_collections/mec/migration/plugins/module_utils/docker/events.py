# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done to a container, as Docker remembers it: the daemon keeps its last 256 events."""

from __future__ import annotations

import signal
import time
from typing import Any

from ..base.threads import within

# Docker answers at once; the client itself would wait for ever.
ANSWER_S = 5.0
# Events of what a move undoes, and the commands that cause them.
CHANGES = {
    "update": "docker update",
    "rename": "docker rename",
    "pause": "docker pause",
    "unpause": "docker unpause",
    "connect": "docker network connect",
    "disconnect": "docker network disconnect",
}


def done_since(client: Any, container_id: str, since: float, changed_since: float = 0.0) -> str:
    """That somebody ended, removed, signalled or changed a container, as the end of a sentence; empty if
    nobody did.

    It is told and decides nothing, so that where Docker does not say it nobody did.

    :param since: seconds since the epoch.
    :param changed_since: likewise, for changes, which did not come to the target before that either.
    """
    first = min(since, changed_since or since)
    signals, ended, removed, started = [], "", False, False
    changed: dict[str, None] = {}
    for event in within(ANSWER_S, lambda: _events(client, container_id, first)) or []:
        action, facts = str(event.get("Action")), dict((event.get("Actor") or {}).get("Attributes") or {})
        if action in CHANGES:
            changed[CHANGES[action]] = None
        elif event.get("timeNano", since * 1e9) < since * 1e9:
            # The service had it before it was frozen.
            continue
        elif action == "kill":
            signals.append(_signal_name(str(facts.get("signal"))))
        elif action == "die":
            ended = f"it ended there (exit code {facts.get('exitCode')})"
        removed, started = removed or action == "destroy", started or action == "start"
    told = [f"it was sent {', '.join(dict.fromkeys(signals))} there"] if signals else [ended] if ended else []
    if started:
        told.append("was started anew there")
    if removed:
        told.append("its container was removed there")
    by = " (docker stop, kill, rm or restart)" if signals or removed or started else ""
    done = " and ".join(told) + by
    if ended or started:
        # A container leaves its networks as it ends, and comes back to them.
        changed = {command: None for command in changed if "network" not in command}
    by_whom = f"it was changed there, and not on the target ({', '.join(changed)})" if changed else ""
    return ", and ".join(filter(None, (done, by_whom)))


def _events(client: Any, container_id: str, since: float) -> list[dict[str, Any]]:
    # Those of networks know their containers, and Docker does not find them by these.
    until, filters = f"{time.time():.6f}", {"type": ["container", "network"]}
    found = client.events(since=f"{since:.6f}", until=until, filters=filters, decode=True)
    return [event for event in found if container_id in _ids(event)]


def _ids(event: dict[str, Any]) -> tuple[str, str]:
    actor = event.get("Actor") or {}
    return str(actor.get("ID")), str((actor.get("Attributes") or {}).get("container"))


def _signal_name(number: str) -> str:
    try:
        return signal.Signals(int(number)).name
    except ValueError:
        return f"signal {number}"
