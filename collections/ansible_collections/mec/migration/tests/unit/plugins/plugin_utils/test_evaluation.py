# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated world, the offline optimum, traces and reports."""

from __future__ import annotations

import csv
import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import (
    DecisionError,
    TraceError,
)
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation.evaluation import (
    evaluate_trace,
    evaluate_walk,
    spread_hosts,
)
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation.figure_6 import point
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation.simulation import (
    offline_optimum,
    schedule,
    simulate,
    walk,
)
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import (
    DEFAULT_DIRECTORY,
    Policy,
    check,
    read_policy,
)
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.model import (
    build_map,
    build_mobility,
    build_world,
)
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.solver import solve
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.strategies import STRATEGIES
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.trace import (
    Session,
    read_cells,
    read_trace,
    sessions_of,
)
from ansible_collections.mec.migration.plugins.plugin_utils.report.report import (
    write_figure_6,
    write_report,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def small_world(persistence=0.5, discount=0.9):
    document = dict(read_policy(DEFAULT_DIRECTORY / "default.yml").document)
    document["map"] = {"kind": "hexagon", "rings": 2, "cell_size_m": 500}
    document["mobility"] = {
        "kind": "random_walk",
        "move_probability": 0.5,
        "persistence": persistence,
    }
    document["discount"] = discount
    policy = check(Policy("test.yml", document, "."))
    cells = build_map(policy)
    world = build_world(policy, cells, spread_hosts(cells, 5), build_mobility(policy, cells))
    return policy, cells, world


POLICY, CELLS, WORLD = small_world()


def sessions(seed, users=6, slots=7):
    return walk(WORLD.mobility, users, slots, np.random.default_rng(seed))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_the_offline_optimum_is_the_best_of_all_host_sequences(seed):
    one = sessions(seed, users=1, slots=4)
    found = offline_optimum(WORLD, schedule(CELLS, WORLD.mobility, one))
    path = one[0].cells
    start = WORLD.nearest_host[path[0]]
    best = np.inf
    for later in itertools.product(range(5), repeat=3):
        hosts = [start, *later]
        moves = sum(WORLD.migration_cost[a, b] for a, b in itertools.pairwise(hosts))
        slots = sum(WORLD.transmission_cost[c, h] for c, h in zip(path, hosts, strict=True))
        best = min(best, moves + slots)
    assert found.total[0] == pytest.approx(best)


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(STRATEGIES)))
@settings(max_examples=30, deadline=None)
def test_no_strategy_beats_the_offline_optimum_for_any_user(seed, name):
    plan = schedule(CELLS, WORLD.mobility, sessions(seed))
    least = offline_optimum(WORLD, plan)
    found = simulate(WORLD, plan, STRATEGIES[name](WORLD))
    assert (found.total >= least.total - 1e-9).all()
    assert (found.slots == 7).all()


def test_never_never_moves_and_always_pays_no_transmission_with_a_host_in_each_cell():
    world = build_world(POLICY, CELLS, spread_hosts(CELLS, None), build_mobility(POLICY, CELLS))
    plan = schedule(CELLS, world.mobility, sessions(1))
    still, following = (simulate(world, plan, STRATEGIES[name](world)) for name in ("never", "always"))
    assert still.migrations.sum() == 0 == still.migration.sum()
    assert following.transmission.sum() == 0
    moved = sum(int((np.diff(session.cells) != 0).sum()) for session in sessions(1))
    assert following.migrations.sum() == moved > 0


