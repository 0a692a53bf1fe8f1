# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done to a container, as Docker remembers it: the daemon keeps its last 256 events."""

from __future__ import annotations

import signal
import time
from typing import Any

from ..base.threads import InThread

# Docker answers at once; the client itself would wait for ever.
ANSWER_S = 5.0


def done_since(client: Any, container_id: str, since: float) -> str:
    """That somebody ended, removed or signalled a container, as the end of a sentence; empty if nobody did.

    It is told and decides nothing, so that where Docker does not say it nobody did.

    :param since: seconds since the epoch.
    """
    asked = InThread(lambda: _events(client, container_id, since))
    end = time.monotonic() + ANSWER_S
    while asked.running and time.monotonic() < end:
        time.sleep(0.002)
    if asked.running or asked.error is not None:
        return ""
    signals, ended, removed, started = [], "", False, False
    for event in asked.result():
        action, facts = str(event.get("Action")), dict((event.get("Actor") or {}).get("Attributes") or {})
        if action == "kill":
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
    return " and ".join(told) + by


def _events(client: Any, container_id: str, since: float) -> list[dict[str, Any]]:
    until, filters = f"{time.time():.6f}", {"container": container_id}
    return list(client.events(since=f"{since:.6f}", until=until, filters=filters, decode=True))


def _signal_name(number: str) -> str:
    try:
        return signal.Signals(int(number)).name
    except ValueError:
        return f"signal {number}"
