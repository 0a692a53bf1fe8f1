# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's route, where they will be and when, as positions carry it; no numpy here, a warm lookup reads
this.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..base.errors import DecisionError
from .hosts import cell_name, degrees, number
from .table import MAX_TIME_S, TOO_LATE, is_calendar_date, seconds_of_iso

MAX_POINTS, MAX_ALTERNATIVES = 1_000, 16
SLACK = 1e-9
# A clock of who announces a route may be ahead of the controller's by so much.
CLOCKS_APART_S = 60.0
POINT_KEYS = {"in_seconds", "time", "cell", "latitude", "longitude", "probability", "alternatives", "leaves"}
PLACE_KEYS = {"cell", "latitude", "longitude", "probability"}
ROUTE_KEYS = {"points", "announced", "announced_seconds_ago", "source"}
_HOUR = re.compile(r"[0-9][T ][0-9]{2}", re.ASCII)


@dataclass(frozen=True)
class Place:
    """A cell, or latitude and longitude in degrees, and how probable it is if the route held until then."""

    cell: str | None
    latitude: float | None
    longitude: float | None
    probability: float


@dataclass(frozen=True)
class Point:
    """Where the user will be ``after_s`` seconds from now (below 0: where they should have been).

    ``leaves``: nowhere, since they do not use the service any more, with this probability; ``places`` is
    empty.
    """

    after_s: float
    places: tuple[Place, ...]
    leaves: float = 0.0


@dataclass(frozen=True)
class Route:
    """Points in the order of time, and how long ago (``age_s``) which ``source`` announced them."""

    points: tuple[Point, ...]
    age_s: float
    source: str


def moment_s(value: Any, what: str) -> float:
    """Seconds since the epoch, from a number or ISO 8601."""
    try:
        found = number(value, what)
    except DecisionError:
        try:
            # A date alone would be midnight, which nobody means who says when a user is where.
            return seconds_of_iso(value.strip() if isinstance(value, str) and _HOUR.search(value) else "")
        except ValueError:
            raise DecisionError(
                f"{what} is {value!r}; allowed: seconds since 1970, or ISO 8601, 2026-11-23T08:00:00Z"
            ) from None
    if abs(found) >= MAX_TIME_S:
        raise DecisionError(f"{what} is {value!r}{TOO_LATE}")
    if is_calendar_date(found):
        raise DecisionError(
            f"{what} is {value!r}, which in seconds is a moment of 1970, and looks like a date; allowed: "
            "seconds since 1970, or ISO 8601, 2026-11-23T08:00:00Z"
        )
    return found


def span_s(value: Any, what: str) -> float:
    """A length of time in seconds, from a number."""
    found = number(value, what)
    if abs(found) >= MAX_TIME_S:
        raise DecisionError(f"{what} is {value!r}; allowed: seconds, fewer than {MAX_TIME_S:.0e}")
    return found


def route_of(value: Any, what: str = "route", now_s: float | None = None) -> Route | None:
    """The route in *value*, or None where there is none.

    :param value: a list of points, or a mapping with ``points`` and optionally ``announced`` (a moment) or
        ``announced_seconds_ago``, and ``source``. A point has ``in_seconds`` (counted from the announcement)
        or ``time`` (a moment); a ``cell``, or ``latitude`` and ``longitude``, with a ``probability`` (1), or
        a list of such ``alternatives``; or, as the last one, ``leaves: true``, where the user stops using the
        service.
    :param now_s: seconds since the epoch; the clock's if it is None.
    :raises DecisionError: it is something else.
    """
    if value is None:
        return None
    route = value if isinstance(value, Mapping) else {"points": value}
    unknown = sorted(str(key) for key in set(route) - ROUTE_KEYS)
    points = route.get("points")
    if unknown or not isinstance(points, list):
        wrong = f"unknown key {unknown[0]}" if unknown else "no list of points"
        raise DecisionError(f"{what}: {wrong}; allowed: {', '.join(sorted(ROUTE_KEYS))}")
    if len(points) > MAX_POINTS:
        raise DecisionError(f"{what} has {len(points)} points; allowed: at most {MAX_POINTS}")
    now = time.time() if now_s is None else now_s
    age_s = 0.0
    if route.get("announced") is not None and route.get("announced_seconds_ago") is not None:
        raise DecisionError(f"{what}: give either announced or announced_seconds_ago")
    if route.get("announced") is not None:
        age_s = now - moment_s(route["announced"], f"{what}.announced")
    elif route.get("announced_seconds_ago") is not None:
        age_s = span_s(route["announced_seconds_ago"], f"{what}.announced_seconds_ago")
    if age_s < -CLOCKS_APART_S:
        raise DecisionError(
            f"{what} was announced {-age_s:.1f} s from now; allowed: a moment in the past, or at most "
            f"{CLOCKS_APART_S:g} s from now, as clocks differ"
        )
    made = sorted(
        (_point(point, f"{what}[{place}]", now, age_s) for place, point in enumerate(points)),
        key=lambda point: point.after_s,
    )
    for one, other in zip(made, made[1:], strict=False):
        if one.leaves:
            raise DecisionError(f"{what}: there is a point after the one at which the user leaves")
        if one.after_s == other.after_s:
            raise DecisionError(
                f"{what}: two points are at the same time, {one.after_s:g} s from now; give alternatives "
                "with probabilities in one point"
            )
    return Route(tuple(made), max(age_s, 0.0), str(route.get("source") or ""))


