# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Learns from round to round how far the routes in positions come true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base.errors import DecisionError
from ..decision.decision import state_of
from ..decision.request import user_of
from ..decision.route import GONE, announced_cells, step_classes
from ..inputs.route_trust import CLASSES, LEAVES
from ..mdp.cells import CellMap
from ..mdp.mobility import Mobility, stay_probabilities
from ..prediction.trust_store import TrustStore

NEEDED_KEYS = ("user_cell", "user_position", "heading")


def map_header(cells: CellMap, mobility: Mobility) -> dict[str, Any]:
    """What the header of a solved policy says of its map and of who stays in a cell."""
    return {
        "cells": list(cells.ids),
        "xy_m": cells.xy_m.tolist(),
        "origin": cells.origin,
        "reach_m": cells.reach_m(),
        "stay": stay_probabilities(mobility),
        "spacing_m": cells.usual_spacing_m(),
        "directions": 1,
        "dwell_levels": 1,
    }


def learn(
    store: TrustStore,
    positions: Mapping[str, Mapping[str, Any]],
    header: Mapping[str, Any],
    *,
    now_s: float,
    slot_s: float,
    partial: bool = False,
) -> dict[str, dict[str, Any]]:
    """The positions with ``route_trust`` at those that have a route; *store* learns from all of them.

    Users are first looked at, so that what was announced for this slot counts, then their routes are noted.

    :param positions: as ``positions_of`` returns them.
    :param header: of the solved policy; it has the map.
    :param now_s: seconds since the epoch, of positions that bear no moment.
    :param partial: users who are not in *positions* may be there all the same.
    """
    told: dict[str, dict[str, Any]] = {}
    moments = [float(position["now"]) for position in positions.values() if position.get("now") is not None]
    now_s = moments[0] if moments else now_s
    for name in [] if partial else [name for name in store.pending if name not in positions]:
        store.see(name, None, now_s, slot_s)
    for name, position in positions.items():
        told[name] = dict(position)
        try:
            user = user_of({"dwell_slots": 0, **dict.fromkeys(NEEDED_KEYS), **position})
            state, cell = state_of(header, user)
        except DecisionError:
            # Whoever decides for this user says what is wrong.
            continue
        now = position.get("now")
        moment_s = now_s if now is None else float(now)
        store.see(name, cell, moment_s, slot_s)
        if user.route is None:
            continue
        announced = announced_cells(header, user.route, slot_s)
        told[name]["route_trust"] = {
            "steps": [_rates(store, name, user.route.source, step) for step in range(CLASSES)],
            "leaves": _rates(store, name, user.route.source, LEAVES),
        }
        cells = header["cells"]
        slots = {
            slot: tuple(("" if place == GONE else cells[place], chance) for place, chance in places)
            for slot, places in announced.items()
        }
        store.announce(
            name,
            user.route.source,
            step_classes(header, state, announced),
            slots,
            now_s=moment_s,
            age_slots=user.route.age_s / slot_s,
            slot_s=slot_s,
        )
    return told


def _rates(store: TrustStore, user: str, source: str, step: int) -> list[float]:
    return [round(rate, 4) for rate in store.trust.rates(user, source, step)]
