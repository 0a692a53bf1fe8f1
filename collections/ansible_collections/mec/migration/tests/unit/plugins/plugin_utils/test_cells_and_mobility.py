# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps, distances and movement."""

from __future__ import annotations

import numpy as np
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import ModelError
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.earth import sector_of_heading
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.cells import (
    NO_CELL,
    graph_map,
    hexagon_grid,
    project,
    rings_between,
    square_grid,
)
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.mobility import (
    Mobility,
    StateSpace,
    best_dwell_levels,
    encode_path,
    learned,
    random_walk,
)
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("rings", [0, 1, 2, 10])
def test_hexagon_grid_has_all_cells_once_and_mutual_neighbours(rings):
    grid = hexagon_grid(rings, 500.0)
    assert len(grid) == 1 + 3 * rings * (rings + 1)
    assert len({tuple(place) for place in grid.xy_m.round(3)}) == len(grid)
    for cell in range(len(grid)):
        for direction, other in enumerate(grid.neighbours[cell]):
            if other == NO_CELL:
                continue
            assert grid.neighbours[other][(direction + 3) % 6] == cell
            assert np.hypot(*(grid.xy_m[cell] - grid.xy_m[other])) == pytest.approx(500.0)
            assert grid.direction_between(np.array(cell), np.array(other)) == direction


def test_square_grid_neighbours():
    grid = square_grid(2, 3)
    assert grid.neighbours.tolist() == [
        [1, 3, NO_CELL, NO_CELL],
        [2, 4, 0, NO_CELL],
        [NO_CELL, 5, 1, NO_CELL],
        [4, NO_CELL, NO_CELL, 0],
        [5, NO_CELL, 3, 1],
        [NO_CELL, NO_CELL, 4, 2],
    ]


def test_rings_are_euclidean_rounded_up():
    grid = hexagon_grid(2)
    rings = rings_between(grid.xy_m, grid.xy_m, 1.0)
    # Ring 2 has corners at distance 2 and edges at sqrt(3): both two rings away, no third.
    assert rings[0].tolist() == [0] + [1] * 6 + [2] * 12
    # Opposite edge cells are 2 sqrt(3) = 3.46 apart: 4 rings, as hops; corner to edge 3.6: also 4.
    assert rings.max() == 4
    assert (rings == rings.T).all()


@pytest.mark.parametrize(("heading", "direction"), [(90, 0), (30, 1), (330, 2), (270, 3), (200, 4)])
def test_compass_headings(heading, direction):
    assert sector_of_heading(heading, hexagon_grid(1).directions) == direction


def test_projection_of_a_degree_north_and_east():
    x_m, y_m = project(np.array([[38.0, -121.0]]), (37.0, -122.0))[0]
    assert y_m == pytest.approx(111_195, rel=1e-3)
    assert x_m == pytest.approx(88_800, rel=2e-3)


def test_a_cell_named_twice_is_refused():
    with pytest.raises(ModelError, match="twice"):
        graph_map(["a", "a"], np.array([[37.0, -122.0], [37.1, -122.0]]), 500)


