# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking back at a run: what it cost, what rules would have cost; nobody beats the offline optimum."""

from __future__ import annotations

import copy
import itertools

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation.hindsight import (
    OFFLINE,
    RUN,
    hindsight,
    lines,
)
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import Policy, check
from hypothesis import given, settings
from hypothesis import strategies as st
from row_of_cells import HOSTS, POLICY


def done(service, here, cell, *, seconds=4.0, target=None, outcome="moved"):
    """A round of one service: where it was, where its user was, and where it went."""
    entry = {
        "service": service,
        "current_host": here,
        "move_seconds": {"a": {"b": seconds}, "b": {"a": seconds}},
    }
    if cell is not None:
        entry["decision"] = {"user_cell": cell}
    moves = [{"service": service, "target": target, "outcome": outcome}] if target else []
    return {"services": [entry], "moves": moves}


def by_strategy(rounds):
    return {row["strategy"]: row for row in hindsight(rounds, POLICY, HOSTS)}


def test_a_run_is_priced_as_it_was_decided():
    rounds = [
        done("redis", "a", "0"),
        done("redis", "a", "2", target="b"),
        done("redis", "b", None),
        done("redis", "b", "1", seconds=8.0),
    ]
    rows = by_strategy(rounds)
    assert rows[RUN] == {
        "strategy": RUN,
        "cost": 0.9,
        "migration": 0.4,
        "transmission": 0.5,
        "moves": 1,
        "so_far": [0.0, 0.4, 0.4, 0.9],
    }
    assert rows["never"]["cost"] == pytest.approx(0.75 + 0.5)
    # The middle is as near to a as to b: the first of the two is taken, at eight seconds.
    assert rows["always, nearest"]["migration"] == pytest.approx(0.4 + 0.8)
    assert rows["always, nearest"]["moves"] == 2
    assert rows[OFFLINE]["cost"] == pytest.approx(0.9)
    assert "this run             0.90     0.40 (  1)            0.50" in lines(list(rows.values()))


def test_a_move_that_failed_has_not_been_made():
    rounds = [done("redis", "a", "2", target="b", outcome="failed")]
    assert by_strategy(rounds)[RUN]["moves"] == 0
    assert by_strategy(rounds)[RUN]["cost"] == pytest.approx(0.75)


def test_a_service_that_was_not_found_costs_nothing():
    assert hindsight([{"services": [{"service": "redis"}], "moves": []}], POLICY, HOSTS) == []
    assert lines([]) == ["no service was decided for"]


ROUNDS = st.lists(
    st.tuples(st.sampled_from([None, "0", "1", "2"]), st.floats(0, 20), st.sampled_from("ab")),
    min_size=1,
    max_size=5,
)


def test_services_are_the_load_that_costs_depend_on():
    document = copy.deepcopy(POLICY.document)
    document["costs"]["transmission"] = {"family": "load_dependent", "max_users": 4, "theta": 0.5}
    policy = check(Policy("test", document, "."))
    one, other = done("redis", "a", "2"), done("web", "a", "0")
    alone, both = [one], [{"services": [*one["services"], *other["services"]], "moves": []}]
    for rounds, users in ((alone, 1), (both, 2)):
        cost = hindsight(rounds, policy, HOSTS)[0]["cost"]
        assert cost == pytest.approx((1 - 0.5**2) / (1 - users / 6), abs=1e-4)


@given(ROUNDS)
@settings(deadline=None)
def test_nothing_beats_the_offline_optimum(rounds):
    made, here = [], "a"
    for cell, seconds, target in rounds:
        made.append(done("redis", here, cell, seconds=seconds, target=target if target != here else None))
        here = target
    rows = by_strategy(made)
    assert all(rows[OFFLINE]["cost"] <= row["cost"] + 1e-3 for row in rows.values())
    least = min(
        by_strategy(
            [
                done("redis", before, cell, seconds=seconds, target=after if after != before else None)
                for (cell, seconds, _target), before, after in zip(rounds, ("a", *path), path)
            ]
        )[RUN]["cost"]
        for path in itertools.product("ab", repeat=len(rounds))
    )
    assert rows[OFFLINE]["cost"] == pytest.approx(least, abs=1e-3)
