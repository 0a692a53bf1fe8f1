# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the Docker daemon with the standard library alone, for hosts that may lack the SDK."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

SOCKET = "/var/run/docker.sock"


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

    def __init__(self, path: str = SOCKET, timeout_s: float = 20.0) -> None:
        self._connection = _UnixConnection(path, timeout_s)

    def get(self, path: str) -> Any:
        """The JSON answer to ``GET path``.

        :raises OSError: no daemon listens, or it refuses.
        """
        try:
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            body = response.read()
            answer = json.loads(body)
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(f"no answer that can be read to {path}: {error}") from error
        if response.status != http.client.OK:
            raise OSError(f"{path}: {answer.get('message', body)}")
        return answer

    def close(self) -> None:
        self._connection.close()
