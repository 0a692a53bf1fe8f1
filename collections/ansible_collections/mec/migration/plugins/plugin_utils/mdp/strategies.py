# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When and where to migrate: the strategies, all behind one small interface.

A strategy is a function from a :class:`World` to an action table (S, H): the host to use for user
state s and current host h. Only the offline optimum is none (it sees the future); it lives in the
simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..base.errors import DecisionError
from ..base.requirements import require_numpy
from .costs import ConstantPlusExponential
from .distance_chain import distance_chain
from .mobility import Mobility
from .solver import Problem, solve

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

# The paper's bound on how far a service may lag behind its user on the taxi trace (its published code).
CHAIN_RINGS = 20


@dataclass(frozen=True)
class Weights:
    """w_m, w_t, w_d of the three attributes: migration cost, transmission cost, direction of movement."""

    migration: float = 1.0
    transmission: float = 1.0
    direction: float = 1.0


@dataclass(frozen=True)
class World:
    """What a strategy may know.

    ``rings`` (N, H) and ``distance_m`` (N, H) from cell to host; ``migration_cost`` (H, H),
    ``transmission_cost`` (N, H) of a slot, both already weighted. ``mobility`` knows direction,
    ``mobility_cell`` only the cell. ``migration_family``, ``transmission_family``: by ring, for the
    distance chain, or None where costs are measured.
    """

    rings: NDArray[np.float64]
    distance_m: NDArray[np.float64]
    migration_cost: NDArray[np.float64]
    transmission_cost: NDArray[np.float64]
    mobility: Mobility
    mobility_cell: Mobility
    discount: float
    error_bound: float = 1e-3
    weights: Weights = field(default_factory=Weights)
    hysteresis_margin: float = 0.5
    migration_family: ConstantPlusExponential | None = None
    transmission_family: ConstantPlusExponential | None = None

    @property
    def nearest_host(self) -> NDArray[np.int64]:
        """(N,) host that is nearest in a straight line to each cell."""
        return self.distance_m.argmin(axis=1)

    def problem(self, mobility: Mobility) -> Problem:
        """The Markov decision process under ``mobility``."""
        cell = mobility.space.cell(np.arange(len(mobility.space)))
        return Problem(self.migration_cost, self.transmission_cost[cell], mobility, self.discount)

    def by_state(self, by_cell: NDArray[Any]) -> NDArray[np.int32]:
        """Action table (S, H) of ``mobility``'s states from one by cell (N, H)."""
        space = self.mobility.space
        return by_cell[space.cell(np.arange(len(space)))].astype(np.int32)


def never(world: World) -> NDArray[np.int32]:
    """Stay."""
    cells, hosts = world.rings.shape
    return world.by_state(np.tile(np.arange(hosts), (cells, 1)))


def always(world: World) -> NDArray[np.int32]:
    """Follow the user in every slot, to the host nearest to the user's cell (Wang et al., Section VI)."""
    return nearest(world)


def nearest(world: World) -> NDArray[np.int32]:
    """The host nearest in a straight line.

    The same as :func:`always` while the user's own host is never full and hosts stand where cells
    are: two names of the literature for one rule. Staying while the current host is as many rings
    away is no part of it, that is :func:`hysteresis` with a margin of 0.
    """
    hosts = world.rings.shape[1]
    return world.by_state(np.tile(world.nearest_host[:, None], (1, hosts)))


def myopic(world: World) -> NDArray[np.int32]:
    """The host that is cheapest in this slot, c_m + c_t; a tie is a stay."""
    return world.by_state(_cheapest(world.migration_cost, world.transmission_cost))


def hysteresis(world: World) -> NDArray[np.int32]:
    """To the host of least transmission cost once it saves at least ``hysteresis_margin`` a slot."""
    best = world.transmission_cost.argmin(axis=1)
    saving = world.transmission_cost - world.transmission_cost.min(axis=1, keepdims=True)
    hosts = np.arange(world.rings.shape[1])
    moves = (saving >= world.hysteresis_margin) & (saving > 0)
    return world.by_state(np.where(moves, best[:, None], hosts[None]))


def one_step_benefit(world: World) -> NDArray[np.int32]:
    """The host of largest B(a), staying (B = 0) on a tie.

    B(a) = w_t [c_t(u, h) - c_t(u, a)] - w_m c_m(h, a) + w_d gamma E[c_t(u', h) - c_t(u', a) | u,
    d]: direction of movement, migration cost and transmission cost after Electronics 11(24):4070
    (2022), one slot ahead.
    """
    problem = world.problem(world.mobility)
    ahead = world.weights.direction * world.discount
    score = problem.transmission_cost + ahead * world.mobility.expectation(problem.transmission_cost)
    return _cheapest(world.migration_cost, score).astype(np.int32)


def mdp_distance(world: World) -> NDArray[np.int32]:
    """The distance chain's long-term value in place of V (Wang et al., ToN 2019, Sections V and
    VI).

    r is a sixth of the probability to leave a cell, averaged over cells; farther than N rings
    counts as N.
    """
    if world.migration_family is None or world.transmission_family is None:
        raise DecisionError(
            "strategy mdp_distance needs costs that depend on distance alone; with measured costs "
            "use mdp_exact or mdp_direction"
        )
    mobility = world.mobility_cell
    own = mobility.next_state == np.arange(len(mobility.space))[:, None]
    leave = 1.0 - (mobility.probability * own).sum(axis=1)
    step = min(float(leave.mean()) / 6, 1 / 6)
    chain = distance_chain(
        CHAIN_RINGS, step, world.migration_family, world.transmission_family, world.discount
    )
    value, _policy = chain.solve()
    ring = np.minimum(world.rings, CHAIN_RINGS).astype(np.int64)
    score = world.transmission_cost + world.discount * (chain.transition @ value)[ring]
    return world.by_state(_cheapest(world.migration_cost, score))


def mdp_exact(world: World) -> NDArray[np.int32]:
    """The optimum that knows the cell but not the direction."""
    return world.by_state(solve(world.problem(world.mobility_cell), world.error_bound).action)


def mdp_direction(world: World) -> NDArray[np.int32]:
    """The optimum that knows cell and direction."""
    return solve(world.problem(world.mobility), world.error_bound).action


Strategy = Callable[[World], "NDArray[np.int32]"]
STRATEGIES: dict[str, Strategy] = {
    "never": never,
    "always": always,
    "nearest": nearest,
    "myopic": myopic,
    "hysteresis": hysteresis,
    "one_step_benefit": one_step_benefit,
    "mdp_distance": mdp_distance,
    "mdp_exact": mdp_exact,
    "mdp_direction": mdp_direction,
}


def _cheapest(migration_cost: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.int64]:
    """argmin_a [c_m(h, a) + score(s, a)] as (S, H); a tie is a stay."""
    hosts = np.arange(len(migration_cost))
    action = np.empty(score.shape, dtype=np.int64)
    for state, row in enumerate(score):
        total = migration_cost + row
        best = total.argmin(axis=1)
        action[state] = np.where(total[hosts, best] < row - 1e-12, best, hosts)
    return action
