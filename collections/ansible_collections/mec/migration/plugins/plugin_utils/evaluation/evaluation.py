# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All strategies in the same simulated world, against the offline optimum."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..base.errors import DecisionError
from ..base.requirements import require_numpy
from ..inputs.hosts import Host
from ..inputs.policy import Policy
from ..inputs.route_trust import MAX_AGE
from ..mdp.cells import CellMap
from ..mdp.model import build_map, build_mobility, build_world
from ..mdp.solver import solve
from ..mdp.strategies import STRATEGIES, World, hysteresis
from ..mdp.trace import Session, check_learnable, read_trace, sessions_of
from .known_routes import announcements, simulate_routes
from .simulation import Outcome, Schedule, offline_optimum, schedule, simulate, walk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

OFFLINE = "offline_optimum"
# What the gap is counted from: the best of these closes 0 % of it.
BASELINES = ("never", "always", "nearest", "myopic")
# Shares of the largest transmission cost; 0 moves whenever anything is saved.
MARGINS = tuple(round(0.02 * step, 2) for step in range(51))
RESAMPLES = 2_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Evaluated:
    """The rows of one evaluation and what they were computed from; plain types only."""

    settings: dict[str, Any]
    rows: list[dict[str, Any]]


def spread_hosts(cells: CellMap, count: int | None) -> list[Host]:
    """``count`` hosts spread evenly over the cells in the order of the table; None: one in each
    cell.

    The placement of the published code of Wang et al.: cell round(i * N / count) for i = 1 ..
    count.
    """
    total = len(cells)
    if count is None:
        count = total
    if not 1 <= count <= total:
        raise DecisionError(f"hosts is {count}; allowed: 1 to {total}, the number of cells")
    # MATLAB rounds halves up, Python to even.
    chosen = [int(i * total / count + 0.5) - 1 for i in range(1, count + 1)]
    return [Host(f"host-{cells.ids[cell]}", cells.ids[cell]) for cell in chosen]


def evaluate_trace(
    policy: Policy,
    trace_file: str,
    *,
    hosts: int | None = None,
    strategies: Sequence[str] = tuple(STRATEGIES),
    capacity: int | None = None,
    seed: int = 1,
    known_slots: Sequence[int] = (),
    wrong_routes: float = 0.0,
) -> Evaluated:
    """Strategies on a trace; every second user is for learning and tuning, the others for the
    figures.

    :param policy: a checked policy; its mobility is learned from the first half where it is of kind
        ``learned``.
    :param known_slots: also for users who announce so many next slots; trust in that is learned.
    :param wrong_routes: share of the users who announce where another user goes.
    """
    if not 0 <= wrong_routes <= 1 or any(not 1 <= known <= MAX_AGE for known in known_slots):
        raise DecisionError(
            f"wrong_routes is {wrong_routes}, known_slots {list(known_slots)}; allowed: 0 to 1, and 1 to "
            f"{MAX_AGE}"
        )
    said: list[str] = []
    cells = build_map(policy, said)
    slot_s = float(policy.document.get("slot_seconds", 60))
    trace = read_trace(trace_file, cells, slot_s=slot_s, said=said)
    check_learnable(trace_file, trace, said)
    if trace.shape[1] < 4:
        raise DecisionError(f"{trace_file}: {trace.shape[1]} users; at least 4 are needed for two halves")
    train = sessions_of(trace, range(0, trace.shape[1], 2))
    test = sessions_of(trace, range(1, trace.shape[1], 2))
    return _evaluate(
        policy,
        cells,
        train,
        test,
        hosts=hosts,
        strategies=strategies,
        capacity=capacity,
        seed=seed,
        kind="trace",
        known_slots=known_slots,
        wrong_routes=wrong_routes,
        said=said,
    )


def evaluate_walk(
    policy: Policy,
    *,
    users: int = 200,
    slots: int = 300,
    hosts: int | None = None,
    strategies: Sequence[str] = tuple(STRATEGIES),
    capacity: int | None = None,
    seed: int = 1,
) -> Evaluated:
    """Strategies on random walks of a checked policy's own mobility; the same walks for each of them."""
    cells = build_map(policy)
    mobility, _report = build_mobility(policy, cells)
    rng = np.random.default_rng(seed)
    train = walk(mobility, users, slots, rng)
    test = walk(mobility, users, slots, rng)
    return _evaluate(
        policy,
        cells,
        train,
        test,
        hosts=hosts,
        strategies=strategies,
        capacity=capacity,
        seed=seed,
        kind="random_walk",
    )


