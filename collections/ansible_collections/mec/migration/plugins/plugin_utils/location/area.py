# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a user is taken to be in the area that a service gives: a point, and how far off it may be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import DecisionError, LocationError
from ..inputs.earth import EARTH_RADIUS_M, middle, offset_m
from ..inputs.hosts import degrees, number

# ETSI GS MEC 013 V2.2.1, LocationInfo.shape, after ETSI TS 123 032.
ARC, POINT, POINT_ALTITUDE, ALTITUDE_ELLIPSOID, CIRCLE, ELLIPSE, POLYGON = range(1, 8)
WITH_ACCURACY = (ALTITUDE_ELLIPSOID, CIRCLE, ELLIPSE)
# Half way round the earth: nothing is farther away.
FARTHEST_M = 20.1e6
# What CAMARA's PointList allows.
CORNERS = (3, 15)


@dataclass(frozen=True)
class Spot:
    """A point in degrees, and the farthest in metres that the user may be from it; None where nobody says."""

    latitude: float
    longitude: float
    within_m: float | None = None

    def position(self) -> dict[str, float]:
        """As documents of positions have it."""
        return {"latitude": self.latitude, "longitude": self.longitude}


def spot_of_area(area: Any) -> Spot:
    """The middle of a CAMARA area, ``CIRCLE`` or ``POLYGON``.

    :raises LocationError: it is none.
    """
    kind = area.get("areaType") if isinstance(area, Mapping) else None
    if kind == "CIRCLE":
        latitude, longitude = _point(area.get("center"), "area.center")
        radius = _metres(area.get("radius"), "area.radius")
        if radius < 1:
            raise LocationError(f"area.radius is {radius:g}; allowed: at least 1 m")
        return Spot(latitude, longitude, radius)
    if kind == "POLYGON":
        corners = area.get("boundary")
        if not isinstance(corners, Sequence) or not CORNERS[0] <= len(corners) <= CORNERS[1]:
            raise LocationError(f"area.boundary is {_shown(corners)}; allowed: a list of 3 to 15 points")
        return _middle_of([_point(one, f"area.boundary[{i}]") for i, one in enumerate(corners)])
    raise LocationError(f"area.areaType is {kind!r}; allowed: CIRCLE, POLYGON")


def spot_of_location_info(info: Any) -> Spot:
    """The middle of ETSI MEC 013's ``LocationInfo``.

    :raises LocationError: it is none.
    """
    if not isinstance(info, Mapping):
        raise LocationError(f"locationInfo is {_shown(info)}; allowed: an object")
    shape = info.get("shape")
    if not isinstance(shape, int) or isinstance(shape, bool) or not ARC <= shape <= POLYGON:
        raise LocationError(f"locationInfo.shape is {shape!r}; allowed: 1 to 7")
    latitudes, longitudes = (_list(info.get(key)) for key in ("latitude", "longitude"))
    many = shape == POLYGON
    if len(latitudes) != len(longitudes) or (len(latitudes) < 3 if many else len(latitudes) != 1):
        raise LocationError(
            f"locationInfo has {len(latitudes)} latitudes and {len(longitudes)} longitudes; "
            f"allowed with shape {shape}: {'as many of both, at least 3' if many else 'one of each'}"
        )
    points = [
        _point({"latitude": latitude, "longitude": longitude}, f"locationInfo, point {i}")
        for i, (latitude, longitude) in enumerate(zip(latitudes, longitudes))
    ]
    if many:
        return _middle_of(points)
    if shape == ARC:
        return _middle_of_arc(points[0], info)
    within = info.get("accuracy") if shape in WITH_ACCURACY else None
    return Spot(*points[0], None if within is None else _metres(within, "locationInfo.accuracy"))


def check_uncertainty(spot: Spot, most_m: float | None) -> None:
    """:raises LocationError: the user may be farther from *spot* than *most_m*."""
    if most_m is not None and spot.within_m is not None and spot.within_m > most_m:
        raise LocationError(f"is known within {spot.within_m:.0f} m only; allowed: {most_m:g} m")


def _middle_of(corners: Sequence[tuple[float, float]]) -> Spot:
    """The centroid of a simple polygon; of one without a surface the mean of its corners."""
    origin = middle(corners)
    plane = [offset_m(latitude, longitude, origin) for latitude, longitude in corners]
    twice = x = y = 0.0
    for (x_0, y_0), (x_1, y_1) in zip(plane, [*plane[1:], plane[0]]):
        cross = x_0 * y_1 - x_1 * y_0
        twice += cross
        x += (x_0 + x_1) * cross
        y += (y_0 + y_1) * cross
    x, y = (x / (3 * twice), y / (3 * twice)) if abs(twice) > 1e-6 else (0.0, 0.0)
    within = max(math.hypot(corner[0] - x, corner[1] - y) for corner in plane)
    return Spot(*_moved(origin, x, y), within)


def _middle_of_arc(centre: tuple[float, float], info: Mapping[str, Any]) -> Spot:
    """The middle of a part of a ring: between both radii, and between both ends of its angle."""
    inner, width, offset, included = (
        _metres(info.get(key, 0), f"locationInfo.{key}")
        for key in ("innerRadius", "uncertaintyRadius", "offsetAngle", "includedAngle")
    )
    bearing, away = math.radians(offset + included / 2), inner + width / 2
    half = math.radians(min(included, 360.0) / 2)
    corner_m = math.hypot((inner + width) * math.cos(half) - away, (inner + width) * math.sin(half))
    if included >= 180:
        corner_m = away + inner + width
    return Spot(*_moved(centre, away * math.sin(bearing), away * math.cos(bearing)), max(width / 2, corner_m))


def _moved(origin: tuple[float, float], east_m: float, north_m: float) -> tuple[float, float]:
    """The point so far from *origin*, on the sphere: areas are small, but may lie at a pole."""
    away = math.hypot(east_m, north_m) / EARTH_RADIUS_M
    bearing, phi = math.atan2(east_m, north_m), math.radians(origin[0])
    sine = math.sin(phi) * math.cos(away) + math.cos(phi) * math.sin(away) * math.cos(bearing)
    latitude = math.asin(max(-1.0, min(1.0, sine)))
    turned = math.atan2(
        math.sin(bearing) * math.sin(away) * math.cos(phi),
        math.cos(away) - math.sin(phi) * math.sin(latitude),
    )
    return math.degrees(latitude), (origin[1] + math.degrees(turned) + 180.0) % 360.0 - 180.0


def _point(point: Any, what: str) -> tuple[float, float]:
    if not isinstance(point, Mapping) or point.get("latitude") is None or point.get("longitude") is None:
        raise LocationError(f"{what} is {_shown(point)}; allowed: latitude and longitude")
    try:
        return (
            degrees(point["latitude"], f"{what}.latitude", 90) or 0.0,
            degrees(point["longitude"], f"{what}.longitude", 180) or 0.0,
        )
    except DecisionError as error:
        raise LocationError(str(error)) from error


def _metres(value: Any, what: str) -> float:
    try:
        found = number(value, what)
    except DecisionError as error:
        raise LocationError(str(error)) from error
    if not 0 <= found <= FARTHEST_M:
        raise LocationError(f"{what} is {found:g}; allowed: 0 to {FARTHEST_M:g}")
    return found


def _list(value: Any) -> list[Any]:
    # V2.1.1 had one number where V2.2.1 has a list.
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:80] + "..."
