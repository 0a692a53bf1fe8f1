# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run cost, and what simpler rules would have cost in its place: same users, same prices.

Costs are those of the policy. A round is a slot: each user who was seen pays the transmission cost from where
the service is after the round's moves, and each move costs what it was expected to cost when the round was
decided. Rules start where the services were. They keep no capacity and no move of theirs fails, which is to
their advantage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..base.requirements import require_numpy
from ..inputs.hosts import Host
from ..inputs.policy import Policy
from ..mdp.model import build_costs, build_map

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

RUN = "this run"
OFFLINE = "offline optimum"


@dataclass(frozen=True)
class Slot:
    """A round for one service: ``transmission`` (H,), None where nobody knew where the user was,
    ``migration`` (H, H), which host is ``nearest`` to the user, and which really held the service ``after``.
    ``round`` counts from 0.
    """

    transmission: NDArray[np.float64] | None
    migration: NDArray[np.float64]
    nearest: int
    after: int
    round: int = 0


def hindsight(
    rounds: Sequence[Mapping[str, Any]], policy: Policy, hosts: Sequence[Host]
) -> list[dict[str, Any]]:
    """For the run and each rule ``strategy``, ``cost``, ``migration``, ``transmission`` and ``moves``; and
    ``so_far``, the cost after each round.

    :param rounds: as ``mec.migration.follow_users`` reports them.
    :param policy: a checked policy.
    """
    totals: dict[str, NDArray[np.float64]] = {}
    for start, slots in _paths(rounds, policy, hosts).values():
        for strategy, path in _routes(start, slots).items():
            spent = totals.setdefault(strategy, np.zeros((len(rounds), 3)))
            for slot, values in zip(slots, _costs(start, slots, path), strict=True):
                spent[slot.round] += values
    return [
        {
            "strategy": strategy,
            "cost": _rounded(spent[:, :2].sum()),
            "migration": _rounded(spent[:, 0].sum()),
            "transmission": _rounded(spent[:, 1].sum()),
            "moves": int(spent[:, 2].sum()),
            "so_far": [_rounded(cost) for cost in spent[:, :2].sum(axis=1).cumsum()],
        }
        for strategy, spent in totals.items()
    ]


def strategies_of(start: int, slots: Sequence[Slot]) -> dict[str, tuple[float, float, int]]:
    """By strategy (migration, transmission, moves) of one service that begins on host *start*."""
    return {
        strategy: (float(migration), float(transmission), int(moves))
        for strategy, path in _routes(start, slots).items()
        for migration, transmission, moves in [np.sum(_costs(start, slots, path), axis=0)]
    }


def _routes(start: int, slots: Sequence[Slot]) -> dict[str, list[int]]:
    """By strategy the host after each slot."""
    return {
        RUN: [slot.after for slot in slots],
        "never": [start] * len(slots),
        "always, nearest": _nearest(start, slots),
        OFFLINE: _offline(start, slots),
    }


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows for a person."""
    if not rows:
        return ["no service was decided for"]
    told = [f"{'cost of':<16} {'total':>8} {'moves':>14} {'users far away':>15}"]
    for row in rows:
        told.append(
            f"{row['strategy']:<16} {row['cost']:8.2f} {row['migration']:8.2f} ({row['moves']:3d}) "
            f"{row['transmission']:15.2f}"
        )
    return told


def _paths(
    rounds: Sequence[Mapping[str, Any]], policy: Policy, hosts: Sequence[Host]
) -> dict[str, tuple[int, list[Slot]]]:
    """By service the host it started on, and its slots."""
    cells = build_map(policy)
    names = [host.name for host in hosts]
    found: dict[str, tuple[int, list[Slot]]] = {}
    for index, done in enumerate(rounds):
        here_now = sum(entry.get("current_host") in names for entry in done["services"])
        active_users = here_now if policy.depends_on_load() else 0
        moved = {move["service"]: move["target"] for move in done["moves"] if move["outcome"] == "moved"}
        for entry in done["services"]:
            if entry.get("current_host") not in names:
                # It was not found; where it is again it goes on.
                continue
            measured = policy.document["costs"]["migration"]["family"] == "measured"
            table = entry["move_seconds"] if measured else None
            costs = build_costs(policy, cells, hosts, measured_costs=table, active_users=active_users)
            here = names.index(entry["current_host"])
            cell = cells.index(entry["decision"]["user_cell"]) if "decision" in entry else None
            slot = Slot(
                None if cell is None else costs.transmission[cell],
                costs.migration,
                int(costs.distance_m[0 if cell is None else cell].argmin()),
                names.index(moved.get(entry["service"], entry["current_host"])),
                index,
            )
            found.setdefault(entry["service"], (here, []))[1].append(slot)
    return found


def _costs(start: int, slots: Sequence[Slot], path: Sequence[int]) -> list[tuple[float, float, int]]:
    """(migration, transmission, moves) of each slot of being on the hosts of *path*, one a slot."""
    spent, here = [], start
    for slot, host in zip(slots, path, strict=True):
        transmission = 0.0 if slot.transmission is None else float(slot.transmission[host])
        spent.append((float(slot.migration[here, host]), transmission, int(here != host)))
        here = host
    return spent


def _rounded(value: float) -> float:
    return round(float(value), 4)


def _nearest(start: int, slots: Sequence[Slot]) -> list[int]:
    path, here = [], start
    for slot in slots:
        here = here if slot.transmission is None else slot.nearest
        path.append(here)
    return path


def _offline(start: int, slots: Sequence[Slot]) -> list[int]:
    """The path of least cost, by dynamic programming backwards: what only who knows the future can do."""
    ahead = np.zeros(len(slots[0].migration))
    choices = []
    for slot in reversed(slots):
        total = slot.migration + ahead + (0.0 if slot.transmission is None else slot.transmission)
        choices.append(total.argmin(axis=1))
        ahead = total.min(axis=1)
    path, here = [], start
    for choice in reversed(choices):
        here = int(choice[here])
        path.append(here)
    return path