def _evaluate(
    policy: Policy,
    cells: CellMap,
    train: Sequence[Session],
    test: Sequence[Session],
    *,
    hosts: int | None,
    strategies: Sequence[str],
    capacity: int | None,
    seed: int,
    kind: str,
    known_slots: Sequence[int] = (),
    wrong_routes: float = 0.0,
    said: Sequence[str] = (),
) -> Evaluated:
    unknown = [name for name in strategies if name not in STRATEGIES]
    if unknown:
        raise DecisionError(f"strategy {unknown[0]!r}; allowed: {', '.join(STRATEGIES)}")
    placed = spread_hosts(cells, hosts)
    world = build_world(policy, cells, placed, build_mobility(policy, cells, train))
    plan = schedule(cells, world.mobility, test)
    room = None if capacity is None else np.full(len(placed), capacity, dtype=np.int64)
    world = replace(world, hysteresis_margin=tune_margin(world, schedule(cells, world.mobility, train), room))
    outcomes: dict[str, Outcome] = {}
    timing: dict[str, tuple[float, float]] = {}
    for name in dict.fromkeys((*BASELINES, *strategies)):
        start = time.perf_counter()
        action = STRATEGIES[name](world)
        solved = time.perf_counter()
        outcomes[name] = simulate(world, plan, action, room)
        taken = time.perf_counter() - solved
        decisions = int(outcomes[name].slots.sum())
        timing[name] = ((solved - start) * 1e3, taken / decisions * 1e6)
    if known_slots:
        solution = solve(world.problem(world.mobility), world.error_bound)
        announced = announcements(plan, wrong_routes, seed)
        for known in known_slots:
            outcomes[f"mdp_direction_known_{known}"] = simulate_routes(
                world, cells, plan, solution, known, announced
            )
    outcomes[OFFLINE] = offline_optimum(world, plan)
    slot_seconds = float(policy.document.get("slot_seconds", 60))
    rows = _rows(outcomes, timing, slot_seconds, np.random.default_rng(seed))
    settings = {
        "kind": kind,
        "policy": policy.path,
        "discount": world.discount,
        "cells": len(cells),
        "hosts": len(placed),
        "capacity": capacity,
        "seed": seed,
        "hysteresis_margin": world.hysteresis_margin,
        "slot_seconds": slot_seconds,
        "train_sessions": len(train),
        "test_sessions": len(test),
        "test_users": plan.users,
        "test_slots": int((plan.cell >= 0).sum()),
        "costs": policy.document["costs"],
        "warnings": list(said),
    }
    if known_slots:
        settings["wrong_routes"] = wrong_routes
    return Evaluated(settings, rows)


def tune_margin(world: World, plan: Schedule, capacity: NDArray[np.int64] | None) -> float:
    """The hysteresis margin that costs least on the training half."""
    largest = float(world.transmission_cost.max())

    def cost(margin: float) -> float:
        tuned = replace(world, hysteresis_margin=margin * largest)
        return simulate(tuned, plan, hysteresis(tuned), capacity).mean_cost

    return min(MARGINS, key=cost) * largest


def _rows(
    outcomes: dict[str, Outcome],
    timing: dict[str, tuple[float, float]],
    slot_seconds: float,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """One row a strategy; intervals are percentiles of a bootstrap over users, the same draws for all."""
    slots = outcomes[OFFLINE].slots
    users = len(slots)
    weight = rng.multinomial(users, np.full(users, 1 / users), size=RESAMPLES).astype(float)
    drawn_slots = weight @ slots

    def drawn(name: str) -> NDArray[np.float64]:
        return (weight @ outcomes[name].total) / drawn_slots

    best = min(BASELINES, key=lambda name: outcomes[name].mean_cost)
    base, least = outcomes[best].mean_cost, outcomes[OFFLINE].mean_cost
    drawn_base, drawn_least = drawn(best), drawn(OFFLINE)
    rows = []
    for name, outcome in outcomes.items():
        cost = drawn(name)
        total = outcome.slots.sum()
        gap = base - least
        solve_ms, decide_us = timing.get(name, (None, None))
        rows.append(
            {
                "strategy": name,
                "cost": outcome.mean_cost,
                "cost_low": _percentile(cost, 0),
                "cost_high": _percentile(cost, 1),
                "migration_cost": float(outcome.migration.sum() / total),
                "transmission_cost": float(outcome.transmission.sum() / total),
                "migrations_per_hour": float(outcome.migrations.sum() / total * 3600 / slot_seconds),
                "ratio_to_offline": outcome.mean_cost / least if least else 1.0,
                "gap_closed": (base - outcome.mean_cost) / gap if gap else 0.0,
                "gap_closed_low": _percentile(_gap(drawn_base, cost, drawn_least), 0),
                "gap_closed_high": _percentile(_gap(drawn_base, cost, drawn_least), 1),
                "solve_ms": solve_ms,
                "decide_us": decide_us,
                "baseline": name == best,
            }
        )
    return rows


def _gap(
    base: NDArray[np.float64], cost: NDArray[np.float64], least: NDArray[np.float64]
) -> NDArray[np.float64]:
    return (base - cost) / np.maximum(base - least, 1e-12)


def _percentile(values: NDArray[np.float64], end: int) -> float:
    tail = (1 - CONFIDENCE) / 2
    return float(np.quantile(values, 1 - tail if end else tail))
