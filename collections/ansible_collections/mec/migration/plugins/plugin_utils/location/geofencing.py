# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions from CAMARA's geofencing subscriptions: events say who has entered and left which area.

Written to the OpenAPI text of geofencing-subscriptions 0.5.0 (CAMARA DeviceLocation r3.2, 2025-09-16).
"""

from __future__ import annotations

import re
import secrets
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ..base.errors import LocationError
from .area import spot_of_area
from .retrieval import ABOUT_THE_USER, Located
from .settings import GEOFENCING, Settings, checked_number, settings_of
from .sink import EventSink, Refused

EVENT = re.compile(
    r"org\.camaraproject\.geofencing-subscriptions\.v\d+\."
    r"(area-entered|area-left|subscription-started|subscription-updated|subscription-ended)"
)
REQUIRED = ("id", "source", "specversion", "type", "time", "data")
EXPIRY_S = 3600.0
# A subscription that could not be made is tried again after so long, then twice as long, up to the most.
RETRY_S, MOST_RETRY_S = 5.0, 300.0


@dataclass
class Fence:
    """One user in one area, and one kind of event: a subscription, once there is one."""

    user: Located
    area: int
    kind: str
    path: str = ""
    subscription_id: str = ""
    until_s: float = 0.0
    problem: str = ""
    retry_s: float = RETRY_S
    not_before_s: float = 0.0


@dataclass(frozen=True)
class Area:
    """``document``: as the API has it. ``position``: where a user in it is taken to be."""

    document: dict[str, Any]
    position: dict[str, Any]


class Geofences:
    """Where users are, from events that tell who has entered and left which area.

    :param clock: seconds since the epoch.
    :raises LocationError: the settings are wrong.
    """

    def __init__(self, given: Any, clock: Callable[[], float] = time.time) -> None:
        settings = settings_of(given, (GEOFENCING,))
        self._api = settings.api
        self._clock = clock
        self._areas = _areas(settings)
        self._expiry_s = settings.at_least("expiry_seconds", 60) or EXPIRY_S
        self._sink_url = _sink(settings)
        version = re.search(r"/v(\d+)[^/]*$", settings.api.url)
        self._prefix = f"org.camaraproject.geofencing-subscriptions.v{version[1] if version else '0'}."
        if not settings.users:
            raise LocationError(
                f"location service of type {GEOFENCING}: users is missing; name each user's device"
            )
        self._fences = [
            Fence(Located(name, who), area, kind)
            for name, who in settings.users.items()
            for area in range(len(self._areas))
            for kind in ("area-entered", "area-left")
        ]
        self._by_path: dict[str, Fence] = {}
        # By user: when each area was entered that was not left. By user and area: the newest event.
        self._inside: dict[str, dict[int, float]] = {}
        self._newest: dict[tuple[str, int], float] = {}
        self._lock = threading.Lock()
        self._token = secrets.token_urlsafe(32)
        # What is wrong with the service as a whole, and when it is asked again.
        self._trouble, self._retry_s, self._not_before_s = "", RETRY_S, 0.0
        self._listener: EventSink | None = None
        self._listen = _listen(settings)
        self.name = f"{GEOFENCING} {settings.api.url}"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listener.port if self._listener else 0

    def start(self) -> None:
        """Listen; subscriptions are made by the first :meth:`read`.

        :raises LocationError: the address is taken, or the certificate is none.
        """
        address, port, certificate, key = self._listen
        self._listener = EventSink(
            address, port, self._token, self._knows, self.take, certificate=certificate, key=key
        )
        self._listener.start()

    def stop(self) -> None:
        """Take the subscriptions back, as far as the service answers, and listen no more."""
        for fence in self._fences:
            if fence.subscription_id:
                try:
                    self._delete(fence.subscription_id, fence.user)
                except LocationError:
                    # It ends by itself, at its expiry.
                    break
        if self._listener:
            self._listener.stop()

    def read(self) -> tuple[dict[str, Any], list[str]]:
        """(document of positions, what is wrong); subscriptions that are missing are made."""
        now_s = self._clock()
        if now_s >= self._not_before_s:
            try:
                for fence in self._fences:
                    if self._due(fence, now_s):
                        self._subscribe(fence, now_s)
                self._trouble, self._retry_s = "", RETRY_S
            except LocationError as error:
                # Those that were made go on telling.
                self._trouble, self._not_before_s = str(error), now_s + self._retry_s
                self._retry_s = min(2 * self._retry_s, MOST_RETRY_S)
        with self._lock:
            inside = {
                user: max(areas, key=areas.__getitem__) for user, areas in self._inside.items() if areas
            }
        users = {user: self._areas[area].position for user, area in inside.items()}
        problems = sorted({f"user {one.user.name}: {one.problem}" for one in self._fences if one.problem})
        problems += [self._trouble] if self._trouble else []
        moment = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return {"format": 1, "time": moment, "users": users}, problems

    def take(self, path: str, event: Mapping[str, Any]) -> None:
        """An event of the subscription whose sink has *path*.

        :raises Refused: it is no event of this API.
        """
        missing = [key for key in REQUIRED if not event.get(key)]
        if missing:
            raise Refused(400, f"{missing[0]} is missing")
        kind = EVENT.fullmatch(str(event["type"]))
        data = event["data"]
        if event["specversion"] != "1.0" or not kind or not isinstance(data, Mapping):
            raise Refused(400, "specversion, type or data is none of a geofencing event")
        if event.get("datacontenttype", "application/json") != "application/json":
            raise Refused(400, "datacontenttype is not application/json")
        moment_s = _moment(event["time"])
        with self._lock:
            fence = self._by_path.get(path)
            if fence is None:
                raise Refused(410, "There is no such subscription any more.")
            if kind[1] == "subscription-ended":
                self._ended(fence, path, data)
            elif kind[1] in ("area-entered", "area-left"):
                if not data.get("subscriptionId") or not data.get("area"):
                    raise Refused(400, "data has no subscriptionId, or no area")
                if kind[1] != fence.kind:
                    raise Refused(400, f"this subscription is for {fence.kind}")
                self._moved(fence, moment_s)

    def _knows(self, path: str) -> bool:
        with self._lock:
            return path in self._by_path

    def _moved(self, fence: Fence, moment_s: float) -> None:
        user, place = fence.user.name, (fence.user.name, fence.area)
        if moment_s < self._newest.get(place, 0.0):
            # Events may overtake each other.
            return
        self._newest[place] = moment_s
        inside = self._inside.setdefault(user, {})
        if fence.kind == "area-left":
            inside.pop(fence.area, None)
        else:
            # A renewed subscription tells again of who is in it already; that is no new arrival.
            inside.setdefault(fence.area, moment_s)

    def _ended(self, fence: Fence, path: str, data: Mapping[str, Any]) -> None:
        # Not only the fence's own: also one that was replaced, or that is being made.
        self._by_path.pop(path, None)
        if fence.path == path:
            fence.path = fence.subscription_id = ""
            fence.until_s = 0.0
        reason = str(data.get("terminationReason"))
        if reason == "SUBSCRIPTION_UNPROCESSABLE":
            words = data.get("terminationDescription")
            fence.problem = f"the subscription ended: {reason}{f', {words}' if words else ''}"
            fence.not_before_s = self._clock() + self._expiry_s

    def _due(self, fence: Fence, now_s: float) -> bool:
        # A quarter before it ends there is time for some more attempts.
        return now_s >= fence.not_before_s and now_s >= fence.until_s - self._expiry_s / 4

    def _subscribe(self, fence: Fence, now_s: float) -> None:
        path, old = secrets.token_urlsafe(18), (fence.path, fence.subscription_id)
        with self._lock:
            # The first event may be here before the answer is.
            self._by_path[path] = fence
        try:
            answer = self._api.post(
                "/subscriptions",
                self._request(fence, path, now_s),
                fence.user.token() if fence.user.token else None,
            )
            if answer.status not in (201, 202):
                if answer.status not in ABOUT_THE_USER:
                    raise LocationError(f"POST /subscriptions: {answer.problem()}")
                fence.problem = answer.problem()
                fence.not_before_s = now_s + fence.retry_s
                fence.retry_s = min(2 * fence.retry_s, MOST_RETRY_S)
                self._forget(path)
                return
            found = answer.document.get("id") if isinstance(answer.document, Mapping) else None
            if not isinstance(found, str) or not found:
                raise LocationError("POST /subscriptions: the answer has no id")
        except LocationError:
            self._forget(path)
            raise
        with self._lock:
            if path not in self._by_path:
                # It was said to have ended while it was being made.
                return
            fence.path, fence.subscription_id, fence.problem = path, found, ""
            fence.until_s, fence.not_before_s, fence.retry_s = now_s + self._expiry_s, 0.0, RETRY_S
        if old[1]:
            self._forget(old[0])
            self._delete(old[1], fence.user)

    def _forget(self, path: str) -> None:
        with self._lock:
            self._by_path.pop(path, None)

    def _delete(self, subscription_id: str, user: Located) -> None:
        path = f"/subscriptions/{urllib.parse.quote(subscription_id, safe='')}"
        answer = self._api.request("DELETE", path, token=user.token() if user.token else None)
        if answer.status not in (202, 204, 404):
            raise LocationError(f"DELETE /subscriptions: {answer.problem()}")

    def _request(self, fence: Fence, path: str, now_s: float) -> dict[str, Any]:
        expires = _text_of(now_s + self._expiry_s)
        return {
            "protocol": "HTTP",
            "sink": f"{self._sink_url}/{path}",
            "sinkCredential": {
                "credentialType": "ACCESSTOKEN",
                "accessToken": self._token,
                # A little longer than the subscription, so that its end can be told, too.
                "accessTokenExpiresUtc": _text_of(now_s + self._expiry_s + 600),
                "accessTokenType": "bearer",
            },
            "types": [self._prefix + fence.kind],
            "config": {
                "subscriptionDetail": {
                    **({"device": fence.user.device} if fence.user.device else {}),
                    "area": self._areas[fence.area].document,
                },
                "initialEvent": fence.kind == "area-entered",
                "subscriptionExpireTime": expires,
            },
        }


def _areas(settings: Settings) -> list[Area]:
    given = settings.given.get("areas")
    if not isinstance(given, (list, tuple)) or not given:
        raise LocationError(
            "areas is missing; allowed: a list of circles with latitude, longitude and radius_m"
        )
    found = []
    for i, one in enumerate(given):
        unknown = (
            sorted(set(one) - {"latitude", "longitude", "radius_m", "cell"})
            if isinstance(one, Mapping)
            else ["it"]
        )
        if unknown:
            raise LocationError(
                f"areas[{i}]: unknown key {unknown[0]}; allowed: latitude, longitude, radius_m, cell"
            )
        centre = {key: one.get(key) for key in ("latitude", "longitude")}
        try:
            spot = spot_of_area({"areaType": "CIRCLE", "center": centre, "radius": one.get("radius_m")})
        except LocationError as error:
            raise LocationError(f"areas[{i}]: {error}") from error
        document = {"areaType": "CIRCLE", "center": spot.position(), "radius": spot.within_m}
        cell = one.get("cell")
        found.append(Area(document, dict(spot.position()) if cell is None else {"cell": str(cell)}))
    return found


def _sink(settings: Settings) -> str:
    sink = str(settings.given.get("sink") or "").rstrip("/")
    parts = urllib.parse.urlsplit(sink)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise LocationError(
            f"sink is {sink!r}; allowed: the https:// address at which the service reaches this machine"
        )
    return sink


def _listen(settings: Settings) -> tuple[str, int, str | None, str | None]:
    given = settings.given.get("listen")
    unknown = (
        sorted(set(given) - {"address", "port", "certificate", "key"})
        if isinstance(given, Mapping)
        else ["it"]
    )
    if unknown or given is None:
        raise LocationError(
            "listen is missing or wrong; allowed: port, address (127.0.0.1), certificate and key"
        )
    port = checked_number(given.get("port"), "listen.port", 0)
    if port != int(port) or port > 65535:
        raise LocationError(f"listen.port is {port:g}; allowed: 0 to 65535")
    return (
        str(given.get("address") or "127.0.0.1"),
        int(port),
        given.get("certificate") or None,
        given.get("key") or None,
    )


def _moment(text: Any) -> float:
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError as error:
        raise Refused(400, "time is no moment of RFC 3339") from error
    if moment.tzinfo is None:
        raise Refused(400, "time has no time zone")
    return moment.timestamp()


def _text_of(moment_s: float) -> str:
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=moment_s)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
