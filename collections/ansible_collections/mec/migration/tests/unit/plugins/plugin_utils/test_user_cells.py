# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users who settle in another cell are told once, those who flicker never."""

from __future__ import annotations

import numpy as np
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import DecisionError
from ansible_collections.mec.migration.plugins.plugin_utils.loop.user_cells import (
    CellChanges,
    CellFinder,
    Change,
)
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.cells import graph_map, square_grid

OSLO = graph_map(
    ["0", "1", "2"], np.array([[59.9139, 10.7522], [59.9259, 10.7642], [59.9379, 10.7522]]), 500.0
)


def told(debounce_s, *looks, at_start=False):
    """What is told at each look; a look is a second and the cell of anna, or None."""
    changes = CellChanges(debounce_s, at_start=at_start)
    return [
        [(one.old_cell, one.new_cell) for one in changes.see({} if cell is None else {"anna": cell}, second)]
        for second, cell in looks
    ]


def test_a_change_is_told_once_when_it_has_lasted():
    assert told(10, (0, "a"), (5, "b"), (14.9, "b"), (15, "b"), (16, "b"), (99, "b")) == [
        *([], [], [], [("a", "b")], [], []),
    ]


@pytest.mark.parametrize(
    "looks",
    [
        [(0, "a"), (1, "b"), (2, "a"), (3, "b"), (12, "a"), (13, "b"), (22, "b")],
        [(0, "a"), (1, "b"), (10, "c"), (19, "b"), (28, "c")],
        [(0, "a"), (1, "b"), (5, None), (11, "b"), (20, "b")],
    ],
    ids=["comes back", "goes on", "is lost"],
)
def test_who_does_not_stay_is_not_told(looks):
    assert not any(told(10, *looks))


def test_two_quick_changes_are_one():
    assert told(10, (0, "a"), (1, "b"), (6, "c"), (16, "c"), (30, "c")) == [[], [], [], [("a", "c")], []]


def test_at_the_start_nobody_has_moved_but_who_comes_later_has():
    assert told(5, (0, None), (1, "a"), (6, "a")) == [[], [], [(None, "a")]]
    assert told(5, (0, "a"), (9, "a")) == [[], []]
    assert told(5, (0, "a"), (5, "a"), (9, "a"), at_start=True) == [[], [(None, "a")], []]
    assert told(5, (0, "a"), (1, None), (9, "a"), (19, "a")) == [[], [], [], []]


def test_users_do_not_disturb_each_other():
    changes = CellChanges(10)
    changes.see({"anna": "a", "bo": "a"}, 0)
    changes.see({"anna": "b", "bo": "a"}, 1)
    changes.see({"anna": "b", "bo": "b"}, 6)
    assert changes.see({"anna": "b", "bo": "b"}, 11) == [Change("anna", "a", "b")]
    assert changes.see({"anna": "b", "bo": "b"}, 16) == [Change("bo", "a", "b")]


def test_cells_of_positions():
    users = {
        "anna": {"cell": 1, "heading": 90},
        "bo": {"latitude": 59.9377, "longitude": 10.753},
        "cy": {"cell": "7"},
        "di": {"latitude": 60.4, "longitude": 10.75},
    }
    found, problems = CellFinder(OSLO).cells_of({"format": 1, "users": users})
    assert found == {"anna": "1", "bo": "2"}
    assert problems[0] == "user cy: the map has no cell 7; it has 3, 0 to 2"
    assert "user di: (60.4, 10.75) is outside the map" in problems[1]
    assert "nearest cell, 2; allowed" in problems[1]


def test_positions_that_mean_nothing():
    with pytest.raises(DecisionError, match="no users"):
        CellFinder(OSLO).cells_of({"format": 1})
    degrees = {"format": 1, "users": {"bo": {"latitude": 59.9, "longitude": 10.7}}}
    assert "no origin" in CellFinder(square_grid(2, 2)).cells_of(degrees)[1][0]
