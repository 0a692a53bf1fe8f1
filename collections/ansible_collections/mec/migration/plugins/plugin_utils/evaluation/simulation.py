# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated world: sessions of users, one service each, under a strategy; and the offline optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..base.errors import DecisionError
from ..base.requirements import require_numpy
from ..mdp.cells import CellMap
from ..mdp.mobility import Mobility, encode_path
from ..mdp.solver import Improvement
from ..mdp.strategies import World
from ..mdp.trace import Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()


@dataclass(frozen=True)
class Outcome:
    """What each user (U,) cost over all its sessions, in cost units; ``slots`` and ``migrations``
    are counts.
    """

    migration: NDArray[np.float64]
    transmission: NDArray[np.float64]
    migrations: NDArray[np.int64]
    slots: NDArray[np.int64]

    @property
    def total(self) -> NDArray[np.float64]:
        """(U,) migration plus transmission cost."""
        return self.migration + self.transmission

    @property
    def mean_cost(self) -> float:
        """Cost a slot over all users."""
        return float(self.total.sum() / self.slots.sum())


@dataclass(frozen=True)
class Schedule:
    """Sessions packed slot by slot: ``cell`` and ``state`` (slots, sessions), -1 where a session is
    not on.
    """

    cell: NDArray[np.int64]
    state: NDArray[np.int64]
    starts: NDArray[np.int64]
    user: NDArray[np.int64]
    users: int


def schedule(cells: CellMap, mobility: Mobility, sessions: Sequence[Session]) -> Schedule:
    """Pack sessions for :func:`simulate` under the states of ``mobility``."""
    if not sessions:
        raise DecisionError("there is no session to simulate")
    slots = max(session.start + len(session.cells) for session in sessions)
    cell = np.full((slots, len(sessions)), -1, dtype=np.int64)
    state = np.full((slots, len(sessions)), -1, dtype=np.int64)
    for column, session in enumerate(sessions):
        part = slice(session.start, session.start + len(session.cells))
        cell[part, column] = session.cells
        state[part, column] = encode_path(cells, mobility.space, session.cells)
    _users, user = np.unique([session.user for session in sessions], return_inverse=True)
    starts = np.array([session.start for session in sessions])
    return Schedule(cell, state, starts, user, int(user.max()) + 1)


def simulate(
    world: World,
    plan: Schedule,
    action: NDArray[np.int32],
    capacity: NDArray[np.int64] | None = None,
) -> Outcome:
    """Run an action table (S, H) over a schedule.

    A session starts on the host nearest to its user, free of charge (as in Wang et al.), and ends
    with the user. Each slot: the user is seen, the service moves or not and pays c_m, the slot pays
    c_t from the new host.

    :param capacity: (H,) services that a host can hold; a move to a full host does not happen, a
        session that starts there starts on the nearest host with room.
    """
    count = len(plan.starts)
    host = np.full(count, -1, dtype=np.int64)
    cost_migration = np.zeros(count)
    cost_transmission = np.zeros(count)
    migrations = np.zeros(count, dtype=np.int64)
    occupied = np.zeros(world.rings.shape[1], dtype=np.int64)
    by_distance = world.distance_m.argsort(axis=1, kind="stable")
    for slot in range(len(plan.cell)):
        active = np.flatnonzero(plan.cell[slot] >= 0)
        if capacity is not None:
            ended = host[(plan.cell[slot] < 0) & (host >= 0)]
            np.subtract.at(occupied, ended, 1)
            host[plan.cell[slot] < 0] = -1
        fresh = active[plan.starts[active] == slot]
        placed = by_distance[plan.cell[slot, fresh], 0]
        if capacity is not None:
            for index, session in enumerate(fresh.tolist()):
                order = by_distance[plan.cell[slot, session]]
                room = order[occupied[order] < capacity[order]]
                if room.size == 0:
                    raise DecisionError(f"slot {slot}: no host has room for another service")
                placed[index] = room[0]
                occupied[room[0]] += 1
        host[fresh] = placed
        settled = active[plan.starts[active] != slot]
        source = host[settled]
        target = action[plan.state[slot, settled], source].astype(np.int64)
        if capacity is not None:
            for index in np.flatnonzero(target != source).tolist():
                if occupied[target[index]] >= capacity[target[index]]:
                    target[index] = source[index]
                else:
                    occupied[source[index]] -= 1
                    occupied[target[index]] += 1
        cost_migration[settled] += world.migration_cost[source, target]
        migrations[settled] += source != target
        host[settled] = target
        cost_transmission[active] += world.transmission_cost[plan.cell[slot, active], host[active]]
    return outcome_of(plan, cost_migration, cost_transmission, migrations)


