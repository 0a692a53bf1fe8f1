# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decides the cost of a migration, as a host holds it now: its layers, and its services' loads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..base.errors import MigrationError
from ..base.host_load import load_per_cpu
from ..image.layers import host_layers_info, image_info
from ..image.opened import open_store
from ..image.store import ImageStore
from ..memory.dirty_rate import compressed_share, dirty_rate
from .service import Service
from .window_load import window_load


def running_names(client: Any) -> list[str]:
    """Names of the containers that Docker calls running, sorted."""
    # Docker's own list, which also holds those of which a start waits: they are `created`.
    listed = client.containers()
    return sorted(one["Names"][0].lstrip("/") for one in listed if one["State"] == "running")


def host_load(client: Any, containers: Iterable[str], interval_s: float) -> dict[str, Any]:
    """What ``migration_cost_info`` returns; containers that do not run here are left out."""
    running = running_names(client)
    store = open_store(client)
    services = {}
    for name in containers:
        if name in running:
            try:
                services[name] = service_load(client, store, name, interval_s)
            except MigrationError as error:
                # One that cannot be moved, or has just ended, must not hide the others.
                services[name] = {"problem": error.message}
            except OSError as error:
                services[name] = {
                    "problem": f"container {name} cannot be measured: {error}. Has it just ended?"
                }
    return {
        "load_per_cpu": load_per_cpu(),
        "diff_ids": host_layers_info(client, [])["diff_ids"],
        "running": running,
        "services": services,
    }


def service_load(client: Any, store: ImageStore, name: str, interval_s: float) -> dict[str, Any]:
    """Memory, rate of change and image of a running container.

    :raises PreflightError: it does not run, or cannot be moved.
    """
    service = Service(client, name)
    pids = service.pids()
    rate, share = dirty_rate(pids, interval_s), compressed_share(pids)
    image = image_info(store, str(service.spec["image_id"]))
    return {
        "memory_bytes": service.memory_bytes,
        "dirty_pages_per_s": round(rate.pages_per_s, 1),
        "compressed_share": None if share is None else round(share, 3),
        "window": window_load(service)._asdict(),
        "sampled_pages": rate.sampled_pages,
        "sample_seconds": round(rate.seconds, 3),
        "image_id": image["id"],
        "layers": [{"diff_id": one["diff_id"], "size_bytes": one["size_bytes"]} for one in image["layers"]],
    }
