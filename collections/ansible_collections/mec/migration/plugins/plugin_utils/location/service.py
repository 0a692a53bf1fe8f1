# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions from a location service on the network, as the document that planning takes."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any

from .mec013 import Mec013Users
from .retrieval import LocationRetrieval
from .settings import MEC013, RETRIEVAL, settings_of


class LocationService:
    """A service that says where users are when it is asked.

    :raises LocationError: the settings are wrong.
    """

    def __init__(self, given: Any) -> None:
        settings = settings_of(given, (MEC013, RETRIEVAL))
        self._users = Mec013Users(settings) if settings.kind == MEC013 else LocationRetrieval(settings)
        self.name = f"{settings.kind} {settings.api.url}"

    def read(self) -> tuple[dict[str, Any], list[str]]:
        """(document of positions, what is wrong with the users that are not in it).

        :raises LocationError: there is no answer, or it is not one of this API.
        """
        found, problems = self._users.read(time.time())
        moment = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return {"format": 1, "time": moment, "users": found}, problems