def offline_optimum(world: World, plan: Schedule, *, anywhere: bool = False) -> Outcome:
    """The least that any strategy can cost on this schedule: dynamic programming with the future
    known.

    Backwards over all sessions at once: V_t(h) = min_a [c_m(h, a) + c_t(u_t, a) + V_{t+1}(a)]. It
    knows no capacity.

    :param anywhere: sessions start wherever that is best, not on the nearest host. Only so is it a lower
        bound with capacities, too: where the nearest host is full a session starts, free of charge, on
        another one, which may be where its user goes.
    """
    slots, count = plan.cell.shape
    hosts = world.rings.shape[1]
    improve = Improvement(world.migration_cost)
    value = np.zeros((count, hosts))
    choice: list[NDArray[np.int32] | None] = [None] * slots
    first = np.zeros(count, dtype=np.int64)
    for slot in range(slots - 1, -1, -1):
        active = np.flatnonzero(plan.cell[slot] >= 0)
        if active.size == 0:
            continue
        ahead = value[active] + world.transmission_cost[plan.cell[slot, active]]
        best, target = improve(ahead)
        value[active] = best
        first[active] = ahead.argmin(axis=1)
        choice[slot] = target
    host = np.full(count, -1, dtype=np.int64)
    cost_migration, cost_transmission = np.zeros(count), np.zeros(count)
    migrations = np.zeros(count, dtype=np.int64)
    for slot in range(slots):
        active = np.flatnonzero(plan.cell[slot] >= 0)
        fresh = plan.starts[active] == slot
        begins = active[fresh]
        host[begins] = first[begins] if anywhere else world.nearest_host[plan.cell[slot, begins]]
        table = choice[slot]
        if table is None:
            continue
        source = host[active]
        target = np.where(fresh, source, table[np.arange(active.size), source])
        cost_migration[active] += world.migration_cost[source, target]
        migrations[active] += source != target
        host[active] = target
        cost_transmission[active] += world.transmission_cost[plan.cell[slot, active], target]
    return outcome_of(plan, cost_migration, cost_transmission, migrations)


def walk(mobility: Mobility, users: int, slots: int, rng: np.random.Generator) -> list[Session]:
    """Sessions of ``users`` random users of ``slots`` slots each, starting anywhere, with no
    direction yet.
    """
    space = mobility.space
    start = rng.integers(space.cells, size=users)
    state = space.index(start, np.full(users, space.no_direction), np.zeros(users, dtype=np.int64))
    cumulated = mobility.probability.cumsum(axis=1)
    cells = np.empty((slots, users), dtype=np.int64)
    for slot in range(slots):
        cells[slot] = space.cell(state)
        draw = rng.random(users) * cumulated[state, -1]
        step = (cumulated[state] <= draw[:, None]).sum(axis=1)
        state = mobility.next_state[state, np.minimum(step, cumulated.shape[1] - 1)]
    return [Session(user, 0, cells[:, user]) for user in range(users)]


def outcome_of(
    plan: Schedule,
    cost_migration: NDArray[np.float64],
    cost_transmission: NDArray[np.float64],
    migrations: NDArray[np.int64],
) -> Outcome:
    """The outcome by user of what each session cost."""

    def summed(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(plan.user, weights=values, minlength=plan.users).astype(np.float64)

    return Outcome(
        summed(cost_migration),
        summed(cost_transmission),
        summed(migrations).astype(np.int64),
        summed((plan.cell >= 0).sum(axis=0)).astype(np.int64),
    )
