# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The map of a run: cells, hosts, and the ways of users. It needs numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..base.requirements import require_numpy
from ..inputs.hosts import Host
from ..inputs.policy import Policy
from ..mdp.cells import CellMap
from ..mdp.model import build_map, host_positions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

# Of a map with more cells only those are kept that are near a host or a user.
MANY_CELLS = 400


def map_of(policy: Policy, hosts: Sequence[Host], rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Cells, hosts and, by user, a point for each round in which its position was known (None elsewhere).

    :raises DecisionError: the policy's map cannot be built, or a host is not on it.
    """
    cells = build_map(policy)
    placed = host_positions(cells, hosts)
    positions = [one["positions"]["users"] for one in rounds]
    users = sorted({name for known in positions for name in known})
    paths = {user: [_point(cells, known.get(user)) for known in positions] for user in users}
    seen = [np.array(point) for path in paths.values() for point in path if point is not None]
    return {
        "kind": cells.kind,
        "cell_size_m": cells.cell_size_m,
        "cells": [
            {
                "cell": cells.ids[index],
                "x_m": _metres(cells.xy_m[index, 0]),
                "y_m": _metres(cells.xy_m[index, 1]),
            }
            for index in _shown(cells, [*placed, *seen])
        ],
        "hosts": [{"name": host.name, **_place(xy_m)} for host, xy_m in zip(hosts, placed, strict=True)],
        "users": paths,
    }


def _point(cells: CellMap, position: Mapping[str, Any] | None) -> list[float] | None:
    if position is None:
        return None
    if "cell" in position:
        index = cells.index(position["cell"])
        return None if index is None else [_metres(value) for value in cells.xy_m[index]]
    degrees = float(position["latitude"]), float(position["longitude"])
    return [_metres(value) for value in cells.project(*degrees)]


def _shown(cells: CellMap, points: Sequence[NDArray[np.float64]]) -> list[int]:
    if len(cells) <= MANY_CELLS or not points:
        return list(range(min(len(cells), MANY_CELLS)))
    distance_m = np.min([np.hypot(*(cells.xy_m - point).T) for point in points], axis=0)
    return sorted(int(index) for index in distance_m.argsort(kind="stable")[:MANY_CELLS])


def _place(xy_m: NDArray[np.float64]) -> dict[str, float]:
    return {"x_m": _metres(xy_m[0]), "y_m": _metres(xy_m[1])}


def _metres(value: float) -> float:
    return round(float(value), 1)
