# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions from CAMARA's location retrieval: one request a user, whose answer is a circle or a polygon.

Written to the OpenAPI text of location-retrieval 0.5.0 (CAMARA DeviceLocation r3.2, 2025-09-16), and to the
one that is to become 1.0.0 (its main branch, 2026-06-12).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..base.errors import LocationError
from .api import Answer, secret_of
from .area import check_uncertainty, spot_of_area
from .settings import Settings, device_of

AT_ONCE = 4
# What an answer says of one user; anything else but 200 is about the service as a whole.
ABOUT_THE_USER = (403, 404, 422)


class Located:
    """A user: the ``device`` to ask for, or the user's own token, which names the device already."""

    def __init__(self, name: str, who: Any) -> None:
        self.name = name
        self.token = (
            secret_of(who, "token")
            if isinstance(who, Mapping) and set(who) <= {"token", "token_file"}
            else None
        )
        self.device = None if self.token else device_of(who, name)


class LocationRetrieval:
    """Where users are, from ``/retrieve``."""

    def __init__(self, settings: Settings) -> None:
        if not settings.users:
            raise LocationError(
                f"location service of type {settings.kind}: users is missing; name each user's device"
            )
        self._api = settings.api
        self._users = [Located(name, who) for name, who in settings.users.items()]
        known: dict[str, str] = {}
        for user in self._users:
            key = json.dumps(user.device, sort_keys=True)
            if user.device and key in known:
                raise LocationError(f"users: {known[key]} and {user.name} have the same device")
            known[key] = user.name
        self._asked = {
            key: int(value)
            for key, value in (
                ("maxAge", settings.at_least("max_age_seconds", 0)),
                ("maxSurface", settings.at_least("max_surface_m2", 1)),
            )
            if value is not None
        }
        self._max_uncertainty_m = settings.at_least("max_uncertainty_m", 0)

    def read(self, _now_s: float) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """(position by user, what is wrong with the users that have none)."""
        found: dict[str, dict[str, Any]] = {}
        problems: list[str] = []
        with ThreadPoolExecutor(min(AT_ONCE, len(self._users))) as pool:
            answers = list(pool.map(self._ask, self._users))
        for user, answer in zip(self._users, answers):
            try:
                found[user.name] = self._position(answer)
            except LocationError as error:
                problems.append(f"user {user.name}: {error}")
        return found, problems

    def _ask(self, user: Located) -> Answer:
        body = {**({"device": user.device} if user.device else {}), **self._asked}
        answer = self._api.post("/retrieve", body, user.token() if user.token else None)
        # A user's own token is the user's own trouble.
        about_the_user = (*ABOUT_THE_USER, 401) if user.token else ABOUT_THE_USER
        if answer.status != 200 and answer.status not in about_the_user:
            raise LocationError(f"POST /retrieve: {answer.problem()}")
        return answer

    def _position(self, answer: Answer) -> dict[str, Any]:
        if answer.status != 200:
            raise LocationError(answer.problem())
        if not isinstance(answer.document, Mapping):
            raise LocationError("the answer is no object")
        spot = spot_of_area(answer.document.get("area"))
        check_uncertainty(spot, self._max_uncertainty_m)
        return dict(spot.position())
