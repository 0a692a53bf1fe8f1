# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reduced distance chain of Wang et al. and the offset model that it stands for (their Fig. 6).

In the offset model the state is the user's cell seen from the service; an action is the offset
after the move. It needs a map without edges and a cost that depends on distance alone. The distance
chain keeps only the ring, N + 1 states.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..base.errors import ModelError
from ..base.requirements import require_numpy
from .cells import CellMap, hexagon_grid, rings_between
from .costs import ConstantPlusExponential
from .mobility import random_walk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

MAX_POLICY_ITERATIONS = 1_000


@dataclass(frozen=True)
class DistanceChain:
    """The one-dimensional model: state x = 0 .. N rings between user and service.

    ``transition`` (N + 1, N + 1) of the user's movement; ``migration_cost`` and
    ``transmission_cost`` (N + 1,) by ring. Action a <= x: be at distance a in this slot. At x = N a
    move inwards is forced, as in the paper.
    """

    transition: NDArray[np.float64]
    migration_cost: NDArray[np.float64]
    transmission_cost: NDArray[np.float64]
    discount: float

    def solve(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(value, action), (N + 1,) each, by policy iteration with exact evaluation; O(N^2) an
        improvement.
        """
        rings = np.arange(len(self.transition))
        moved = rings[:, None] - rings[None]
        cost = np.where(moved >= 0, self.migration_cost[np.abs(moved)], np.inf)
        cost += self.transmission_cost[None]
        cost[-1, -1] = np.inf
        action: NDArray[np.int64] = np.zeros(len(rings), dtype=np.int64)
        for _turn in range(MAX_POLICY_ITERATIONS):
            value: NDArray[Any] = np.linalg.solve(
                np.eye(len(rings)) - self.discount * self.transition[action], cost[rings, action]
            )
            score = cost + self.discount * (self.transition @ value)[None]
            # Keeping the action on a tie makes policy iteration end.
            improved = score.argmin(axis=1)
            kept = score[rings, action] <= score[rings, improved] + 1e-12
            improved = np.where(kept, action, improved)
            if (improved == action).all():
                return value, action
            action = improved
        raise ModelError("policy iteration on the distance chain did not end")


def distance_chain(
    rings: int,
    step_probability: float,
    migration: ConstantPlusExponential,
    transmission: ConstantPlusExponential,
    discount: float,
) -> DistanceChain:
    """The chain with p0 = 6 r, p = 2.5 r, q = 1.5 r and r at its end (Wang et al., ToN 2019,
    Section V-A).

    :param step_probability: r, of a step to one given neighbour, 0 <= r <= 1/6.
    """
    if not 0 <= step_probability <= 1 / 6:
        raise ModelError(f"step_probability is {step_probability!r}; allowed: 0 to 1/6")
    count = rings + 1
    transition = np.zeros((count, count))
    inner = np.arange(1, rings)
    transition[inner, inner + 1] = 2.5 * step_probability
    transition[inner, inner - 1] = 1.5 * step_probability
    transition[0, 1] = 6 * step_probability
    transition[rings, rings - 1] = step_probability
    np.fill_diagonal(transition, 1 - transition.sum(axis=1))
    distance = np.arange(count, dtype=float)
    return DistanceChain(transition, migration(distance), transmission(distance), discount)


def chain_error_bound(
    step_probability: float, migration: ConstantPlusExponential, discount: float, rings: int
) -> float:
    """What the chain's policy loses at most against the exact optimum of the offset model, cost
    units.

    gamma * r * k / (1 - gamma) with k = max_x [c_m(x + 2) - c_m(x)] (the constant additive error
    of Wang et al., ToN 2019, Section V). Random instances come within 2 % of it.
    """
    distance = np.arange(rings + 3, dtype=float)
    cost = migration(distance)
    largest = float((cost[2:] - cost[:-2]).max())
    return discount * step_probability * largest / (1 - discount)


@lru_cache(maxsize=4)
def _plane(rings: int) -> tuple[CellMap, NDArray[np.float64]]:
    """The grid of offsets and the rings (M, M) between them; the same for every r."""
    grid = hexagon_grid(rings)
    return grid, rings_between(grid.xy_m, grid.xy_m, 1.0)


class OffsetModel:
    """The exact two-dimensional model that the chain approximates: M = 1 + 3 N (N + 1) offsets on a
    hexagon grid.
    """

    def __init__(
        self,
        rings: int,
        step_probability: float,
        migration: ConstantPlusExponential,
        transmission: ConstantPlusExponential,
        discount: float,
    ) -> None:
        self.rings = rings
        self.discount = discount
        self.grid, self.distance = _plane(rings)
        self.ring = np.repeat(np.arange(rings + 1), [1, *(6 * n for n in range(1, rings + 1))])
        self.transition = random_walk(self.grid, 6 * step_probability).dense()
        self.migration_cost = migration(self.distance)
        self.transmission_cost = transmission(self.distance[0])
        self.chain = distance_chain(rings, step_probability, migration, transmission, discount)

    def value(self, action: NDArray[np.int64]) -> NDArray[np.float64]:
        """Exact value (M,) of a policy: ``action`` (M,) is the offset after the move."""
        offsets = np.arange(len(self.grid))
        cost = self.migration_cost[offsets, action] + self.transmission_cost[action]
        matrix = np.eye(len(offsets)) - self.discount * self.transition[action]
        value: NDArray[Any] = np.linalg.solve(matrix, cost)
        return value

    def optimum(self) -> NDArray[np.int64]:
        """The optimal action (M,), by policy iteration; offsets on ring N must move inside it."""
        offsets = np.arange(len(self.grid))
        cost = self.migration_cost + self.transmission_cost[None]
        edge = self.ring == self.rings
        cost[np.ix_(edge, edge)] = np.inf
        action = np.zeros(len(offsets), dtype=np.int64)
        for _turn in range(MAX_POLICY_ITERATIONS):
            score = cost + self.discount * (self.transition @ self.value(action))[None]
            improved = score.argmin(axis=1)
            kept = score[offsets, action] <= score[offsets, improved] + 1e-12
            improved = np.where(kept, action, improved)
            if (improved == action).all():
                return action
            action = improved
        raise ModelError("policy iteration on the offset model did not end")

    def chain_action(self) -> NDArray[np.int64]:
        """The chain's policy on the offsets: the nearest offset on the ring that the chain says."""
        _value, by_ring = self.chain.solve()
        action = np.arange(len(self.grid))
        for offset in range(len(self.grid)):
            target = by_ring[self.ring[offset]]
            if self.ring[offset] == self.rings or target != self.ring[offset]:
                candidates = np.flatnonzero(self.ring == target)
                action[offset] = candidates[self.distance[offset, candidates].argmin()]
        return action

    def never(self) -> NDArray[np.int64]:
        """Stay; at ring N, offset 0."""
        return np.where(self.ring == self.rings, 0, np.arange(len(self.grid)))

    def always(self) -> NDArray[np.int64]:
        """Offset 0, always."""
        return np.zeros(len(self.grid), dtype=np.int64)

    def myopic(self) -> NDArray[np.int64]:
        """Offset 0 where that is cheaper in this slot; at ring N always."""
        moves = self.migration_cost[:, 0] < self.transmission_cost
        return np.where(moves | (self.ring == self.rings), 0, np.arange(len(self.grid)))
