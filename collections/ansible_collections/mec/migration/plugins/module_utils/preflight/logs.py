# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of what `docker logs` shows moves."""

from __future__ import annotations

from collections.abc import Iterator

from ..docker.container_log import ContainerLog
from .pair import MIB, Container, Facts


def log_warnings(source: Facts, container: Container, log_mib: int) -> Iterator[str]:
    """What is older than what moves is removed with the container here."""
    container_id = str(container.inspected["Id"])
    try:
        log = ContainerLog.find(source["docker"]["root_dir"], container_id)
        older_bytes = log.newest(log_mib * MIB)[1] if log is not None else 0
    except OSError as error:
        yield f"the log of container {container.name} cannot be read and does not move: {error}"
        return
    if older_bytes:
        yield (
            f"of the log of container {container.name} the newest {log_mib} MiB move; "
            f"{older_bytes / MIB:.1f} MiB that are older are removed with the container on the source. Give "
            "migrate_log_mib (option log_mib) more, or save them first by `docker logs`"
        )
