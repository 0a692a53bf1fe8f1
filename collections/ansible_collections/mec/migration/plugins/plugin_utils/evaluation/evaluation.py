# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All strategies in the same simulated world, against the offline optimum; one setting, or many of them."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..base.errors import DecisionError
from ..base.requirements import require_numpy
from ..inputs.policy import Policy
from ..inputs.route_trust import MAX_AGE
from ..mdp.cells import CellMap
from ..mdp.model import build_map, build_mobility
from ..mdp.strategies import STRATEGIES
from ..mdp.trace import Session, check_learnable, read_trace, sessions_of
from .parts import Part, joined, plain_map, plain_sessions, spread_hosts
from .runner import InProcess, Progress, Runner, silent
from .simulation import Outcome, walk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

__all__ = [
    "STRATEGIES",
    "Evaluated",
    "evaluate_cases",
    "evaluate_trace",
    "evaluate_walk",
    "silent",
    "spread_hosts",
]

OFFLINE = "offline_optimum"
# What the gap is counted from: the best of these closes 0 % of it.
BASELINES = ("never", "always", "nearest", "myopic")
# Shares of the largest transmission cost; 0 moves whenever anything is saved.
MARGINS = tuple(round(0.02 * step, 2) for step in range(51))
RESAMPLES = 2_000
CONFIDENCE = 0.95
# How much a part is of: small enough to be spread, large enough to be worth a message.
USERS_A_PART = 48
MARGINS_A_PART = 17
LOAD_IS_NONE = (
    "the policy has costs of the family load_dependent; they are taken as with no user at all, since users "
    "are evaluated one by one (kind figure_8 has the load)"
)


@dataclass(frozen=True)
class Evaluated:
    """The rows of one evaluation and what they were computed from; plain types only."""

    settings: dict[str, Any]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """One setting to be evaluated: a policy, whose movement there is to learn from and to be measured on.

    ``varied``: what distinguishes it from the other settings of a sweep.
    """

    policy: Policy
    cells: CellMap
    train: Sequence[Session]
    test: Sequence[Session]
    kind: str
    hosts: int | None = None
    strategies: Sequence[str] = tuple(STRATEGIES)
    capacity: int | None = None
    seed: int = 1
    known_slots: Sequence[int] = ()
    wrong_routes: float = 0.0
    said: Sequence[str] = ()
    varied: Mapping[str, Any] | None = None


