# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host remembers of a migration: one small JSON file a migration, on disk, mode 0600.

It outlives the process that wrote it, dockerd and the controller, so that ``mec.migration.resolve`` can
end what was left open. States, in the order in which they can come:

source: ``prepared`` -> ``frozen`` -> ``images_sent`` -> ``committed``, or ``rolled_back``;
target: ``listening`` -> ``armed`` -> ``restoring`` -> ``running`` -> ``committed``, or ``destroyed``.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any

JOURNAL_DIR = "/var/lib/mec-migration"
SOURCE, TARGET = "source", "target"


class Journal:
    """The journal of one side of one migration."""

    def __init__(self, migration_id: str, side: str, directory: str = JOURNAL_DIR) -> None:
        self._path = os.path.join(directory, f"{migration_id}.{side}.json")
        self.entry: dict[str, Any] = {"migration_id": migration_id, "side": side}
        try:
            with open(self._path, encoding="utf-8") as kept:
                self.entry = json.load(kept)
        except FileNotFoundError:
            pass

    @property
    def state(self) -> str:
        return str(self.entry.get("state", ""))

    def write(self, state: str, **facts: Any) -> None:
        """Record *state*; on disk before this returns, or as good as: a crash leaves the old or the new."""
        self.entry.update(facts, state=state, time=time.time())
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        temporary = self._path + ".new"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(self.entry, out)
            out.flush()
            os.fdatasync(out.fileno())
        os.replace(temporary, self._path)

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


def entries(directory: str = JOURNAL_DIR, service: str | None = None) -> list[dict[str, Any]]:
    """All journals on this host, oldest first; those of *service* only, if given."""
    found = []
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    for name in names:
        if name.endswith((".source.json", ".target.json")):
            try:
                with open(os.path.join(directory, name), encoding="utf-8") as kept:
                    entry = json.load(kept)
            except (OSError, ValueError):
                continue
            if service in (None, entry.get("service")):
                found.append(entry)
    return sorted(found, key=lambda entry: float(entry.get("time", 0)))