@given(
    st.sampled_from([hexagon_grid(2), square_grid(3, 4)]),
    st.floats(0, 1),
    st.floats(0, 1),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_random_walk_is_the_formula(grid, move, persistence, drifts):
    weights = np.arange(1, grid.directions + 1) / sum(range(1, grid.directions + 1))
    drift = weights.tolist() if drifts else None
    walk = random_walk(grid, move, persistence, drift)
    if not drifts:
        weights = np.full(grid.directions, 1 / grid.directions)
    directions = walk.space.directions
    dense = walk.dense()
    for cell in range(len(grid)):
        for last in range(directions):
            expected = np.zeros(len(walk.space))
            row = cell * directions + last
            expected[row] = 1 - move
            for step in range(grid.directions):
                known = directions > 1 and last < grid.directions
                chance = weights[step]
                if known:
                    chance = persistence * (step == last) + (1 - persistence) * weights[step]
                target = grid.neighbours[cell, step]
                if target == NO_CELL:
                    expected[row] += move * chance
                else:
                    place = target * directions + (step if directions > 1 else 0)
                    expected[place] += move * chance
            np.testing.assert_allclose(dense[row], expected, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_expectation_is_the_dense_product(seed):
    rng = np.random.default_rng(seed)
    walk = random_walk(hexagon_grid(3), rng.random(), rng.random())
    value = rng.random((len(walk.space), 4))
    np.testing.assert_allclose(walk.expectation(value), walk.dense() @ value, atol=1e-12)


@pytest.mark.parametrize(
    ("probability", "message"),
    [
        ([[0.5, 0.6]], "sum to 1.1"),
        ([[1.5, -0.5]], "negative"),
        ([[float("nan"), 1.0]], "NaN"),
    ],
)
def test_wrong_probabilities_are_refused(probability, message):
    with pytest.raises(ModelError, match=message):
        Mobility(StateSpace(1), np.array([[0, 0]]), np.array(probability))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.2,), "move_probability is 1.2"),
        ((float("nan"),), "move_probability is nan"),
        ((0.5, -0.1), "persistence is -0.1"),
        ((0.5, 0.0, [1, 0, 0]), "3 weights"),
        ((0.5, 0.0, [0.5, 0.4, 0, 0, 0, 0]), "sum to 0.9"),
        ((0.5, 0.0, [1.5, -0.5, 0, 0, 0, 0]), "negative"),
    ],
)
def test_wrong_walks_are_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        random_walk(hexagon_grid(1), *arguments)


def test_paths_are_encoded_with_direction_and_dwell():
    grid = square_grid(1, 4)
    space = StateSpace(4, grid.directions + 1, 3)
    path = np.array([1, 1, 2, 2, 2, 2, 1])
    state = encode_path(grid, space, path)
    none, east, west = space.no_direction, 0, 2
    directions = [none, none, east, east, east, east, west]
    dwell = [0, 1, 0, 1, 2, 2, 0]
    assert state.tolist() == [
        (cell * 5 + direction) * 3 + level
        for cell, direction, level in zip(path, directions, dwell, strict=True)
    ]


def test_learned_frequencies_come_back_from_a_walk():
    """Sampling error of 60,000 steps at p = 0.1 is 0.0012; five of them is the tolerance."""
    grid = hexagon_grid(1)
    truth = random_walk(grid, 0.6)
    rng = np.random.default_rng(3)
    dense = truth.dense()
    path = [0]
    for _turn in range(60_000):
        path.append(int(rng.choice(7, p=dense[path[-1]])))
    found = learned(grid, [np.array(path)], direction_memory=False, smoothing=1e-6)
    visits = np.bincount(path, minlength=7)
    tolerance = 5 * np.sqrt(0.25 / visits)[:, None]
    assert (np.abs(found.dense() - dense) <= tolerance).all()


def test_learned_falls_back_on_the_cell_for_an_unseen_direction():
    grid = square_grid(1, 3)
    found = learned(grid, [np.array([0, 1, 2])], smoothing=5.0)
    blind = learned(grid, [np.array([0, 1, 2])], direction_memory=False, smoothing=5.0)
    state = 1 * 5 + 2  # in the middle, having come from the east: never seen
    to_east = found.dense()[state].reshape(3, 5)[2].sum()
    # Both are 1 but for the observation in a thousand that every cell is given of staying.
    assert to_east == pytest.approx(blind.dense()[1, 2], abs=1e-3)
    assert to_east > 0.998


def test_a_cell_that_was_never_visited_keeps_its_user():
    found = learned(square_grid(1, 3), [np.array([0, 1])], direction_memory=False)
    assert found.dense()[2, 2] == 1.0


def test_dwell_levels_are_chosen_by_what_they_predict():
    grid = square_grid(1, 2)
    # Three slots in each cell, always: who knows for how long the user is there, knows when they go.
    clock = [np.tile([0, 0, 0, 1, 1, 1], 20) for _user in range(4)]
    assert best_dwell_levels(grid, clock, direction_memory=True, smoothing=1.0) == 3
    rng = np.random.default_rng(1)
    memoryless = [rng.integers(0, 2, 8000) for _user in range(4)]
    assert best_dwell_levels(grid, memoryless, direction_memory=True, smoothing=5.0) == 1
