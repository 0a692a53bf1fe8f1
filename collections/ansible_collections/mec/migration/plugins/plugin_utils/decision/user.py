# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service's user as a decision sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..inputs.route import Route


class Trust(NamedTuple):
    """By age of the announcement in slots, from 1 on, of routes that held until then how many hold in that
    slot.

    ``steps``: by class of the step (0: the user stays, to 3: they jump), the user is where they said.
    ``leaves``: they have left, where they said so. These are weights against the mobility model: 0 is no
    better than chance.
    """

    steps: Sequence[Sequence[float]]
    leaves: Sequence[float]


@dataclass(frozen=True)
class User:
    """Where a service's user is: a cell, or latitude and longitude in degrees; and what is known of
    the movement.

    ``heading_degrees``: clockwise from north. ``dwell_slots``: slots already spent in the cell. ``route``:
    where they will be. ``route_trust``: how often such routes come true; None: always.
    """

    cell: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    heading_degrees: float | None = None
    dwell_slots: int = 0
    route: Route | None = None
    route_trust: Trust | None = None
