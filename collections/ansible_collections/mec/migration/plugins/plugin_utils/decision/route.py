# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A route on a solved policy's map: which cell in which slot, as far as the route holds; without numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import DecisionError
from ..inputs.earth import offset_m
from ..inputs.route import Place, Point, Route
from ..inputs.route_trust import LEAVES, chance_of, step_class
from .user import Trust

# The cell of a user who does not use the service any more.
GONE = -1
# With the discounts in use what comes after so many slots changes no decision.
MAX_SLOTS = 30


@dataclass(frozen=True)
class Stop:
    """Where the user is in a slot: ``cell`` and ``state`` (indices), with what ``probability``.

    ``cell`` is GONE where they do not use the service any more, which costs nothing.
    ``held``: the route names no place for the slot, so the user still is where they were in the one before.
    """

    cell: int
    state: int
    probability: float
    held: bool = False


@dataclass(frozen=True)
class Ahead:
    """The slots after this one as far as a route tells them, and what is ``wrong`` with it, in sentences.

    ``share``: by slot, how far the announcement is trusted, given that it held until then.
    """

    slots: tuple[tuple[Stop, ...], ...]
    share: tuple[float, ...]
    wrong: tuple[str, ...]


def nearest_cell(header: Mapping[str, Any], latitude: float, longitude: float) -> tuple[int, float]:
    """(cell index, how far its centre is in metres) of a point in degrees."""
    if header["origin"] is None:
        raise DecisionError(
            "a position in degrees is given, but the policy's map has no origin in latitude and longitude: "
            "give cells, or set map.origin in the policy"
        )
    x_m, y_m = offset_m(latitude, longitude, header["origin"])
    distance_m = [math.hypot(x_m - x, y_m - y) for x, y in header["xy_m"]]
    cell = min(range(len(distance_m)), key=distance_m.__getitem__)
    return cell, distance_m[cell]


def ahead_of(
    header: Mapping[str, Any],
    cell: int,
    state: int,
    route: Route,
    *,
    slot_s: float,
    trust: Trust | None = None,
) -> Ahead:
    """The slots ahead of a user who is in *cell* and *state* now.

    Between two points a user stays where the first one says. A route holds until it leaves the map or jumps
    farther than users move; it does not hold at all where it puts the user elsewhere now.

    :param trust: how often such routes come true; None: they always do.
    """
    wrong: list[str] = []
    by_slot = _by_slot(header, route, slot_s, wrong)
    if not _begins_here(header, cell, route, by_slot, wrong):
        return Ahead((), (), tuple(wrong))
    last = max((slot for slot in by_slot if slot > 0), default=0)
    stops: list[tuple[Stop, ...]] = []
    before: tuple[Stop, ...] = (Stop(cell, state, 1.0),)
    since = 0
    for slot in range(1, min(last, MAX_SLOTS) + 1):
        places = by_slot.get(slot)
        if places is None:
            here = tuple(
                Stop(one.cell, _stay(header, one.state), one.probability, held=True) for one in before
            )
        else:
            reach_m = header["step_m"] * max(1, slot - since)
            far = [
                one
                for one in places
                if one[0] != GONE and all(_apart_m(header, one[0], old.cell) > reach_m for old in before)
            ]
            if far:
                name = header["cells"][far[0][0]]
                wrong.append(
                    f"the route jumps to {name} in slot {slot}, farther than {reach_m:.0f} m, and is used "
                    "until there"
                )
                break
            here = tuple(Stop(place, _step(header, before, place), chance) for place, chance in places)
            since = slot
        stops.append(here)
        before = here
    return Ahead(tuple(stops), _shares(header, trust, route.age_s / slot_s, cell, stops), tuple(wrong))


def announced_cells(
    header: Mapping[str, Any], route: Route, slot_s: float
) -> dict[int, tuple[tuple[int, float], ...]]:
    """By slot from now, from 1 on, (cell or GONE, probability) as announced, whether or not the route
    holds.
    """
    slots = _by_slot(header, route, slot_s, [])
    found: dict[int, tuple[tuple[int, float], ...]] = {}
    held = None
    for slot in range(1, min(max(slots, default=0), MAX_SLOTS) + 1):
        held = slots.get(slot, held)
        if held:
            found[slot] = held
    return found


def step_classes(
    header: Mapping[str, Any], cell: int, slots: Mapping[int, Sequence[tuple[int, float]]]
) -> dict[int, tuple[int, float]]:
    """By slot the class of the step that a route tells, from where the user is or is told to be before; and
    how probable the mobility model alone makes it.
    """
    found, before = {}, cell
    for slot in sorted(slots):
        place = max(slots[slot], key=lambda one: one[1])[0]
        step = _class_of(header, before, place)
        found[slot] = (step, chance_of(step, header["stay"][before]) if before != GONE else 0.0)
        before = place
    return found