def _point(value: Any, what: str, now_s: float, age_s: float) -> Point:
    if not isinstance(value, Mapping) or set(value) - POINT_KEYS:
        raise DecisionError(f"{what} is {value!r}; allowed: {', '.join(sorted(POINT_KEYS))}")
    if ("in_seconds" in value) == ("time" in value):
        raise DecisionError(f"{what}: give either in_seconds or time")
    if "time" in value:
        after_s = moment_s(value["time"], f"{what}.time") - now_s
    else:
        after_s = span_s(value["in_seconds"], f"{what}.in_seconds") - age_s
    if value.get("leaves"):
        if value["leaves"] is not True or set(value) & (PLACE_KEYS - {"probability"} | {"alternatives"}):
            raise DecisionError(f"{what}: leaves: true goes with a time and a probability alone")
        return Point(after_s, (), _probability(value, what, 1.0))
    alternatives = value.get("alternatives")
    if alternatives is None:
        return Point(after_s, (_place(value, what, 1.0),))
    if set(value) & PLACE_KEYS:
        raise DecisionError(f"{what}: give either a place or alternatives")
    return Point(after_s, _alternatives(alternatives, f"{what}.alternatives"))


def _alternatives(alternatives: Any, what: str) -> tuple[Place, ...]:
    if not isinstance(alternatives, list) or not 1 <= len(alternatives) <= MAX_ALTERNATIVES:
        raise DecisionError(f"{what}: allowed: a list of 1 to {MAX_ALTERNATIVES} places")
    given = sum(isinstance(one, Mapping) and one.get("probability") is not None for one in alternatives)
    if 0 < given < len(alternatives):
        raise DecisionError(
            f"{what}: {given} of {len(alternatives)} have a probability; allowed: all or none"
        )
    equal = 1.0 / len(alternatives)
    places = []
    for index, one in enumerate(alternatives):
        if not isinstance(one, Mapping) or set(one) - PLACE_KEYS:
            raise DecisionError(f"{what}[{index}] is {one!r}; allowed: {', '.join(sorted(PLACE_KEYS))}")
        places.append(_place(one, f"{what}[{index}]", equal))
    total = sum(place.probability for place in places)
    if total > 1 + SLACK:
        raise DecisionError(f"{what}: probabilities sum to {total:g}; allowed: at most 1")
    return tuple(places)


def _probability(value: Mapping[str, Any], what: str, default: float) -> float:
    found = default
    if value.get("probability") is not None:
        found = number(value["probability"], f"{what}.probability")
    if not 0 <= found <= 1:
        raise DecisionError(f"{what}.probability is {found:g}; allowed: 0 to 1")
    return found


def _place(value: Mapping[str, Any], what: str, probability: float) -> Place:
    probability = _probability(value, what, probability)
    if value.get("cell") is not None and "latitude" not in value and "longitude" not in value:
        return Place(cell_name(value["cell"], f"{what}.cell"), None, None, probability)
    latitude = degrees(value.get("latitude"), f"{what}.latitude", 90)
    longitude = degrees(value.get("longitude"), f"{what}.longitude", 180)
    if latitude is None or longitude is None or value.get("cell") is not None:
        raise DecisionError(f"{what}: give either cell, or latitude and longitude")
    return Place(None, latitude, longitude, probability)
