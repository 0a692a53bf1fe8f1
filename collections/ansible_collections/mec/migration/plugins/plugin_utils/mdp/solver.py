# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The factored solver: the next host IS the action, so the transition tensor never has to exist.

State (s, h): s a user state (cell, direction, dwell), h the host of the service. Action a: a host.
With W(s, a) = c_t(s, a) + gamma * E[V(s', a) | s] the Bellman equation is V(s, h) = min_a [c_m(h,
a) + W(s, a)]. Memory is O(states * hosts), against O(states^2 * hosts^2) non-zeros at worst of the
unfactored form.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base.errors import ModelError
from ..base.requirements import require_numpy
from .costs import check_costs
from .mobility import Mobility

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

METHODS = ("modified_policy_iteration", "value_iteration")
MAX_EVALUATION_SWEEPS = 100_000


@dataclass(frozen=True)
class Problem:
    """One service, its user and H hosts.

    ``migration_cost`` (H, H), row = current host; ``transmission_cost`` (S, H) of one slot, S user
    states; ``discount`` gamma per slot, 0 <= gamma < 1.
    """

    migration_cost: NDArray[np.float64]
    transmission_cost: NDArray[np.float64]
    mobility: Mobility
    discount: float

    def __post_init__(self) -> None:
        hosts = self.migration_cost.shape[0]
        if self.migration_cost.shape != (hosts, hosts) or hosts == 0:
            raise ModelError(f"migration costs have shape {self.migration_cost.shape}, not (H, H)")
        if self.transmission_cost.shape != (len(self.mobility.space), hosts):
            raise ModelError(
                f"transmission costs have shape {self.transmission_cost.shape}, "
                f"not ({len(self.mobility.space)} states, {hosts} hosts)"
            )
        if not 0 <= self.discount < 1:
            raise ModelError(f"discount is {self.discount!r}; allowed: 0 <= discount < 1")
        check_costs(self.migration_cost, "migration")
        check_costs(self.transmission_cost, "transmission")
        if self.migration_cost.diagonal().any():
            raise ModelError("staying on a host must cost no migration: the diagonal is not 0")


@dataclass(frozen=True)
class Solution:
    """A solved policy.

    ``value`` (S, H): V; ``continuation`` (S, H): W, what using host a costs from now on; ``action``
    (S, H): host. ``value_error_bound``: proven bound of abs(V - V*) in every state, cost units.
    ``policy_error_bound``: proven bound of V^action - V* in every state, cost units.
    """

    value: NDArray[np.float64]
    continuation: NDArray[np.float64]
    action: NDArray[np.int32]
    value_error_bound: float
    policy_error_bound: float
    improvements: int
    sweeps: int
    method: str
    duration_ms: float


def solve(
    problem: Problem,
    error_bound: float = 1e-3,
    method: str = "modified_policy_iteration",
    evaluation_sweeps: int = 20,
) -> Solution:
    """Solve to a policy that loses at most ``error_bound`` (cost units) against the optimum, in
    every state.

    The stopping rule is MacQueen's bound (1966; Puterman 2005, Theorem 6.6.3 and Section 6.6.3):
    with d = T V - V, T V + gamma / (1 - gamma) * [min d, max d] holds both V* and the value of the
    greedy policy. So the policy loses at most gamma / (1 - gamma) * (max d - min d), and the value,
    put in the middle, is at most half of that wrong. What rounding can add is part of the bound.

    :param method: modified policy iteration does ``evaluation_sweeps`` sweeps under a fixed policy
        between two improvements (Puterman 2005, Section 6.5); value iteration does none.
    """
    if method not in METHODS:
        raise ModelError(f"method is {method!r}; allowed: {', '.join(METHODS)}")
    if math.isnan(error_bound) or error_bound <= 0:
        raise ModelError(f"error_bound is {error_bound!r}; allowed: more than 0")
    start = time.perf_counter()
    gamma = problem.discount
    tail = gamma / (1 - gamma)
    improve = Improvement(problem.migration_cost)
    transmission_cost = problem.transmission_cost
    value = transmission_cost / (1 - gamma)
    expected = np.empty_like(value)
    between = evaluation_sweeps if method == METHODS[0] else 0
    sweeps = 0
    improvements = 0
    while True:
        continuation = _continuation(problem, value, expected)
        improved, action = improve(continuation)
        improvements += 1
        sweeps += 1
        change = improved - value
        low, high = float(change.min()), float(change.max())
        rounding = rounding_error(problem, improved)
        loss = tail * (high - low) + 2 * rounding
        if loss <= error_bound:
            break
        # Rounding is in the span of the change too: below this no number of sweeps leads.
        if 4 * rounding > error_bound:
            raise ModelError(
                f"an error bound of {error_bound!r} is out of reach of double precision here "
                f"(rounding alone may add {4 * rounding:.3g}); raise error_bound or lower discount"
            )
        # Starting from the middle of the bound removes the slow constant part of the error.
        value = improved + tail * 0.5 * (low + high)
        if between:
            follow = FixedPolicy(problem, action)
            for _turn in range(between):
                follow(_continuation(problem, value, expected), value)
            sweeps += between
    shift = tail * 0.5 * (low + high)
    return Solution(
        value=improved + shift,
        continuation=continuation + shift,
        action=action,
        value_error_bound=tail * 0.5 * (high - low) + rounding,
        policy_error_bound=loss,
        improvements=improvements,
        sweeps=sweeps,
        method=method,
        duration_ms=(time.perf_counter() - start) * 1e3,
    )