def _class_of(header: Mapping[str, Any], before: int, place: int) -> int:
    return LEAVES if place == GONE else step_class(_apart_m(header, place, before), header["spacing_m"])


def _by_slot(
    header: Mapping[str, Any], route: Route, slot_s: float, wrong: list[str]
) -> dict[int, tuple[tuple[int, float], ...]]:
    """(cell, probability) by slot from now, up to where the route leaves the map."""
    found: dict[int, tuple[tuple[int, float], ...]] = {}
    for point in route.points:
        places = _places(header, point)
        if places is None:
            where = "is off the map" if point.after_s > 0 else "was off the map"
            wrong.append(f"the route {where} {abs(point.after_s):g} s from now and is used until there")
            break
        if not places:
            # A place that is not probable at all tells nothing.
            continue
        # A point in the rest of this slot is where the user will be in the next one.
        slot = math.floor(point.after_s / slot_s + 0.5)
        found[max(slot, 1) if point.after_s > 0 else min(slot, 0)] = places
    return found


def _places(header: Mapping[str, Any], point: Point) -> tuple[tuple[int, float], ...] | None:
    if not point.places:
        return ((GONE, point.leaves),) if point.leaves else ()
    found: dict[int, float] = {}
    for place in point.places:
        cell = _cell(header, place)
        if cell is None:
            return None
        found[cell] = found.get(cell, 0.0) + place.probability
    return tuple((cell, chance) for cell, chance in found.items() if chance > 0)


def _cell(header: Mapping[str, Any], place: Place) -> int | None:
    if place.cell is not None:
        try:
            return int(header["cells"].index(place.cell))
        except ValueError:
            return None
    if place.latitude is None or place.longitude is None:
        return None
    cell, distance_m = nearest_cell(header, place.latitude, place.longitude)
    return cell if distance_m <= header["reach_m"] else None


def _begins_here(
    header: Mapping[str, Any],
    cell: int,
    route: Route,
    by_slot: Mapping[int, tuple[tuple[int, float], ...]],
    wrong: list[str],
) -> bool:
    """Whether what the route says of now agrees with where the user is, a slot sooner or later included."""
    future = [slot for slot in by_slot if slot > 0]
    if not future:
        if route.points and not wrong:
            ended_s = -route.points[-1].after_s
            wrong.append(
                f"the route ended {abs(ended_s):g} s ago"
                if ended_s >= 0
                else "the route names no place with a probability above 0; it is not used"
            )
        return False
    past = [slot for slot in by_slot if slot <= 0]
    if not past:
        return True
    now = max(past)
    near = [now, *(slot for slot in past if slot == now - 1), *(slot for slot in future if slot == 1)]
    if any(cell == place for slot in near for place, _chance in by_slot[slot]):
        return True
    names = " or ".join(
        "no cell" if place == GONE else header["cells"][place] for place, _chance in by_slot[now]
    )
    wrong.append(f"the route has the user in {names} now, who is in {header['cells'][cell]}; it is not used")
    return False


def _stay(header: Mapping[str, Any], state: int) -> int:
    levels = header["dwell_levels"]
    return state + 1 if state % levels + 1 < levels else state


def _step(header: Mapping[str, Any], before: Sequence[Stop], cell: int) -> int:
    """The user state after the move to *cell* from the likeliest place before."""
    if cell == GONE:
        return GONE
    for old in before:
        if old.cell == cell:
            return _stay(header, old.state)
    old = max(before, key=lambda stop: stop.probability)
    directions, levels = header["directions"], header["dwell_levels"]
    direction = 0
    if directions > 1:
        (x, y), (x_0, y_0) = header["xy_m"][cell], header["xy_m"][old.cell]
        width = 2 * math.pi / (directions - 1)
        direction = math.floor(math.atan2(y - y_0, x - x_0) / width + 0.5) % (directions - 1)
    return int((cell * directions + direction) * levels)


def _apart_m(header: Mapping[str, Any], one: int, other: int) -> float:
    (x, y), (x_0, y_0) = header["xy_m"][one], header["xy_m"][other]
    return math.hypot(x - x_0, y - y_0)


def _shares(
    header: Mapping[str, Any], trust: Trust | None, age: float, cell: int, stops: Sequence[Sequence[Stop]]
) -> tuple[float, ...]:
    """How much a route counts against the mobility model in each slot, given that it held until then."""
    if trust is None:
        return (1.0,) * len(stops)
    shares, before = [], cell
    for slot, here in enumerate(stops, start=1):
        place = max(here, key=lambda stop: stop.probability).cell
        kind = _class_of(header, before, place)
        rates = trust.leaves if kind == LEAVES else trust.steps[kind]
        rate = rates[min(math.floor(age + 0.5) + slot, len(rates)) - 1]
        shares.append(rate)
        before = place
    return tuple(shares)
