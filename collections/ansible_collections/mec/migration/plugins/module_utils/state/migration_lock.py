# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock that lets one migration at a time touch a service: the kernel's, held by the migration's agent.

It goes with the last process that holds it, so it needs no expiry and no renewal. That is the agent, and
while the service is frozen its guard, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import NamedTuple

from ..base.errors import MigrationError, PreflightError
from .service_lock import LOCK_DIR


class Owner(NamedTuple):
    """Who holds a lock. ``since``: seconds since the epoch on this host's clock."""

    migration_id: str = ""
    service: str = ""
    started_by: str = ""
    since: float = 0.0


class LockHeldError(PreflightError):
    """Another migration holds it."""

    def __init__(self, message: str, owner: Owner) -> None:
        super().__init__(message)
        self.owner = owner


class MigrationLock:
    """The lock of one container (by its id), or on the target of what will have a name.

    :param directory: :data:`LOCK_DIR` if None; mode 0700.
    """

    def __init__(self, name: str, directory: str | None = None) -> None:
        self._directory = directory or LOCK_DIR
        self._path = os.path.join(self._directory, name)
        self._file = -1

    def take(self, owner: Owner, patience_s: float = 0.0) -> None:
        """Take it; a fork of this process holds it, too.

        :raises LockHeldError: another one has it, and still has it after *patience_s*.
        :raises MigrationError: there can be no lock there.
        """
        end = time.monotonic() + patience_s
        while not self._try():
            if time.monotonic() > end:
                held_by = self.owner()
                raise LockHeldError(f"migration {held_by.migration_id} holds {self._path}", held_by)
            time.sleep(0.05)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(owner._asdict()).encode(), 0)

    def _try(self) -> bool:
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise MigrationError(f"cannot take the lock {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever gave it back has taken the name away: what was locked must still be what the name means.
            if os.path.samestat(os.fstat(descriptor), os.stat(self._path)):
                self._file = descriptor
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return False

    def owner(self) -> Owner:
        """Who wrote there last; all empty if nothing can be read."""
        try:
            with open(self._path, encoding="utf-8") as kept:
                fields = json.load(kept)
            return Owner(
                str(fields["migration_id"]),
                str(fields["service"]),
                str(fields["started_by"]),
                float(fields["since"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return Owner()

    def held(self) -> Owner | None:
        """Who holds it now; None if nobody does."""
        if not os.path.exists(self._path):
            return None
        if self._try():
            os.close(self._file)
            self._file = -1
            return None
        return self.owner()

    def release(self) -> None:
        """Give it back; nothing is left."""
        if self._file >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            os.close(self._file)
            self._file = -1

    def leave(self) -> None:
        """Close it in this process alone: a fork goes on holding it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
