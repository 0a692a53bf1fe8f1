# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Solving a setting into a solved-policy file: the cold half of a decision, with numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from ..base.requirements import require_numpy
from ..mdp.mobility import stay_probabilities
from ..mdp.model import build_map, build_mobility, build_world, far_hosts
from ..mdp.solver import evaluate, solve
from ..mdp.strategies import STRATEGIES, World
from .setting import EVALUATION_ERROR, Setting
from .solved_policy import write_policy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..mdp.cells import CellMap
    from ..mdp.mobility import Mobility, StateSpace
else:
    np = require_numpy()

# A step that is less probable in every cell may be a mistake in what was learned from.
LEAST_PROBABILITY = 1e-3
# Their action minimises the expected cost; the others act by rule, whatever it costs.
GREEDY = ("mdp_exact", "mdp_direction")


def solve_strategy(
    world: World, strategy: str
) -> tuple[StateSpace, NDArray[np.float64], NDArray[np.int32], float]:
    """(state space, continuation (S, H), action (S, H), error bound in cost units) of a strategy.

    The continuation is what using a host in this slot costs from now on if the strategy is
    followed.
    """
    if strategy in GREEDY:
        mobility = world.mobility if strategy == "mdp_direction" else world.mobility_cell
        solution = solve(world.problem(mobility), world.error_bound)
        return mobility.space, solution.continuation, solution.action, solution.policy_error_bound
    action = STRATEGIES[strategy](world)
    problem = world.problem(world.mobility)
    bound = max(EVALUATION_ERROR, 1e-9 * world.error_bound)
    value = evaluate(problem, action, bound)
    continuation = problem.transmission_cost + world.discount * world.mobility.expectation(value)
    return world.mobility.space, continuation, action, bound


def solve_to_file(stream: BinaryIO, key: str, setting: Setting) -> None:
    """Solve ``setting``, whose policy was checked, and write it to ``stream``."""
    policy = setting.policy
    said: list[str] = []
    cells = build_map(policy, said)
    said += far_hosts(cells, setting.hosts)
    world = build_world(
        policy,
        cells,
        setting.hosts,
        build_mobility(policy, cells, said=said),
        measured_costs=setting.measured_costs,
        active_users=setting.active_users,
    )
    strategy = policy.document["strategy"]
    space, continuation, action, bound = solve_strategy(world, strategy)
    # The one boundary where numpy's types become plain ones.
    header = {
        "key": key,
        "strategy": strategy,
        "greedy": strategy in GREEDY,
        "error_bound": float(bound),
        "hosts": [host.name for host in setting.hosts],
        "states": len(space),
        "directions": space.directions,
        "dwell_levels": space.dwell_levels,
        "cells": list(cells.ids),
        "xy_m": cells.xy_m.tolist(),
        "origin": cells.origin,
        "reach_m": float(cells.reach_m()),
        "step_m": longest_step_m(cells, world.mobility_cell),
        "stay": stay_probabilities(world.mobility_cell),
        "spacing_m": cells.usual_spacing_m(),
        "discount": world.discount,
        "warnings": said,
    }
    write_policy(
        stream,
        header,
        [row.astype("<f8").tobytes() for row in continuation],
        [row.astype("<i4").tobytes() for row in action],
        [row.astype("<f8").tobytes() for row in world.migration_cost],
        [row.astype("<f8").tobytes() for row in world.transmission_cost],
    )


def longest_step_m(cells: CellMap, mobility: Mobility) -> float:
    """How far in metres a user may go in a slot, for a route to be believed: as far as users are known to,
    and as far beside a cell as still counts as on the map.
    """
    state = np.arange(len(mobility.space))
    source = np.broadcast_to(mobility.space.cell(state)[:, None], mobility.next_state.shape)
    delta = cells.xy_m[mobility.space.cell(mobility.next_state)] - cells.xy_m[source]
    known = np.hypot(delta[..., 0], delta[..., 1])[mobility.probability >= LEAST_PROBABILITY]
    return max(float(cells.reach_m()), float(known.max(initial=0.0)))
