# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions on the earth as metres on a plane; no numpy here, a warm lookup reads this."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

EARTH_RADIUS_M = 6_371_008.8
# From here to the poles meridians converge so fast that the plate carree would be off by percents.
POLAR_DEGREES = 80.0


def offset_m(latitude: float, longitude: float, origin: Sequence[float]) -> tuple[float, float]:
    """(x, y) in metres, x east and y north of *origin* (latitude, longitude), of a point in degrees.

    An equirectangular projection, good to 0.1 % over a metropolitan area; longitudes count the short way
    round, so 180 and -180 degrees are one place. An origin beyond 80 degrees of latitude, where that
    projection fails, takes the azimuthal equidistant one (Snyder, Map Projections, 1987, chapter 25); x and
    y, and with them headings, then follow the meridian of the origin all over the map.
    """
    latitude_0, longitude_0 = origin
    east = longitude - longitude_0
    if abs(east) > 180.0:
        east = (east + 180.0) % 360.0 - 180.0
    if abs(latitude_0) <= POLAR_DEGREES:
        x_m = EARTH_RADIUS_M * math.radians(east) * math.cos(math.radians(latitude_0))
        return x_m, EARTH_RADIUS_M * math.radians(latitude - latitude_0)
    phi, phi_0, turned = math.radians(latitude), math.radians(latitude_0), math.radians(east)
    x = math.cos(phi) * math.sin(turned)
    y = math.cos(phi_0) * math.sin(phi) - math.sin(phi_0) * math.cos(phi) * math.cos(turned)
    ahead = math.sin(phi_0) * math.sin(phi) + math.cos(phi_0) * math.cos(phi) * math.cos(turned)
    sine = math.hypot(x, y)
    away_m = EARTH_RADIUS_M * math.atan2(sine, ahead)
    return (x / sine * away_m, y / sine * away_m) if sine > 0 else (0.0, 0.0)


def sector_of_heading(heading_degrees: float, sectors: int) -> int:
    """Which of *sectors* equal ones, the first centred on east and the next north of it, a heading is in.

    :param heading_degrees: clockwise from north.
    """
    width = 2 * math.pi / sectors
    return math.floor(math.radians(90.0 - heading_degrees) / width + 0.5) % sectors


def middle(degrees: Iterable[Sequence[float]]) -> tuple[float, float]:
    """The origin for a map of points (latitude, longitude): their mean, the short way round the earth."""
    points = [(float(latitude), float(longitude)) for latitude, longitude in degrees]
    latitude = sum(point[0] for point in points) / len(points)
    longitudes = [point[1] for point in points]
    if max(abs(point[0]) for point in points) > POLAR_DEGREES:
        return _middle_of_vectors(points)
    if max(longitudes) - min(longitudes) > 180.0:
        # Some lie west and some east of 180 degrees: count all from the first one.
        first = longitudes[0]
        turned = [(one - first + 180.0) % 360.0 - 180.0 for one in longitudes]
        longitude = first + sum(turned) / len(turned)
        return latitude, (longitude + 180.0) % 360.0 - 180.0
    return latitude, sum(longitudes) / len(longitudes)


def _middle_of_vectors(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    x = y = z = 0.0
    for latitude, longitude in points:
        phi, turned = math.radians(latitude), math.radians(longitude)
        x += math.cos(phi) * math.cos(turned)
        y += math.cos(phi) * math.sin(turned)
        z += math.sin(phi)
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))