def test_the_mean_discounted_cost_of_a_simulation_is_the_value_that_was_solved():
    """The simulation and the solver must mean the same by a slot; 4 standard errors of tolerance."""
    solution = solve(WORLD.problem(WORLD.mobility), 1e-6)
    users, slots = 4_000, 150
    paths = walk(WORLD.mobility, users, slots, np.random.default_rng(5))
    plan = schedule(CELLS, WORLD.mobility, paths)
    host = WORLD.nearest_host[plan.cell[0]]
    expected = solution.value[plan.state[0], host]
    cost = np.zeros(users)
    for slot in range(slots):
        target = solution.action[plan.state[slot], host]
        paid = WORLD.migration_cost[host, target] + WORLD.transmission_cost[plan.cell[slot], target]
        cost += WORLD.discount**slot * paid
        host = target
    difference = cost - expected
    assert abs(difference.mean()) <= 4 * difference.std() / users**0.5 + 1e-4


def test_walks_follow_the_transition_probabilities():
    paths = np.array([session.cells for session in sessions(2, users=20_000, slots=2)])
    stayed = (paths[:, 0] == paths[:, 1]).mean()
    dense = WORLD.mobility_cell.dense()
    assert stayed == pytest.approx(dense.diagonal().mean(), abs=4 * 0.5 / 20_000**0.5)


def test_the_same_seed_is_the_same_world():
    for one, other in zip(sessions(9), sessions(9), strict=True):
        assert (one.cells == other.cells).all()
    assert any((a.cells != b.cells).any() for a, b in zip(sessions(9), sessions(8), strict=True))


def test_capacity_is_never_exceeded_and_costs():
    plan = schedule(CELLS, WORLD.mobility, sessions(4, users=10, slots=40))
    action = STRATEGIES["always"](WORLD)
    free = simulate(WORLD, plan, action)
    tight = simulate(WORLD, plan, action, np.full(5, 2))
    assert tight.transmission.sum() > free.transmission.sum()
    with pytest.raises(DecisionError, match="no host has room"):
        simulate(WORLD, plan, action, np.full(5, 1))


def test_a_session_that_ends_makes_room():
    cell = int(np.flatnonzero(WORLD.distance_m[:, 0] == 0)[0])
    here = np.array([cell, cell])
    plan = schedule(CELLS, WORLD.mobility, [Session(0, 0, here), Session(1, 2, here)])
    room = np.array([1, 0, 0, 0, 0])
    assert simulate(WORLD, plan, STRATEGIES["never"](WORLD), room).transmission.sum() == 0


def test_with_capacities_the_offline_optimum_may_start_anywhere():
    # Where the nearest host is full a session starts on another one, for nothing, where its user may go.
    for seed in range(20):
        plan = schedule(CELLS, WORLD.mobility, sessions(seed, users=5))
        nearest, anywhere = (offline_optimum(WORLD, plan, anywhere=one).total.sum() for one in (False, True))
        for name in ("never", "mdp_direction"):
            found = simulate(WORLD, plan, STRATEGIES[name](WORLD), np.full(5, 1)).total
            assert found.sum() >= anywhere - 1e-9
        assert anywhere <= nearest + 1e-9
    first, second = (int(np.flatnonzero(WORLD.distance_m[:, host] == 0)[0]) for host in (0, 1))
    path = np.array([first, second, second, second, second])
    plan = schedule(CELLS, WORLD.mobility, [Session(0, 0, path)])
    there = simulate(WORLD, plan, STRATEGIES["never"](WORLD), np.array([0, 1, 0, 0, 0])).total.sum()
    assert offline_optimum(WORLD, plan, anywhere=True).total.sum() <= there
    assert offline_optimum(WORLD, plan).total.sum() > there


def test_routes_are_not_evaluated_with_limits_of_room(trace_dir):
    with pytest.raises(DecisionError, match=r"known_slots is \[2\] and capacity 3; allowed: one of them"):
        evaluate_trace(
            taxi_policy(trace_dir), str(trace_dir / "trace.npz"), hosts=3, known_slots=[2], capacity=3
        )


