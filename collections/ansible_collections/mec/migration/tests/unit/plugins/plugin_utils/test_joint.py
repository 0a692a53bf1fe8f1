# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint plans: against brute force on small instances, and never worse than one by one."""

from __future__ import annotations

import itertools
import math
import sys

import numpy as np
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.loop.joint import ordered, solve_joint
from ansible_collections.mec.migration.plugins.plugin_utils.loop.joint_plan import decide_jointly
from hypothesis import given, settings
from hypothesis import strategies as st


def instance(seed, services, hosts, slack):
    rng = np.random.default_rng(seed)
    costs = rng.random((services, hosts)) * 10
    here = rng.integers(0, hosts, services)
    held = np.bincount(here, minlength=hosts)
    room = held + rng.integers(0, 2, hosts)
    if seed % 4 == 0:
        room[rng.integers(hosts)] += 100
    if seed % 5 == 0:
        room = np.maximum(held - 1, 1)
    del slack
    return costs.tolist(), here.tolist(), [float(one) for one in room]


def brute(costs, here, room):
    """The least sum over all assignments with room for all who come; an overfull host keeps what it has."""
    return min(
        sum(row[host] for row, host in zip(costs, target, strict=True))
        for target in itertools.product(range(len(room)), repeat=len(here))
        if all(
            target.count(host) <= limit
            or all(here[one] == host for one, at in enumerate(target) if at == host)
            for host, limit in enumerate(room)
        )
        and not any(here.count(at) > room[at] and at != now for at, now in zip(target, here, strict=True))
    )


def check_order(found, here, room):
    """There is room for each move in its turn, or for one more where full hosts exchange services."""
    now = [here.count(host) for host in range(len(room))]
    for place, service in enumerate(found.order):
        host = found.target[service]
        assert host != here[service]
        if now[host] >= room[host]:
            assert now[host] == room[host]
            assert host in {here[later] for later in found.order[place + 1 :]}
        now[host] += 1
        now[here[service]] -= 1
    assert all(count <= max(room[host], here.count(host)) for host, count in enumerate(now))
    assert set(found.order) == {one for one, host in enumerate(found.target) if host != here[one]}


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_the_optimum_is_that_of_brute_force(seed, services, hosts):
    costs, here, room = instance(seed, services, hosts, 1)
    found = solve_joint(costs, here, room)
    check_order(found, here, room)
    best = brute(costs, here, room)
    assert found.bound == pytest.approx(best)
    assert found.cost == pytest.approx(best)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_without_scipy_it_is_said_and_the_bound_holds(seed):
    costs, here, room = instance(seed, 5, 3, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "scipy.optimize", None)
        found = solve_joint(costs, here, room)
    assert found.method == "greedy, since scipy is not there"
    check_order(found, here, room)
    assert found.bound <= brute(costs, here, room) + 1e-6
    assert found.cost <= sum(row[host] for row, host in zip(costs, here, strict=True)) + 1e-9


def test_a_host_to_be_emptied_is_left_by_whoever_finds_room():
    costs = [[math.inf, 5.0, 9.0], [math.inf, 4.0, 9.0], [math.inf, 1.0, 9.0]]
    found = solve_joint(costs, [0, 0, 0], [3.0, 1.0, 1.0])
    assert sorted(found.target) == [0, 1, 2]


@pytest.mark.parametrize("scipy", [True, False])
def test_where_not_all_can_leave_the_one_leaves_that_saves_most(monkeypatch, scipy):
    if not scipy:
        monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    entries = [
        {
            "service": name,
            "current_host": "full",
            "action": "skip",
            "reason": "",
            "decision": {
                "expected_costs": {"full": here, "other": there},
                "slot_costs": {"full": 0, "other": 0},
            },
        }
        # To be on the other host is cheapest for two, who lose least by staying.
        for name, here, there in (("one", 6.4, 2.7), ("two", 1.4, 0.9), ("three", 8.9, 6.8))
    ]
    entries[0].update(action="move", target="other")
    order, report = decide_jointly(entries, {"full": 3, "other": 1}, {"other": 2}, ["full"])
    assert order == ["one"]
    assert [entry["action"] for entry in entries] == ["move", "skip", "skip"]
    assert report["cost"] == pytest.approx(2.7 + 1.4 + 8.9)
    assert report["gap"] >= 0
    assert report["bound"] <= report["cost"]


def test_a_chain_of_full_hosts_moves_in_the_order_that_makes_room():
    costs = [[5.0, 1.0, 9.0], [9.0, 5.0, 1.0]]
    found = solve_joint(costs, [0, 1], [1.0, 1.0, 1.0])
    assert found.target == (1, 2)
    assert found.order == (1, 0)
    # Full hosts that exchange services: one holds two for a moment.
    assert sorted(ordered([1, 0], [0, 1], [1.0, 1.0])) == [0, 1]


def test_a_big_instance_is_solved_to_its_bound_and_soon():
    rng = np.random.default_rng(7)
    here = np.repeat(np.arange(50), 4).tolist()
    room = [5.0] * 10 + [4.0] * 40
    costs = (rng.random((200, 50)) * 10 + 2).tolist()
    for service, host in enumerate(here):
        costs[service][host] -= 1.0
    found = solve_joint(costs, here, room)
    check_order(found, here, room)
    assert found.cost <= 1.01 * found.bound


def test_a_plan_for_nothing_moves_nothing():
    found = solve_joint([], [], [1.0, math.inf])
    assert (found.target, found.order, found.cost) == ((), (), 0.0)
