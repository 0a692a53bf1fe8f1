# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock on a service, kept on the hosts between which it moves: one owner at a time, and an expiry.

The expiry is judged by the clock of the host that keeps the lock alone, so clocks need not agree. A lock
that expired is taken over: its owner died, or lives and will fail to renew it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..base.errors import MigrationError, PreflightError

LOCK_DIR = "/var/lib/mec-migration/locks"


class Holder(NamedTuple):
    """Who has a lock, and for how long if it is not renewed."""

    owner: str
    expires_in_s: float


class ServiceLock:
    """The lock of one service on this host.

    :raises PreflightError: the service's name cannot be part of a path.
    """

    def __init__(self, service: str, directory: str = LOCK_DIR) -> None:
        if not service or "/" in service or service.startswith("."):
            raise PreflightError(
                f"service is {service!r}, and must be a name without a slash that does not start with a dot"
            )
        self._directory = directory
        self._path = os.path.join(directory, f"{service}.lock")

    def holder(self) -> Holder | None:
        """Who has it now; None where it is free or expired."""
        try:
            with open(self._path, encoding="utf-8") as kept:
                entry = json.load(kept)
            left = float(entry["expires"]) - time.time()
            # A clock that was set back must not make a lock last for ever.
            left = min(left, float(entry["ttl_s"]))
            return Holder(str(entry["owner"]), left) if left > 0 else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def take(self, owner: str, ttl_s: float, check_mode: bool = False) -> Holder:
        """Take or renew it for *owner*; returns who has it then, which may be another."""
        with self._exclusive():
            now = self.holder()
            if now is not None and now.owner != owner:
                return now
            if not check_mode:
                entry = {"owner": owner, "ttl_s": ttl_s, "expires": time.time() + ttl_s}
                self._write(entry)
            return Holder(owner, ttl_s)

    def release(self, owner: str, check_mode: bool = False) -> bool:
        """Give it back; returns whether *owner* had it. That of another owner stays."""
        with self._exclusive():
            now = self.holder()
            if now is None or now.owner != owner:
                return False
            if not check_mode:
                os.unlink(self._path)
            return True

    def _write(self, entry: dict[str, Any]) -> None:
        temporary = self._path + ".new"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(entry, out)
            out.flush()
            os.fdatasync(out.fileno())
        os.replace(temporary, self._path)

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Nobody else on this host looks or writes meanwhile. The directory is locked: no file is left."""
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            fd = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise MigrationError(f"cannot keep locks in {self._directory}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)