def test_one_step_benefit_is_the_largest_benefit():
    world = replace(WORLD, migration_cost=0.1 * WORLD.migration_cost)
    action = STRATEGIES["one_step_benefit"](world)
    chain = world.mobility.dense()
    cost = world.problem(world.mobility).transmission_cost
    for state, host in itertools.product(range(0, len(cost), 7), range(5)):
        ahead = world.discount * chain[state] @ (cost[:, [host]] - cost)
        benefit = cost[state, host] - cost[state] - world.migration_cost[host] + ahead
        assert benefit[action[state, host]] == pytest.approx(max(benefit.max(), 0.0))


def test_hosts_are_spread_as_in_the_published_code():
    names = [host.cell for host in spread_hosts(CELLS, 5)]
    # 19 cells: round(3.8), round(7.6), round(11.4), round(15.2), 19, counted from 1.
    assert names == ["3", "7", "10", "14", "18"]
    with pytest.raises(DecisionError, match="hosts is 20; allowed: 1 to 19"):
        spread_hosts(CELLS, 20)


@pytest.fixture
def trace_dir(tmp_path):
    rows = "".join(f"{place},{37.7 + 0.005 * place},-122.4\n" for place in range(1, 7))
    (tmp_path / "cells.csv").write_text("cell,lat,lon\n" + rows)
    rng = np.random.default_rng(1)
    cell = np.clip(np.cumsum(rng.integers(-1, 2, size=(40, 8)), axis=0) + 3, 0, 6)
    np.savez(tmp_path / "trace.npz", cell=cell.astype(np.uint8))
    lines = [
        f"{slot},taxi-{user},{cell[slot, user]}\n"
        for slot in range(40)
        for user in range(8)
        if cell[slot, user]
    ]
    (tmp_path / "trace.csv").write_text("slot,user,cell\n" + "".join(lines))
    return tmp_path


def test_both_trace_formats_say_the_same(trace_dir):
    cells = read_cells(trace_dir / "cells.csv", 500)
    one = read_trace(trace_dir / "trace.npz", cells)
    other = read_trace(trace_dir / "trace.csv", cells)
    as_sets = [
        {
            (session.start, *session.cells.tolist())
            for session in sessions_of(trace)
        }
        for trace in (one, other)
    ]  # fmt: skip
    assert as_sets[0] == as_sets[1]
    gaps = sum(int((np.diff(np.r_[0, one[:, user] >= 0]) == 1).sum()) for user in range(8))
    assert len(sessions_of(one)) == gaps


def test_positions_go_to_the_nearest_cell(trace_dir):
    cells = read_cells(trace_dir / "cells.csv", 500)
    path = trace_dir / "positions.csv"
    path.write_text("slot,user,lat,lon\n0,a,37.7101,-122.4002\n")
    assert read_trace(path, cells)[0, 0] == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "slot,cell\n0,1\n", "column 'user' is missing; found: slot, cell"),
        ("t.csv", "slot,user,cell\nx,a,1\n", "line 2: slot is 'x'"),
        ("t.csv", "slot,user,cell\n0,a,99\n", "line 2: cell '99' is not in the cell table"),
        ("t.csv", "slot,user,lat,lon\n0,a,nan,1\n", "line 2: lat is 'nan'"),
        ("t.csv", "slot,user,lat,lon\n0,a,1,1\n", "off the map"),
        ("t.csv", "slot,user,cell\n", "no row in the trace"),
        ("t.npz", "not a zip", "not a trace"),
    ],
)
def test_wrong_traces(trace_dir, name, content, message):
    cells = read_cells(trace_dir / "cells.csv", 500)
    (trace_dir / name).write_text(content)
    with pytest.raises(TraceError, match=message):
        read_trace(trace_dir / name, cells)


def test_a_pickled_trace_is_refused(trace_dir):
    cells = read_cells(trace_dir / "cells.csv", 500)
    np.savez(trace_dir / "p.npz", cell=np.array([{"a": 1}], dtype=object))
    with pytest.raises(TraceError, match="not a trace"):
        read_trace(trace_dir / "p.npz", cells)


