# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter: overrides, and what is refused."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mec.migration.plugins.filter.rescore import FilterModule

RESCORE = FilterModule().filters()["rescore"]
DECISION = {
    "service": "redis-42",
    "current_host": "a",
    "migrate": True,
    "target": "b",
    "current_cost": 5.0,
    "expected_costs": {"a": 5.0, "b": 3.0, "c": 4.0},
    "migration_costs": {"a": 0.0, "b": 1.0, "c": 1.5},
    "advantage": 2.0,
    "full_hosts": [],
    "reason": "because",
}


@pytest.mark.parametrize(
    ("overrides", "target", "advantage"),
    [
        ({}, "b", 2.0),
        ({"exclude": ["b"]}, "c", 1.0),
        ({"exclude": ["b", "c"]}, "a", 0.0),
        ({"exclude": ["a"]}, "b", 2.0),
        ({"minimum_advantage": 2.0}, "b", 2.0),
        ({"minimum_advantage": 2.5}, "a", 0.0),
        ({"migration_costs": {"b": 2.5}}, "c", 1.0),
        ({"migration_costs": {"c": 0.0}}, "c", 2.5),
        ({"extra_costs": {"a": 1.0}}, "b", 3.0),
        ({"extra_costs": {"b": 2.0, "c": 1.0}}, "a", 0.0),
    ],
)
def test_overrides(overrides, target, advantage):
    before = repr(DECISION)
    found = RESCORE(DECISION, **overrides)
    assert (found["target"], found["advantage"]) == (target, pytest.approx(advantage))
    assert found["migrate"] is (target != "a")
    assert found["service"] == "redis-42"
    assert f"staying on a is expected to cost {found['current_cost']:.3f}" in found["reason"]
    assert repr(DECISION) == before


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({}, "re-scored: moving to b is expected to cost 3.000; staying on a is expected to cost 5.000"),
        ({"exclude": ["b"]}, "cost 5.000; b would be better and is excluded"),
        ({"exclude": ["b", "c"]}, "cost 5.000; no other host takes it; b would be better and is excluded"),
        ({"minimum_advantage": 2.5}, "cost 5.000; the best move, to b, 3.000, saves less than 2.500"),
        ({"extra_costs": {"b": 2.5, "c": 3.0}}, "cost 5.000; the best move, to b, 5.500"),
    ],
)
def test_the_reason_says_what_stood_against_the_others(overrides, words):
    assert RESCORE(DECISION, **overrides)["reason"].endswith(words)


def test_a_full_host_stays_out():
    found = RESCORE({**DECISION, "full_hosts": ["b"]})
    assert found["target"] == "c"
    assert found["reason"].endswith("; b would be better and is full")


def test_a_list_is_scored_one_by_one():
    assert [found["target"] for found in RESCORE([DECISION, DECISION], exclude=["b"])] == ["c", "c"]


@pytest.mark.parametrize(
    ("decision", "overrides", "message"),
    [
        ({"target": "b"}, {}, "not a decision"),
        ("b", {}, "not a decision"),
        (DECISION, {"exclude": ["z"]}, "exclude: 'z' is no host of the decision; allowed: a, b, c"),
        (DECISION, {"extra_costs": {"z": 1}}, "extra_costs: 'z' is no host"),
        (DECISION, {"extra_costs": {"b": "dear"}}, "extra_costs.b is 'dear'; allowed: a number"),
        (DECISION, {"migration_costs": {"b": float("nan")}}, "migration_costs.b is nan"),
        (DECISION, {"migration_costs": {"a": 1}}, "'a' is the current host"),
        (DECISION, {"colour": "red"}, "colour"),
        (DECISION, {"exclude": "b"}, "exclude is 'b'; allowed: a list of hosts"),
        (DECISION, {"migration_costs": [1]}, r"migration_costs is \[1\]; allowed: {host: cost}"),
    ],
)
def test_wrong_overrides(decision, overrides, message):
    with pytest.raises(AnsibleFilterError, match=message):
        RESCORE(decision, **overrides)
