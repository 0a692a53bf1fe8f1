# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a migration keeps what it needs on a host."""

from __future__ import annotations

import hashlib
import os

from .errors import PreflightError

RUN_DIR = "/run/mec-migration"
# The armed runtime: where it looks for who waits for it, and what Docker calls it.
ARMED_DIR, RUNTIME_NAME = f"{RUN_DIR}/armed", "mec"

# What a socket's address has room for (struct sockaddr_un) beside the zero byte at its end, and the socket
# with the longest path in a migration's directory.
ADDRESS_BYTES, LONGEST_SOCKET = 107, "restore/lazy-pages.socket"
LONGEST_NAME = ADDRESS_BYTES - len(f"{RUN_DIR}//{LONGEST_SOCKET}")


def check_migration_id(migration_id: str) -> str:
    """*migration_id*, which becomes part of paths.

    :raises PreflightError: it cannot.
    """
    if not migration_id or not all(char.isalnum() or char in "-_." for char in migration_id):
        raise PreflightError(
            f"migration_id {migration_id!r} may hold letters, digits, dash, underscore and dot only"
        )
    if migration_id.startswith("."):
        raise PreflightError(f"migration_id {migration_id!r} may not start with a dot")
    return migration_id


def migration_dir(migration_id: str) -> str:
    """This host's directory of one migration, on tmpfs; it need not be there."""
    return os.path.join(RUN_DIR, short_name(migration_id))


def short_name(migration_id: str) -> str:
    """The id, which begins with the service's name; of a long one, so much of it that sockets have room.

    Containers of Docker Compose and Swarm easily have names of 40 characters.
    """
    name = os.fsencode(migration_id)
    if len(name) <= LONGEST_NAME:
        return migration_id
    digest = hashlib.sha256(name).hexdigest()[:32]
    return f"{os.fsdecode(name[: LONGEST_NAME - len(digest) - 1])}-{digest}"


def state_dir(migration_id: str) -> str:
    """The same, mode 0700; made if need be."""
    path = migration_dir(check_migration_id(migration_id))
    os.makedirs(RUN_DIR, mode=0o700, exist_ok=True)
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path
