# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which cell each user is, and who has changed it and stayed there for a while."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..base.errors import DecisionError
from ..mdp.cells import CellMap
from .planning import positions_of


@dataclass(frozen=True)
class Change:
    """A user has come to stay in another cell; ``old_cell`` is None for one who was not seen before."""

    user: str
    old_cell: str | None
    new_cell: str


class CellFinder:
    """From a document of positions to cells of a map."""

    def __init__(self, cells: CellMap) -> None:
        self._cells = cells
        self._reach_m = cells.reach_m()

    def cells_of(self, document: Any) -> tuple[dict[str, str], list[str]]:
        """(cell by user, what is wrong with the users that have none).

        :param document: as :func:`~.planning.positions_of` takes it.
        :raises DecisionError: the document is something else.
        """
        found: dict[str, str] = {}
        problems: list[str] = []
        for user, position in positions_of(document).items():
            try:
                found[user] = self._cell_of(position)
            except DecisionError as error:
                problems.append(f"user {user}: {error}")
        return found, problems

    def _cell_of(self, position: Mapping[str, Any]) -> str:
        if "user_cell" in position:
            name = str(position["user_cell"])
            if self._cells.index(name) is None:
                ids = self._cells.ids
                raise DecisionError(f"the map has no cell {name}; it has {len(ids)}, {ids[0]} to {ids[-1]}")
            return name
        degrees = position["user_position"]
        latitude, longitude = degrees["latitude"], degrees["longitude"]
        cell, distance_m = self._cells.nearest(self._cells.project(latitude, longitude))
        if distance_m > self._reach_m:
            raise DecisionError(
                f"({latitude}, {longitude}) is outside the map: {distance_m:.0f} m from the nearest cell, "
                f"{self._cells.ids[cell]}; allowed: {self._reach_m:.0f} m"
            )
        return self._cells.ids[cell]


class CellChanges:
    """Tells a change of cell once, when the user has been in the new cell for *debounce_s* without a break.

    A user who comes back before has not moved. One who is not seen for a while is where they were.

    :param at_start: tell also where the users of the very first look are.
    """

    def __init__(self, debounce_s: float, *, at_start: bool = False) -> None:
        self._debounce_s = debounce_s
        self._started = at_start
        self._settled: dict[str, str] = {}
        self._moving: dict[str, tuple[str, float]] = {}

    def see(self, cells: Mapping[str, str], now_s: float) -> list[Change]:
        """Who has settled in another cell by now.

        :param cells: the cell of each user at *now_s*, seconds of a clock that never goes back.
        """
        if not self._started:
            self._started = True
            self._settled.update(cells)
        self._moving = {user: move for user, move in self._moving.items() if user in cells}
        changes = []
        for user, cell in cells.items():
            if self._settled.get(user) == cell:
                self._moving.pop(user, None)
                continue
            if self._moving.get(user, ("", 0.0))[0] != cell:
                self._moving[user] = (cell, now_s)
            if now_s - self._moving[user][1] >= self._debounce_s:
                changes.append(Change(user, self._settled.get(user), cell))
                self._settled[user] = cell
                del self._moving[user]
        return changes