def taxi_policy(trace_dir):
    document = dict(read_policy(DEFAULT_DIRECTORY / "default.yml").document)
    document["map"] = {"kind": "cells", "file": "cells.csv", "cell_size_m": 500}
    document["mobility"] = {"kind": "learned", "trace": "trace.npz"}
    return check(Policy("taxi.yml", document, str(trace_dir)))


def test_a_trace_is_evaluated_and_reported(trace_dir):
    done = evaluate_trace(taxi_policy(trace_dir), str(trace_dir / "trace.npz"), hosts=3)
    rows = {row["strategy"]: row for row in done.rows}
    assert set(rows) == {*STRATEGIES, "offline_optimum"}
    least = rows["offline_optimum"]
    assert least["ratio_to_offline"] == least["gap_closed"] == 1
    base = [row for row in done.rows if row["baseline"]]
    assert len(base) == 1
    assert base[0]["gap_closed"] == 0
    for row in done.rows:
        assert row["cost"] == pytest.approx(row["migration_cost"] + row["transmission_cost"])
        assert row["cost"] >= least["cost"] - 1e-12
        assert row["cost_low"] <= row["cost"] <= row["cost_high"]
    files = write_report(trace_dir / "out", "T <b>", done.settings, done.rows)
    with open(files["csv"], newline="") as stream:
        assert [row["strategy"] for row in csv.DictReader(stream)] == list(rows)
    with open(files["json"]) as stream:
        assert json.load(stream)["strategies"] == [
            {key: value for key, value in row.items() if key not in ("solve_ms", "decide_us")}
            for row in done.rows
        ]
    page = (trace_dir / "out" / "evaluation.html").read_text()
    assert "T &lt;b&gt;" in page
    assert page.count("<svg") == 1
    assert not re.search(r"(src|href)=|<script|https?://", page)


def test_the_test_half_is_not_learned_from(trace_dir):
    """Another second half must leave what was tuned and learned on the first as it was."""
    policy = taxi_policy(trace_dir)
    first = evaluate_trace(policy, str(trace_dir / "trace.npz"), hosts=3)
    with np.load(trace_dir / "trace.npz") as archive:
        cell = archive["cell"].copy()
    cell[:, 1::2] = cell[::-1, 1::2]
    np.savez(trace_dir / "other.npz", cell=cell)
    second = evaluate_trace(policy, str(trace_dir / "other.npz"), hosts=3)
    assert first.settings["hysteresis_margin"] == second.settings["hysteresis_margin"]
    assert first.settings["train_sessions"] == second.settings["train_sessions"]
    assert first.rows[0]["cost"] != second.rows[0]["cost"]


def test_random_walks_are_evaluated_twice_the_same():
    one, other = (
        evaluate_walk(POLICY, users=20, slots=30, hosts=5, strategies=["mdp_direction"]) for _turn in range(2)
    )
    for row, again in zip(one.rows, other.rows, strict=True):
        timing = {"solve_ms": None, "decide_us": None}
        assert {**row, **timing} == {**again, **timing}


def test_figure_6_is_written_with_every_point(tmp_path):
    points = [point(0.5, x, runs=2) for x in (0.0, 1.0)]
    files = write_figure_6(tmp_path, points)
    with open(files["csv"], newline="") as stream:
        assert [float(row["x"]) for row in csv.DictReader(stream)] == [0.0, 1.0]
    page = (tmp_path / "figure_6.html").read_text()
    assert page.count("<polyline") == 2 + 5
    assert not re.search(r"(src|href)=|<script|https?://", page)


@pytest.mark.parametrize(("name", "said"), [("load_dependent", 1), ("default", 0)])
def test_an_evaluation_without_load_says_so(name, said):
    policy = check(read_policy(DEFAULT_DIRECTORY / f"{name}.yml"))
    found = evaluate_walk(policy, users=4, slots=3, strategies=("never",), hosts=3)
    assert len([word for word in found.settings["warnings"] if "taken as with no user" in word]) == said