def _continuation(
    problem: Problem, value: NDArray[np.float64], out: NDArray[np.float64]
) -> NDArray[np.float64]:
    problem.mobility.expectation(value, out)
    out *= problem.discount
    out += problem.transmission_cost
    return out


def rounding_error(problem: Problem, value: NDArray[np.float64]) -> float:
    """What rounding in one sweep can add to the error of a value, cost units.

    A sum of K products and two additions err by at most (K + 4) units of rounding of the largest
    term; the error of one sweep adds up to 1 / (1 - gamma) of it, twice as both T V and the
    difference carry it.
    """
    terms = problem.mobility.next_state.shape[1] + 4
    largest = float(np.abs(value).max()) + float(problem.migration_cost.max())
    return 2 * terms * float(np.finfo(float).eps) * largest / (1 - problem.discount)


class Improvement:
    """min_a [c_m(h, a) + W(s, a)] for all s and h, without trying every host for every host.

    With b = argmin_a W(s, a), a host a != h beats b as a target of h only if W(s, a) - W(s, b) <
    max_h [c_m(h, b) - min_{a != h} c_m(h, a)] = gain(b): all other hosts are dropped as targets.
    And h itself moves at all only if W(s, h) - W(s, b) > min_{a != h} c_m(h, a). Both hold for any
    costs.
    """

    def __init__(self, migration_cost: NDArray[np.float64]) -> None:
        hosts = len(migration_cost)
        self.into = np.ascontiguousarray(migration_cost.T)
        leaving = migration_cost.copy()
        np.fill_diagonal(leaving, np.inf)
        self.cheapest = leaving.min(axis=1)
        np.fill_diagonal(leaving, -np.inf)
        self.gain = (leaving - self.cheapest[:, None]).max(axis=0) if hosts > 1 else np.zeros(1)
        # Equal costs must not be lost to rounding in the test itself.
        self.slack = 1e-9 * (1 + float(migration_cost.max()))

    def __call__(self, continuation: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """(value, action), both (S, H), of the greedy policy; a tie is a stay."""
        states, hosts = continuation.shape
        value = continuation.copy()
        action = np.tile(np.arange(hosts, dtype=np.int32), (states, 1))
        best = continuation.argmin(axis=1)
        everyone = np.arange(hosts)
        for state in range(states):
            row = continuation[state]
            nearest = best[state]
            above = row - row[nearest]
            if not (above > self.cheapest - self.slack).any():
                continue
            targets = np.flatnonzero(above <= self.gain[nearest] + self.slack)
            if targets.size == 0:
                targets = best[state : state + 1]
            cost = self.into[targets]
            cost += row[targets, None]
            choice = cost.argmin(axis=0)
            moved = cost[choice, everyone]
            better = moved < row
            np.copyto(value[state], moved, where=better)
            np.copyto(action[state], targets[choice], where=better, casting="same_kind")
        return value, action


class FixedPolicy:
    """One sweep under a fixed policy ``action`` (S, H): V(s, h) = c_m(h, a) + W(s, a) with a =
    action(s, h).
    """

    def __init__(self, problem: Problem, action: NDArray[np.int32]) -> None:
        states, hosts = action.shape
        self.place = (np.arange(states)[:, None] * hosts + action).ravel()
        self.paid = problem.migration_cost[np.arange(hosts), action]

    def __call__(self, continuation: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """Write V (S, H) for ``continuation`` W (S, H) to ``out``."""
        np.take(continuation.ravel(), self.place, out=out.reshape(-1), mode="clip")
        out += self.paid


def evaluate(problem: Problem, action: NDArray[np.int32], error_bound: float = 1e-9) -> NDArray[np.float64]:
    """Value (S, H) of a stationary policy, by sweeps with MacQueen's bound; at most ``error_bound`` wrong."""
    gamma = problem.discount
    tail = gamma / (1 - gamma)
    follow = FixedPolicy(problem, action)
    value = np.zeros_like(problem.transmission_cost)
    updated = np.empty_like(value)
    expected = np.empty_like(value)
    for _turn in range(MAX_EVALUATION_SWEEPS):
        follow(_continuation(problem, value, expected), updated)
        change = updated - value
        low, high = float(change.min()), float(change.max())
        if 0.5 * tail * (high - low) + rounding_error(problem, updated) <= error_bound:
            return updated + 0.5 * tail * (low + high)
        value, updated = updated, value
    raise ModelError(f"the value of a policy did not settle to {error_bound!r}")
