# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: positions as they come, capacities kept, hosts emptied, limits of hosts and links in each wave."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import DecisionError, PlaceError
from ansible_collections.mec.migration.plugins.plugin_utils.loop.planning import (
    cordoned_hosts,
    last_move,
    plan,
    positions_of,
)
from ansible_collections.mec.migration.plugins.plugin_utils.loop.waves import Limits, waves
from ansible_collections.mec.migration.plugins.plugin_utils.prediction.cost_model import CostModel
from hypothesis import given
from hypothesis import strategies as st

LOAD = {"memory_bytes": 1e7, "dirty_pages_per_s": 0.0, "layers": []}


def loads(**running):
    return {
        host: {"diff_ids": [], "running": names, "services": dict.fromkeys(names, LOAD)}
        for host, names in running.items()
    }


def services(*names):
    return [{"name": name, "user": f"user-{name}"} for name in names]


def everyone(*names):
    return {f"user-{name}": {"user_cell": 1} for name in names}


class Wants:
    """Decides that every service goes to one host, and notes what it was asked."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.asked: list[tuple] = []

    def __call__(self, term, held, costs):
        self.asked.append((term, held, costs))
        here = term["current_host"]
        return {
            "migrate": here != self.target,
            "target": self.target,
            "reason": "because",
            "expected_costs": {"a": 3.0, "b": 1.0, "c": 2.0},
            "migration_costs": {"a": 0.5, "b": 0.5, "c": 0.5},
        }


def test_positions_become_terms():
    users = {
        "anna": {"cell": "3", "heading": 90, "dwell_slots": 2},
        "bo": {"latitude": 59.9, "longitude": 10.7},
    }
    assert positions_of({"format": 1, "time": "now", "users": users}) == {
        "anna": {"user_cell": "3", "heading": 90, "dwell_slots": 2},
        "bo": {"user_position": {"latitude": 59.9, "longitude": 10.7}},
    }


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "allowed"),
        ({"format": 2, "users": {}}, "allowed"),
        ({"format": 1}, "no users"),
        ({"format": 1, "users": {}, "user": {}}, "unknown key user"),
        ({"format": 1, "users": {"anna": 3}}, "users.anna is 3"),
        ({"format": 1, "users": {"anna": {"cell": 1, "x": 2}}}, "users.anna: unknown key x"),
        ({"format": 1, "users": {"anna": {"latitude": 1}}}, "either cell, or"),
        (
            {"format": 1, "users": {"anna": {"cell": 1, "heading": 511}}},
            "anna.heading is 511; allowed: -360 to",
        ),
        ({"format": 1, "users": {"anna": {"cell": 1, "heading": 1e300}}}, "anna.heading is 1e.300; allowed"),
        (
            {"format": 1, "users": {"anna": {"cell": 1, "dwell_slots": -1}}},
            "anna.dwell_slots is -1; allowed: 0",
        ),
        ({"format": 1, "users": {"anna": {"cell": 1, "latitude": 1, "longitude": 2}}}, "either cell, or"),
        ({"format": 1, "users": {"anna": {"latitude": "x", "longitude": 2}}}, "users.anna.latitude"),
    ],
)
def test_wrong_positions_are_named(document, words):
    with pytest.raises(DecisionError, match=words):
        positions_of(document)


def test_each_service_counts_on_those_before():
    decide = Wants("b")
    made = plan(
        services("one", "two"),
        everyone("one", "two"),
        loads(a=["one", "two"], b=["other"]),
        CostModel([]),
        decide,
        measured=False,
    )
    assert [one["action"] for one in made.services] == ["move", "move"]
    assert [held for _term, held, _costs in decide.asked] == [{"a": 2, "b": 0}, {"a": 2, "b": 1}]
    assert decide.asked[0][2] is None
    assert [[move["service"] for move in wave] for wave in made.waves] == [["one"], ["two"]]
    assert made.waves[0][0]["prediction"]["seconds"] > 0
    assert made.waves[0][0]["moves_at_once"] == 1


def test_long_moves_come_together_and_are_predicted_as_such():
    names = ["small", "big", "large"]
    held = loads(a=["small", "big"], b=["large"], c=[])
    for host, name, size in (("a", "small", 1e7), ("a", "big", 5e9), ("b", "large", 4e9)):
        held[host]["services"][name] = {**LOAD, "memory_bytes": size}
    made = plan(services(*names), everyone(*names), held, CostModel([]), Wants("c"), measured=False)
    assert [[move["service"] for move in wave] for wave in made.waves] == [["big", "large"], ["small"]]
    alone = {one["service"]: one["prediction"]["seconds"] for one in made.services}
    assert made.waves[0][0]["prediction"]["seconds"] > alone["big"]
    assert made.waves[1][0]["prediction"]["seconds"] == alone["small"]


def test_measured_costs_go_to_the_decision():
    decide = Wants("a")
    made = plan(
        services("one"), everyone("one"), loads(a=["one"], b=[]), CostModel([]), decide, measured=True
    )
    assert made.services[0]["action"] == "stay"
    assert set(decide.asked[0][2]) == {"a", "b"}
    assert made.waves == []


@pytest.mark.parametrize(
    ("seconds_ago", "target", "words"),
    [
        (
            90.0,
            "b",
            "because; it came from a 90 s ago, and to move back is expected to cost 3.000, 0.500 of it",
        ),
        (90.0, "c", "because; it came from a 90 s ago"),
        (7200.0, "b", "because"),
    ],
)
def test_a_service_that_moved_just_now_says_why_it_does_not_move_back(seconds_ago, target, words):
    moved = {"service": "one", "source": "a", "target": "b", "time": 10_000.0 - seconds_ago}
    (told,) = plan(
        services("one"),
        everyone("one"),
        loads(a=[], b=["one"], c=[]),
        CostModel([]),
        Wants(target),
        measured=False,
        records=[{**moved, "source": "c", "target": "a", "time": 0.0}, moved],
        now_s=10_000.0,
    ).services
    assert told["last_move"] == {"source": "a", "target": "b", "seconds_ago": seconds_ago}
    assert told["reason"].startswith(words)
    assert ("came from" in told["reason"]) == ("came from" in words)


def test_a_service_that_was_put_elsewhere_since_has_no_last_move():
    moved = {"service": "one", "source": "a", "target": "b", "time": 1.0}
    assert last_move("one", "c", [moved], 2.0) is None
    assert last_move("two", "b", [moved], 2.0) is None


def test_what_cannot_be_decided_is_skipped_with_its_reason():
    made = plan(
        services("lost", "twice", "alone"),
        everyone("lost", "twice"),
        loads(a=["twice", "alone"], b=["twice"]),
        CostModel([]),
        Wants("b"),
        measured=False,
    )
    assert [one["action"] for one in made.services] == ["skip", "skip", "skip"]
    lost, twice, alone = (one["reason"] for one in made.services)
    assert "runs on none" in lost
    assert "runs on a, b" in twice
    assert alone == "nobody knows where user user-alone is"


def test_a_host_is_emptied_within_the_capacities_of_the_others():
    made = plan(
        services("one", "two", "three", "four", "elsewhere"),
        everyone("one", "two", "four"),
        loads(a=["one", "two", "three", "four"], b=["elsewhere"], c=[]),
        CostModel([]),
        Wants("a"),
        measured=False,
        leave=["a"],
        capacities={"b": 2, "c": 2},
    )
    assert [(one["service"], one["action"], one.get("target")) for one in made.services] == [
        ("one", "move", "b"),
        ("two", "move", "c"),
        ("three", "move", "c"),
        ("four", "skip", None),
    ]
    assert "no other host has room" in made.services[3]["reason"]


MOVES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")).filter(lambda ends: ends[0] != ends[1]),
    max_size=25,
)


@given(MOVES, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_no_wave_breaks_a_limit_and_no_move_is_lost(ends, per_host, per_link, per_source):
    moves = [
        {"service": str(number), "current_host": source, "target": target, "reason": ""}
        for number, (source, target) in enumerate(ends)
    ]
    made = waves(moves, Limits(per_host, per_link, per_source))
    assert Counter(move["service"] for wave in made for move in wave) == Counter(m["service"] for m in moves)
    for wave in made:
        assert wave
        sources = Counter(move["source"] for move in wave)
        busy = Counter(end for move in wave for end in (move["source"], move["target"]))
        links = Counter(frozenset((move["source"], move["target"])) for move in wave)
        assert max(sources.values()) <= per_source
        assert max(busy.values()) <= per_host
        assert max(links.values()) <= per_link


def test_a_host_is_emptied_several_services_at_a_time():
    moves = [
        {"service": str(number), "current_host": "a", "target": "bc"[number % 2], "reason": ""}
        for number in range(12)
    ]
    assert [len(wave) for wave in waves(moves, Limits(4, 2, 4))] == [4, 4, 4]
    assert [len(wave) for wave in waves(moves, Limits(4, 1, 4))] == [2] * 6
    assert [len(wave) for wave in waves(moves, Limits())] == [1] * 12


@pytest.mark.parametrize("limits", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_limits_are_at_least_one(limits):
    with pytest.raises(DecisionError, match="at least 1"):
        Limits(*limits)


class Costs:
    """Decides by a table of expected costs."""

    def __init__(self, slots: dict[str, dict[str, float]], **costs: dict[str, float]) -> None:
        self.costs, self.slots = costs, slots

    def __call__(self, term, held, _measured):
        here, expected = term["current_host"], self.costs[term["name"]]
        room = {host: cost for host, cost in expected.items() if host == here or held[host] < ROOM[host]}
        target = min(room, key=room.__getitem__)
        return {
            "migrate": target != here,
            "target": target,
            "reason": "because",
            "expected_costs": expected,
            "migration_costs": dict.fromkeys(expected, 0.5),
            "slot_costs": self.slots.get(term["name"], dict.fromkeys(expected, 0.0)),
        }


ROOM = {"a": 2, "b": 1, "c": 1}


def together(costs, *, joint, slots=None, **options):
    held = loads(a=["one", "two"], b=["three"], c=[])
    names = list(costs)
    decide = Costs(slots or {}, **costs)
    return plan(
        services(*names), everyone(*names), held, CostModel([]), decide,
        measured=False, capacities=ROOM, joint=joint, **options,
    )  # fmt: skip


def test_a_joint_plan_costs_least_and_keeps_capacities_wave_by_wave(monkeypatch):
    costs = {
        # Alone, "one" takes the last place of c, which "three" needs more.
        "one": {"a": 5.0, "b": 4.5, "c": 4.0},
        "two": {"a": 5.0, "b": 1.0, "c": 5.0},
        "three": {"a": 9.0, "b": 9.0, "c": 1.0},
    }
    alone, joint = together(costs, joint=False), together(costs, joint=True)
    assert alone.joint is None
    targets = {one["service"]: one.get("target", one["current_host"]) for one in joint.services}
    assert targets == {"one": "a", "two": "b", "three": "c"}
    assert joint.joint["cost"] == pytest.approx(7.0)
    assert joint.joint["one_by_one"] > joint.joint["cost"] == pytest.approx(joint.joint["bound"])
    assert [[move["service"] for move in wave] for wave in joint.waves] == [["three"], ["two"]]
    assert joint.waves[1][0]["after"] == ["three"]
    assert joint.waves[0][0]["after"] == []
    assert "with all services together this costs least" in joint.services[0]["reason"]
    # Nobody knows the least without scipy.
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    assert "together this costs less" in together(costs, joint=True).services[0]["reason"]


def test_where_hosts_are_full_one_more_slot_of_use_counts():
    """Both want the last place of c; it costs "one" a little less, but "three" uses the other one dearly."""
    costs = {
        "one": {"a": 4.5, "b": 9.0, "c": 4.0},
        "two": {"a": 1.0, "b": 9.0, "c": 9.0},
        "three": {"a": 9.0, "b": 4.4, "c": 4.0},
    }
    slots = {"three": {"a": 1.0, "b": 0.9, "c": 0.0}, "one": {"a": 0.2, "b": 0.9, "c": 0.0}}
    blind, made = together(costs, joint=True), together(costs, joint=True, slots=slots)
    assert blind.joint["contested"]
    assert [move["service"] for wave in blind.waves for move in wave] == ["one"]
    assert [move["service"] for wave in made.waves for move in wave] == ["three"]
    assert made.joint["cost"] == pytest.approx(4.5 + 0.2 + 1.0 + 4.0)


def test_where_there_is_room_for_all_it_does_not_count():
    costs = {"one": {"a": 2.0, "b": 9.0, "c": 1.9}, "two": {"a": 1.0, "b": 9.0, "c": 9.0}}
    slots = {"one": {"a": 0.0, "b": 0.0, "c": 5.0}, "two": {"a": 0.0, "b": 0.0, "c": 0.0}}
    made = together(costs, joint=True, slots=slots)
    assert not made.joint["contested"]
    assert [move["service"] for wave in made.waves for move in wave] == ["one"]


def test_a_joint_plan_empties_a_host_and_says_what_stays():
    costs = {name: {"a": 1.0, "b": 3.0, "c": 2.0 + place} for place, name in enumerate(("one", "two"))}
    made = together({**costs, "three": {"a": 1.0, "b": 1.0, "c": 1.0}}, joint=True, leave=["a"])
    assert [one["service"] for one in made.services] == ["one", "two"]
    assert [one["action"] for one in made.services] == ["move", "skip"]
    assert made.services[0]["target"] == "c"


def test_a_cordoned_host_is_no_target_of_an_emptied_one():
    state = loads(a=["x", "y"], b=[], c=["z"])
    state["b"]["cordoned"] = True
    assert cordoned_hosts(state) == ["b"]
    made = plan(
        services("x", "y"),
        everyone("x"),
        state,
        CostModel([]),
        Wants("b"),
        measured=False,
        leave=["a"],
    )
    # By the policy for the one whose user is known, by the fewest services for the other.
    assert [(one["action"], one["target"]) for one in made.services] == [("move", "c"), ("move", "c")]


class Lost(Wants):
    """Knows no place for one user."""

    def __call__(self, term, held, costs):
        if term["name"] == "one":
            raise PlaceError("the user is outside the map")
        return super().__call__(term, held, costs)


def test_a_user_off_the_map_is_nothing_to_others():
    state = loads(a=["one", "two"], b=[])
    given = services("one", "two"), everyone("one", "two"), state, CostModel([])
    for joint in (False, True):
        made = plan(*given, Lost("b"), measured=False, joint=joint)
        assert [one["action"] for one in made.services] == ["skip", "move"]
        assert made.services[0]["reason"] == "the user is outside the map"
    # A host that is emptied is emptied all the same.
    made = plan(*given, Lost("b"), measured=False, leave=["a"])
    assert [one["action"] for one in made.services] == ["move", "move"]
    assert (
        made.services[0]["reason"] == "a is emptied; b holds the fewest services; the user is outside the map"
    )


@pytest.mark.parametrize("service", [{"name": "one"}, {"name": "one", "user": None}])
def test_a_service_without_a_user_says_so(service):
    made = plan([service], everyone("one"), loads(a=["one"]), CostModel([]), Wants("a"), measured=False)
    assert (made.services[0]["user"], made.services[0]["reason"]) == ("", "it has no user")


@pytest.mark.parametrize("service", [{}, {"user": "anna"}, {"name": None}, {"name": " "}])
def test_a_service_without_a_name_is_refused(service):
    with pytest.raises(DecisionError, match="a service has no name"):
        plan([service], {}, loads(a=["one"]), CostModel([]), Wants("a"), measured=False)


def test_a_host_to_be_emptied_is_one_that_was_measured():
    with pytest.raises(DecisionError, match="leave: host x is none of those that were measured, a, b"):
        plan(
            services("one"),
            {},
            loads(a=["one"], b=[]),
            CostModel([]),
            Wants("a"),
            measured=False,
            leave=["x"],
        )


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bandwidth_is_more_than_nothing(bandwidth):
    with pytest.raises(DecisionError, match=r"bandwidth_mbit .* more than 0"):
        CostModel([], bandwidth)
