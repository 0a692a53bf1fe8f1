# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The factored solver against quantecon, a brute-force evaluation and its own bound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import ModelError
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.cells import (
    hexagon_grid,
    rings_between,
)
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.costs import (
    migration_family,
    transmission_family,
)
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.mobility import (
    Mobility,
    StateSpace,
    random_walk,
)
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.solver import (
    Improvement,
    Problem,
    evaluate,
    solve,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from quantecon.markov import DiscreteDP


@st.composite
def problems(draw, max_states=6, max_hosts=5):
    """Random chains and random costs, ties and zeros among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    states, hosts = draw(st.integers(1, max_states)), draw(st.integers(1, max_hosts))
    width = draw(st.integers(1, states))
    following = np.array([rng.permutation(states)[:width] for _turn in range(states)])
    probability = rng.dirichlet(np.full(width, 0.7), size=states)
    steps = draw(st.sampled_from([0, 2, 8]))
    migration = rng.random((hosts, hosts)) * draw(st.sampled_from([0.1, 1.0, 20.0]))
    transmission = rng.random((states, hosts)) * draw(st.sampled_from([0.1, 1.0, 20.0]))
    if steps:
        migration, transmission = np.round(migration * steps), np.round(transmission * steps)
    np.fill_diagonal(migration, 0)
    discount = draw(st.sampled_from([0.0, 0.3, 0.9, 0.97]))
    return Problem(migration, transmission, Mobility(StateSpace(states), following, probability), discount)


def unfactored(problem):
    """Rewards (n, m) and transitions (n, m, n) of the same process, written out in full."""
    chain = problem.mobility.dense()
    states, hosts = problem.transmission_cost.shape
    reward = np.empty((states * hosts, hosts))
    transition = np.zeros((states * hosts, hosts, states * hosts))
    for state, host, action in itertools.product(range(states), range(hosts), range(hosts)):
        row = state * hosts + host
        reward[row, action] = -(
            problem.migration_cost[host, action] + problem.transmission_cost[state, action]
        )
        transition[row, action, action::hosts] = chain[state]
    return reward, transition


def brute_force(problem, action):
    """Value (S, H) of a policy, by solving its linear equations."""
    reward, transition = unfactored(problem)
    rows = np.arange(len(reward))
    flat = action.ravel()
    matrix = np.eye(len(reward)) - problem.discount * transition[rows, flat]
    return np.linalg.solve(matrix, -reward[rows, flat]).reshape(action.shape)


def optimum(problem):
    """Optimal value (S, H) by quantecon's policy iteration."""
    reward, transition = unfactored(problem)
    found = DiscreteDP(reward, transition, problem.discount).solve(method="policy_iteration")
    return -found.v.reshape(problem.transmission_cost.shape)


@given(problems(), st.sampled_from([1e-1, 1e-3, 1e-6]))
@settings(max_examples=80, deadline=None)
def test_agrees_with_quantecon(problem, error_bound):
    solution = solve(problem, error_bound)
    assert np.abs(optimum(problem) - solution.value).max() <= solution.value_error_bound + 1e-9


@given(
    problems(),
    st.sampled_from([1e-1, 1e-3, 1e-6]),
    st.sampled_from(["value_iteration", "modified_policy_iteration"]),
    st.sampled_from([1, 5, 20]),
)
@settings(max_examples=120, deadline=None)
def test_the_bound_is_never_violated(problem, error_bound, method, evaluation_sweeps):
    solution = solve(problem, error_bound, method, evaluation_sweeps)
    best = optimum(problem)
    loss = brute_force(problem, solution.action) - best
    assert solution.policy_error_bound <= error_bound
    assert loss.max() <= solution.policy_error_bound + 1e-9
    assert np.abs(solution.value - best).max() <= solution.value_error_bound + 1e-9


@given(problems())
@settings(max_examples=60, deadline=None)
def test_no_policy_beats_the_optimum(problem):
    best = brute_force(problem, solve(problem, 1e-6).action)
    rng = np.random.default_rng(1)
    for _turn in range(5):
        action = rng.integers(best.shape[1], size=best.shape).astype(np.int32)
        assert (brute_force(problem, action) >= best - 1e-6).all()


@given(problems(max_states=8, max_hosts=12))
@settings(max_examples=150, deadline=None)
def test_dropping_hosts_never_changes_the_minimum(problem):
    continuation = problem.transmission_cost
    value, action = Improvement(problem.migration_cost)(continuation)
    total = problem.migration_cost[None] + continuation[:, None]
    np.testing.assert_array_equal(value, total.min(axis=2))
    hosts = np.arange(value.shape[1])
    np.testing.assert_array_equal(
        np.take_along_axis(total, action[..., None].astype(int), axis=2)[..., 0], value
    )
    stays = total[:, hosts, hosts] <= value
    assert (action[stays] == np.broadcast_to(hosts, action.shape)[stays]).all()


@given(problems(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_evaluate_agrees_with_linear_equations(problem, seed):
    shape = problem.transmission_cost.shape
    action = np.random.default_rng(seed).integers(shape[1], size=shape).astype(np.int32)
    np.testing.assert_allclose(
        evaluate(problem, action, 1e-8), brute_force(problem, action), atol=1.1e-8, rtol=1e-12
    )


@pytest.mark.parametrize("discount", [0.9, 0.99])
def test_both_methods_agree_on_the_grid(discount):
    grid = hexagon_grid(3)
    distance = rings_between(grid.xy_m, grid.xy_m, 1.0)
    problem = Problem(
        migration_family(1.0)(distance),
        transmission_family()(distance),
        random_walk(grid, 0.6),
        discount,
    )
    one, other = (solve(problem, 1e-4, method) for method in ("value_iteration", "modified_policy_iteration"))
    assert np.abs(one.value - other.value).max() <= one.value_error_bound + other.value_error_bound
    assert other.improvements < one.improvements / 2


def test_knowing_the_direction_pays_more_the_more_users_keep_it():
    grid = hexagon_grid(4)
    distance = rings_between(grid.xy_m, grid.xy_m, 1.0)
    cost = (migration_family(1.0)(distance), transmission_family()(distance))
    blind = solve(Problem(*cost, random_walk(grid, 0.5), 0.9), 1e-4).action
    lost = []
    for persistence in (0.01, 0.5, 0.95):
        aware = random_walk(grid, 0.5, persistence)
        cell = aware.space.cell(np.arange(len(aware.space)))
        problem = Problem(cost[0], cost[1][cell], aware, 0.9)
        loss = evaluate(problem, blind[cell], 1e-4) - solve(problem, 1e-4).value
        assert loss.min() >= -3e-4
        lost.append(loss.mean())
    assert lost[0] < 1e-3 < lost[1] < lost[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"discount": 1.0}, "discount is 1.0"),
        ({"discount": float("nan")}, "discount is nan"),
        ({"migration_cost": np.array([[0.0, np.nan], [1.0, 0.0]])}, "migration cost is NaN"),
        ({"migration_cost": np.array([[0.0, -1.0], [1.0, 0.0]])}, "migration cost is negative"),
        ({"migration_cost": np.array([[1.0, 1.0], [1.0, 0.0]])}, "diagonal is not 0"),
        ({"transmission_cost": np.zeros((3, 2))}, "transmission costs have shape"),
    ],
)
def test_what_is_no_process_is_refused(change, message):
    good = {
        "migration_cost": np.array([[0.0, 1.0], [1.0, 0.0]]),
        "transmission_cost": np.zeros((1, 2)),
        "mobility": Mobility(StateSpace(1), np.array([[0]]), np.array([[1.0]])),
        "discount": 0.9,
    }
    Problem(**good)
    with pytest.raises(ModelError, match=message):
        Problem(**{**good, **change})


def test_a_bound_below_rounding_is_refused_not_looped_on():
    grid = hexagon_grid(1)
    distance = rings_between(grid.xy_m, grid.xy_m, 1.0)
    problem = Problem(
        migration_family(1.0)(distance),
        transmission_family()(distance),
        random_walk(grid, 0.6),
        0.99,
    )
    with pytest.raises(ModelError, match="out of reach of double precision"):
        solve(problem, 1e-15)
