# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody changes of a container while it is moved.

The container on the target is made right at the beginning. What Docker on the source is told afterwards would
be undone by the move.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..base.errors import MigrationError
from ..base.threads import within

ANSWER_S = 5.0
# What `docker update` can change, as `docker inspect` has it, and its options.
OPTIONS = {
    "BlkioWeight": "--blkio-weight",
    "CpuPeriod": "--cpu-period",
    "CpuQuota": "--cpu-quota",
    "CpuRealtimePeriod": "--cpu-rt-period",
    "CpuRealtimeRuntime": "--cpu-rt-runtime",
    "CpuShares": "--cpu-shares",
    "CpusetCpus": "--cpuset-cpus",
    "CpusetMems": "--cpuset-mems",
    "Memory": "--memory",
    "MemoryReservation": "--memory-reservation",
    "MemorySwap": "--memory-swap",
    "NanoCpus": "--cpus",
    "PidsLimit": "--pids-limit",
    "RestartPolicy": "--restart",
}
# What `docker network connect` can be told, as `docker inspect` has it.
ENDPOINT = ("IPAMConfig", "Aliases", "Links", "DriverOpts")


def refuse_changed(client: Any, before: dict[str, Any]) -> None:
    """Where Docker does not answer, nobody has changed anything.

    :param before: what Docker told of the container when its migration began.
    :raises MigrationError: somebody has changed it since.
    """
    now = within(ANSWER_S, lambda: client.inspect_container(before["Id"]))
    found = list(changes(before, now)) if now else []
    if not found:
        return
    paused = bool((now or {}).get("State", {}).get("Paused"))
    goes_on = "It stays as it is on this host" if paused else "It runs on, on this host, as it is now"
    first = "Let it go on (docker unpause), and start" if paused else "Start"
    raise MigrationError(
        f"container {str(before.get('Name', '')).lstrip('/')} has been changed since its migration began: "
        f"{', '.join(found)}. The container on the target was made before that, so the move would undo it. "
        f"{goes_on}. {first} the migration again",
        phase="handover",
        container_state="frozen" if paused else "running",
        rolled_back=True,
    )


def changes(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """The commands of Docker by which what was *before* has become what is *now*."""
    if now.get("State", {}).get("Paused"):
        yield "docker pause"
    old, new = before.get("HostConfig") or {}, now.get("HostConfig") or {}
    options = [option for name, option in OPTIONS.items() if name in new and old.get(name) != new[name]]
    if options:
        yield f"docker update {' '.join(options)}"
    if now.get("Name", before.get("Name")) != before.get("Name"):
        yield f"docker rename, to {str(now['Name']).lstrip('/')}"
    had, has = _networks(before), _networks(now)
    yield from (f"docker network connect {name}" for name in sorted(has.keys() - had.keys()))
    yield from (f"docker network disconnect {name}" for name in sorted(had.keys() - has.keys()))
    for name in sorted(has.keys() & had.keys()):
        if any(_differ(had[name].get(option), has[name].get(option)) for option in ENDPOINT):
            yield f"docker network disconnect and connect {name}, with other options"


def _networks(inspected: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    return {name: endpoint or {} for name, endpoint in found.items()}


def _differ(old: Any, new: Any) -> bool:
    """Docker has nothing as null, or empty; names come in any order."""
    if isinstance(old, list) and isinstance(new, list):
        return sorted(old) != sorted(new)
    return (old or None) != (new or None)
