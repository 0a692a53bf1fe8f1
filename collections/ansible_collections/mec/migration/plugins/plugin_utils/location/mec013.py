# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions from an ETSI MEC 013 location service: of users, by coordinates, zone or access point.

Written to the OpenAPI text of ETSI GS MEC 013 V2.2.1 (2022-04-01).
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

from ..base.errors import LocationError
from .api import Answer
from .area import Spot, check_uncertainty, spot_of_location_info
from .settings import Settings

# So many addresses are a query of a few kilobytes, which servers take.
ADDRESSES_AT_ONCE = 50


class Mec013Users:
    """Where users are, from ``/queries/users``."""

    def __init__(self, settings: Settings) -> None:
        self._api = settings.api
        self._names: dict[str, str] = {}
        for name, address in settings.users.items():
            if str(address) in self._names:
                raise LocationError(
                    f"users: {self._names[str(address)]} and {name} have the same address {address}"
                )
            self._names[str(address)] = name
        zones = settings.given.get("zones") or {}
        if not isinstance(zones, Mapping):
            raise LocationError(
                f"zones is {type(zones).__name__}; allowed: a dictionary, the policy's cell by zone"
            )
        self._zones = {str(zone): str(cell) for zone, cell in zones.items()}
        self._max_age_s = settings.at_least("max_age_seconds", 0)
        self._max_uncertainty_m = settings.at_least("max_uncertainty_m", 0)

    def read(self, now_s: float) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """(position by user, what is wrong with the users that have none).

        :param now_s: seconds since the epoch.
        """
        found: dict[str, dict[str, Any]] = {}
        problems: list[str] = []
        access_points: dict[str, dict[str, Any]] = {}
        for info in self._infos():
            name = "?"
            try:
                address = _text(info, "address")
                name = self._names.get(address, address)
                if self._names and address not in self._names:
                    continue
                self._check_age(info, now_s)
                found[name] = self._position(info, access_points)
            except LocationError as error:
                problems.append(f"user {name}: {error}")
        return found, problems

    def _infos(self) -> Iterable[Mapping[str, Any]]:
        addresses = list(self._names)
        if not addresses:
            yield from self._users([])
        for start in range(0, len(addresses), ADDRESSES_AT_ONCE):
            yield from self._users(addresses[start : start + ADDRESSES_AT_ONCE])

    def _users(self, addresses: list[str]) -> Iterable[Mapping[str, Any]]:
        answer = self._api.get("/queries/users", [("address", one) for one in addresses])
        if answer.status == 404 and addresses:
            # One of them is not known there; the others may be.
            for address in addresses if len(addresses) > 1 else []:
                yield from self._users([address])
            return
        listed = _object(answer, "userList", "/queries/users").get("user", [])
        if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
            raise LocationError("GET /queries/users: userList.user is no list of objects")
        yield from listed

    def _check_age(self, info: Mapping[str, Any], now_s: float) -> None:
        stamp = info.get("timestamp")
        seconds = stamp.get("seconds") if isinstance(stamp, Mapping) else None
        if self._max_age_s is None or not isinstance(seconds, int) or isinstance(seconds, bool):
            return
        if now_s - seconds > self._max_age_s:
            raise LocationError(f"was seen {now_s - seconds:.0f} s ago; allowed: {self._max_age_s:g} s")

    def _position(self, info: Mapping[str, Any], access_points: dict[str, dict[str, Any]]) -> dict[str, Any]:
        where = info.get("locationInfo")
        if where is not None:
            return {**self._spot(where).position(), **_heading(where)}
        zone = _text(info, "zoneId")
        if zone in self._zones:
            return {"cell": self._zones[zone]}
        access_point = _text(info, "accessPointId")
        if zone not in access_points:
            access_points[zone] = self._access_points(zone)
        if access_points[zone].get(access_point) is None:
            raise LocationError(
                f"is in zone {zone} at access point {access_point}, and neither has a place: "
                "name the zone's cell in zones"
            )
        return dict(self._spot(access_points[zone][access_point]).position())

    def _access_points(self, zone: str) -> dict[str, Any]:
        """``locationInfo`` of each access point of *zone*."""
        path = f"/queries/zones/{urllib.parse.quote(zone, safe='')}/accessPoints"
        answer = self._api.get(path)
        if answer.status == 404:
            return {}
        listed = _object(answer, "accessPointList", path).get("accessPoint", [])
        if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
            raise LocationError(f"GET {path}: accessPointList.accessPoint is no list of objects")
        return {_text(one, "accessPointId"): one.get("locationInfo") for one in listed}

    def _spot(self, where: Any) -> Spot:
        spot = spot_of_location_info(where)
        check_uncertainty(spot, self._max_uncertainty_m)
        return spot


def _heading(where: Mapping[str, Any]) -> dict[str, float]:
    velocity = where.get("velocity")
    if not isinstance(velocity, Mapping):
        return {}
    bearing, speed = velocity.get("bearing"), velocity.get("horizontalSpeed")
    numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (bearing, speed))
    # Who stands still has no direction.
    if not numbers or not speed or bearing is None:
        return {}
    return {"heading": float(bearing) % 360.0}


def _object(answer: Answer, name: str, path: str) -> Mapping[str, Any]:
    if answer.status != 200:
        raise LocationError(f"GET {path}: {answer.problem()}")
    found = answer.document.get(name) if isinstance(answer.document, Mapping) else None
    if not isinstance(found, Mapping):
        raise LocationError(f"GET {path}: the answer has no object {name}")
    return found


def _text(info: Mapping[str, Any], key: str) -> str:
    value = info.get(key)
    if not isinstance(value, str) or not value:
        raise LocationError(f"{key} is {value!r}; allowed: a text")
    return value
