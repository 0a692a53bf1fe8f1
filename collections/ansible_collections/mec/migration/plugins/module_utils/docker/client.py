# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of this host's Docker daemon."""

from __future__ import annotations

from typing import Any

from ..base.crash_points import watched
from ..base.errors import PreflightError
from .engine import UNIX, socket_path

try:
    import docker

    HAS_DOCKER = True
except ImportError:
    HAS_DOCKER = False


def docker_client(timeout_s: float | None = 60.0) -> Any:
    """A low-level client of this host's Docker daemon.

    :param timeout_s: for each answer; None waits for ever, which ``docker start`` into an armed
        runtime needs.
    :raises PreflightError: no Docker SDK, no daemon, or one that ``DOCKER_HOST`` names on another host.
    """
    if not HAS_DOCKER:
        raise PreflightError(
            "the Docker SDK for Python is missing on this host; install python3-docker, or run the role "
            "mec.migration.edge_host"
        )
    try:
        found = docker.APIClient(base_url=UNIX + socket_path(), version="auto", timeout=timeout_s)
        client = watched("docker", found)
        client.ping()
    except PreflightError:
        raise
    except Exception as error:
        raise PreflightError(
            f"the Docker daemon of this host does not answer at {UNIX + socket_path()}: {error}. Is it "
            "running? `systemctl status docker` and `journalctl -u docker` tell"
        ) from error
    return client
