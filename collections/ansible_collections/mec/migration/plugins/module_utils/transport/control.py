# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to the receiver of a migration on its own host."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from ..base.errors import MigrationError
from ..base.paths import migration_dir

CONTROL = "control.sock"
# Between two tasks of a play nobody speaks to the receiver for a moment.
IN_USE_S = 15.0


def control(migration_id: str, operation: str, timeout_s: float = 120.0, **fields: Any) -> dict[str, Any]:
    """Ask the receiver of a migration on this host.

    :raises MigrationError: it refused, or is not there.
    """
    path = os.path.join(migration_dir(migration_id), CONTROL)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(path)
            with connection.makefile("rw", encoding="utf-8") as stream:
                stream.write(json.dumps(dict(fields, operation=operation)) + "\n")
                stream.flush()
                line = stream.readline()
        except OSError as error:
            raise MigrationError(
                f"the receiver of migration {migration_id} does not answer on {path}: {error}", phase="arm"
            ) from error
    if not line:
        raise MigrationError(f"the receiver of migration {migration_id} ended", phase="arm")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise MigrationError(
            answer["error"],
            phase=answer.get("phase", "arm"),
            container_state=answer.get("container_state", "unknown"),
            log_tail=answer.get("log_tail", ""),
            rolled_back=bool(answer.get("rolled_back")),
        )
    return answer