def trace_case(policy: Policy, trace_file: str, **options: Any) -> Case:
    """A trace; every second user is for learning and tuning, the others for the figures.

    :param policy: a checked policy; its mobility is learned from the first half where it is of kind
        ``learned``.
    :param options: fields of :class:`Case`.
    """
    known_slots, wrong_routes = options.get("known_slots", ()), options.get("wrong_routes", 0.0)
    if not 0 <= wrong_routes <= 1 or any(not 1 <= known <= MAX_AGE for known in known_slots):
        raise DecisionError(
            f"wrong_routes is {wrong_routes}, known_slots {list(known_slots)}; allowed: 0 to 1, and 1 to "
            f"{MAX_AGE}"
        )
    if known_slots and options.get("capacity") is not None:
        raise DecisionError(
            f"known_slots is {list(known_slots)} and capacity {options['capacity']}; allowed: one of them, "
            "as routes are evaluated without limits of room"
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
    return Case(policy, cells, train, test, "trace", said=tuple(said), **options)


def walk_case(policy: Policy, users: int = 200, slots: int = 300, **options: Any) -> Case:
    """Random walks of a checked policy's own mobility; the same walks for each strategy."""
    cells = build_map(policy)
    mobility, _report = build_mobility(policy, cells)
    rng = np.random.default_rng(options.get("seed", 1))
    train = walk(mobility, users, slots, rng)
    test = walk(mobility, users, slots, rng)
    return Case(policy, cells, train, test, "random_walk", **options)


def evaluate_trace(policy: Policy, trace_file: str, **options: Any) -> Evaluated:
    """Strategies on a trace; options as for :func:`trace_case`."""
    return evaluate_cases([trace_case(policy, trace_file, **options)])[0]


def evaluate_walk(policy: Policy, **options: Any) -> Evaluated:
    """Strategies on random walks; options as for :func:`walk_case`."""
    return evaluate_cases([walk_case(policy, **options)])[0]


def evaluate_cases(
    cases: Sequence[Case], runner: Runner | None = None, progress: Progress = silent
) -> list[Evaluated]:
    """Evaluate settings; what comes out is the same whoever runs the parts, but for the times."""
    work = _Work()
    planned = [_Planned(case, work) for case in cases]
    wanted = sorted({place for one in planned for place in one.wanted()})
    results = (runner or InProcess()).run(work.parts, work.shared, wanted, progress)
    return [one.evaluated(results) for one in planned]


class _Work:
    """The parts of all settings, and the values that they share."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.shared: dict[str, Any] = {}
        self._names: dict[str, str] = {}

    def share(self, kind: str, value: Any) -> str:
        """The name of *value*, which is shared once however many settings have it."""
        digest = hashlib.sha256(pickle.dumps(value)).hexdigest()
        if digest not in self._names:
            self._names[digest] = f"{kind}-{digest[:16]}"
            self.shared[self._names[digest]] = value
        return self._names[digest]

    def add(
        self, name: str, function: str, shared: Sequence[str], needs: Sequence[int] = (), **given: Any
    ) -> int:
        """The place of a new part."""
        self.parts.append(Part(name, function, tuple(shared), given, tuple(needs)))
        return len(self.parts) - 1


class _Planned:
    """Where the parts of one setting are."""

    def __init__(self, case: Case, work: _Work) -> None:
        unknown = [name for name in case.strategies if name not in STRATEGIES]
        if unknown:
            raise DecisionError(f"strategy {unknown[0]!r}; allowed: {', '.join(STRATEGIES)}")
        self.case = case
        self.said = [*case.said, *([LOAD_IS_NONE] if case.policy.depends_on_load() else [])]
        self.hosts = len(spread_hosts(case.cells, case.hosts))
        if not case.train or not case.test:
            raise DecisionError("there is no session to simulate")
        title = ", ".join(f"{key} {value}" for key, value in (case.varied or {}).items())
        title = f"{title}: " if title else ""
        scene = self._scene(work)
        chunks = [work.share("sessions", chunk) for chunk in self._chunks()]
        tried = [
            work.add(
                f"{title}margins of hysteresis",
                "margins",
                scene,
                shares=MARGINS[first : first + MARGINS_A_PART],
            )
            for first in range(0, len(MARGINS), MARGINS_A_PART)
        ]
        self.margin = work.add(f"{title}margin of hysteresis", "margin", (), tried)
        self.actions: dict[str, int] = {}
        self.outcomes: dict[str, list[int]] = {}
        for name in dict.fromkeys((*BASELINES, *case.strategies)):
            needs = [self.margin] if name == "hysteresis" else []
            self.actions[name] = work.add(f"{title}solve {name}", "actions", scene, needs, strategy=name)
            self.outcomes[name] = [
                work.add(f"{title}run {name}", "strategy", (*scene, chunk), [self.actions[name]])
                for chunk in chunks
            ]
        for known in case.known_slots:
            name = f"mdp_direction_known_{known}"
            given: dict[str, Any] = {"known": known, "wrong_routes": case.wrong_routes, "seed": case.seed}
            self.outcomes[name] = [work.add(f"{title}run {name}", "routes", (*scene, *chunks), **given)]
        self.outcomes[OFFLINE] = [
            work.add(f"{title}run {OFFLINE}", "offline", (*scene, chunk)) for chunk in chunks
        ]

    def _scene(self, work: _Work) -> tuple[str, str, str]:
        case = self.case
        cells = work.share("map", plain_map(case.cells))
        train = work.share("sessions", plain_sessions(case.train))
        given = {
            "policy": case.policy.path,
            "document": case.policy.document,
            "hosts": case.hosts,
            "capacity": case.capacity,
        }
        digest = hashlib.sha256(pickle.dumps((given, cells, train))).hexdigest()
        return work.share("case", {**given, "digest": digest}), cells, train

    def _chunks(self) -> list[list[Any]]:
        """Sessions of some users each; of all users at once where they share room on hosts."""
        users = sorted({session.user for session in self.case.test})
        size = USERS_A_PART if self.case.capacity is None else len(users)
        chunk_of = {user: place // size for place, user in enumerate(users)}
        chunks: list[list[Session]] = [[] for _part in range(-(-len(users) // size))]
        for session in self.case.test:
            chunks[chunk_of[session.user]].append(session)
        return [plain_sessions(chunk) for chunk in chunks]

    def wanted(self) -> list[int]:
        """The parts whose results are read."""
        return [self.margin, *(place for places in self.outcomes.values() for place in places)]

    def evaluated(self, results: Mapping[int, Mapping[str, Any]]) -> Evaluated:
        """Rows and settings from the results of the parts."""
        case = self.case
        outcomes, timing = {}, {}
        for name, places in self.outcomes.items():
            found = [dict(results[place]) for place in places]
            outcomes[name] = joined(found)
            if name in self.actions:
                taken = sum(one["decide_s"] for one in found)
                solved = found[0]["solve_s"]
                timing[name] = (solved * 1e3, taken / int(outcomes[name].slots.sum()) * 1e6)
        slot_seconds = float(case.policy.document.get("slot_seconds", 60))
        rows = _rows(outcomes, timing, slot_seconds, np.random.default_rng(case.seed))
        settings = {
            "kind": case.kind,
            "policy": case.policy.path,
            "discount": float(case.policy.document["discount"]),
            "cells": len(case.cells),
            "hosts": self.hosts,
            "capacity": case.capacity,
            "seed": case.seed,
            "hysteresis_margin": results[self.margin]["margin"],
            "slot_seconds": slot_seconds,
            "train_sessions": len(case.train),
            "test_sessions": len(case.test),
            "test_users": len(outcomes[OFFLINE].slots),
            "test_slots": int(outcomes[OFFLINE].slots.sum()),
            "costs": case.policy.document["costs"],
            "warnings": self.said,
        }
        if case.known_slots:
            settings["wrong_routes"] = case.wrong_routes
        if case.varied is not None:
            settings["varied"] = dict(case.varied)
        return Evaluated(settings, rows)


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
