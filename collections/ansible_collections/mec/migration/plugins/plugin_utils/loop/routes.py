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
from ..decision.route import announced_cells, first_step
from ..mdp.cells import CellMap
from ..prediction.trust_store import TrustStore

NEEDED_KEYS = ("user_cell", "user_position", "heading")


def map_header(cells: CellMap) -> dict[str, Any]:
    """What the header of a solved policy says of its map."""
    return {
        "cells": list(cells.ids),
        "xy_m": cells.xy_m.tolist(),
        "origin": cells.origin,
        "reach_m": cells.reach_m(),
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
) -> dict[str, dict[str, Any]]:
    """The positions with ``route_trust`` at those that have a route; *store* learns from all of them.

    Users are first looked at, so that what was announced for this slot counts, then their routes are noted.

    :param positions: as ``positions_of`` returns them.
    :param header: of the solved policy; it has the map.
    :param now_s: seconds since the epoch, of positions that bear no moment.
    """
    told: dict[str, dict[str, Any]] = {}
    for name, position in positions.items():
        told[name] = dict(position)
        try:
            user = user_of({"dwell_slots": 0, **dict.fromkeys(NEEDED_KEYS), **position})
            state, cell = state_of(header, user)
        except DecisionError:
            # Whoever decides for this user says what is wrong.
            continue
        moment_s = float(position.get("now") or now_s)
        store.see(name, cell, moment_s, slot_s)
        if user.route is None:
            continue
        announced = announced_cells(header, user.route, slot_s)
        step = first_step(header, state, announced)
        rates = store.trust.rates(name, user.route.source, step)
        told[name]["route_trust"] = [round(rate, 4) for rate in rates]
        cells = header["cells"]
        slots = {
            slot: tuple((cells[place], chance) for place, chance in places)
            for slot, places in announced.items()
        }
        store.announce(
            name,
            user.route.source,
            step,
            slots,
            now_s=moment_s,
            age_slots=user.route.age_s / slot_s,
            slot_s=slot_s,
        )
    return told
