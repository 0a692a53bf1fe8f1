# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is cordoned takes no services by itself: one file on it, with who said so and why."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import NamedTuple

from ..base.errors import MigrationError

# Beside the journals, but no ``.json``: it is none.
CORDON_FILE = "/var/lib/mec-migration/cordoned"


class Cordon(NamedTuple):
    """Why a host is cordoned.

    :ivar since: seconds since the epoch, on the host's clock.
    """

    reason: str
    since: float


def read_cordon(path: str = CORDON_FILE) -> Cordon | None:
    """This host's cordon; None if there is none. One that cannot be read counts, too: somebody meant it."""
    try:
        with open(path, encoding="utf-8") as file:
            said = json.load(file)
        return Cordon(str(said["reason"]), float(said["since"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return Cordon(f"{path} cannot be read", 0.0)


def cordon(reason: str, path: str = CORDON_FILE) -> None:
    """Cordon this host, on disk before this returns."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(Cordon(reason, time.time())._asdict(), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise MigrationError(f"The host cannot be cordoned, {path}: {error.strerror}") from error


def uncordon(path: str = CORDON_FILE) -> None:
    """Let this host take services again."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
