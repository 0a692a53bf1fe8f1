# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the Docker daemon with the standard library alone, for hosts that may lack the SDK."""

from __future__ import annotations

import http.client
import json
import os
import socket
from typing import Any

from ..base.errors import PreflightError

SOCKET = "/var/run/docker.sock"
UNIX = "unix://"


def socket_path() -> str:
    """Where the daemon listens: the environment's ``DOCKER_HOST``, else Docker's usual socket.

    :raises PreflightError: the daemon may be on another host, whose files are not to be seen here.
    """
    host = os.environ.get("DOCKER_HOST", "")
    if not host:
        return SOCKET
    if not host.startswith(UNIX):
        raise PreflightError(
            f"DOCKER_HOST is {host}; a migration reads the daemon's own files, so it must be on this host, "
            "reached by a UNIX socket (unix:///...). Set it so, or take it out of the task's environment"
        )
    return host[len(UNIX) :] or SOCKET


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """Reads from the daemon over one connection."""

    def __init__(self, path: str | None = None, timeout_s: float = 20.0) -> None:
        """:raises PreflightError: see :func:`socket_path`."""
        self._connection = _UnixConnection(socket_path() if path is None else path, timeout_s)

    def get(self, path: str) -> Any:
        """The JSON answer to ``GET path``.

        :raises OSError: no daemon listens, or it refuses.
        """
        try:
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            body = response.read()
            answer = json.loads(body)
        except (http.client.HTTPException, ValueError, RecursionError) as error:
            raise OSError(f"no answer that can be read to {path}: {error}") from error
        if response.status != http.client.OK:
            message = answer.get("message") if isinstance(answer, dict) else None
            raise OSError(f"{path}: {message or ascii(body[:200])}")
        return answer

    def close(self) -> None:
        self._connection.close()
