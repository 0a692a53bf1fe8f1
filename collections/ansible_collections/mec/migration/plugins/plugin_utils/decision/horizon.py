# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning over the slots that a route tells, with the MDP's value behind them; without numpy.

In slot k the user is at one of the stops j of the route, or has left it for good and moves by the mobility
model, where the MDP's W* counts. With share q of the announcement believed,

    W_k(j, a) = q S c_t(j, a) + gamma q sum_i p_i V_{k+1}(i, a) + (1 - q S) W*(j, a),  S = sum_i p_i,
    V_k(j, h) = min_a [c_m(h, a) + W_k(j, a)],

since W*(j, a) is c_t(j, a) + gamma E[V*] by the model. The last stop has V*; a user who leaves costs nothing
from then on. It is finite-horizon dynamic programming (Puterman 2005, Section 4.3) in the factored form of
the solver: the next host is the action.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .route import GONE, Ahead, Stop

Row = Sequence[float]
# V(h) = min_a [c_m(h, a) + W(a)] for all hosts h.
Improve = Callable[[Row], Row]


class PlainImprove:
    """The improvement step without numpy, with the hosts left out that cannot be the best target.

    With b = argmin W, a host a beats b as a target of some h only if W(a) - W(b) < max_h [c_m(h, b) -
    min_{a != h} c_m(h, a)]; see ``Improvement`` of the solver.

    :param migration_cost: (H, H), row = current host.
    """

    def __init__(self, migration_cost: Sequence[Row]) -> None:
        hosts = len(migration_cost)
        self._into = list(zip(*migration_cost, strict=True))
        self._cheapest = [
            min((cost for target, cost in enumerate(row) if target != host), default=0.0)
            for host, row in enumerate(migration_cost)
        ]
        self._least = min(self._cheapest)
        self._slack = 1e-9 * (1 + max(map(max, migration_cost)))
        self._gain: list[float | None] = [None] * hosts

    def __call__(self, continuation: Row) -> Row:
        """V (H,) of W (H,)."""
        lowest = min(continuation)
        best = continuation.index(lowest)
        gain = self._gain[best]
        if gain is None:
            pairs = zip(self._into[best], self._cheapest, strict=True)
            gain = max(cost - cheapest for cost, cheapest in pairs)
            self._gain[best] = gain
        limit = lowest + gain + self._slack
        value = list(continuation)
        for target in sorted(
            (place for place, ahead in enumerate(continuation) if ahead <= limit),
            key=continuation.__getitem__,
        ):
            ahead = continuation[target]
            if ahead + self._least > max(value):
                break
            value = [
                old if old <= (new := cost + ahead) else new
                for old, cost in zip(value, self._into[target], strict=True)
            ]
        return value


def continuation_of(
    first: Stop,
    ahead: Ahead,
    *,
    discount: float,
    continuation: Callable[[int], Row],
    transmission: Callable[[int], Row],
    improve: Improve,
) -> Row:
    """W_0 (H,): what using each host in this slot costs from now on, with the route known.

    :param first: where the user is now.
    :param continuation: W* (H,) of a user state.
    :param transmission: c_t (H,) of a cell.
    """
    slots = ((first,), *ahead.slots)
    value: dict[Stop, Row] = {
        stop: improve(continuation(stop.state))
        if stop.cell != GONE
        else [0.0] * len(transmission(first.cell))
        for stop in slots[-1]
    }
    found: dict[Stop, Row] = {}
    for place in range(len(slots) - 2, -1, -1):
        following, believed = slots[place + 1], ahead.share[place]
        found = {}
        for stop in slots[place]:
            later = _following(stop, following)
            total = believed * sum(chance for _stop, chance in later)
            far = continuation(stop.state)
            if total <= 0:
                found[stop] = far
                continue
            paid = transmission(stop.cell)
            expected = [0.0] * len(paid)
            for other, chance in later:
                weight = discount * believed * chance
                expected = [old + weight * new for old, new in zip(expected, value[other], strict=True)]
            rest = 1.0 - total
            if rest > 0:
                found[stop] = [
                    total * here + to_come + rest * model
                    for here, to_come, model in zip(paid, expected, far, strict=True)
                ]
            else:
                found[stop] = [here + to_come for here, to_come in zip(paid, expected, strict=True)]
        value = {stop: improve(row) for stop, row in found.items()}
    return found[first]


def _following(stop: Stop, stops: Sequence[Stop]) -> list[tuple[Stop, float]]:
    """Where a user at *stop* goes, and how probably: they stay where the route only holds places."""
    held = [one for one in stops if one.held and one.cell == stop.cell]
    if held:
        return [(held[0], 1.0)]
    return [(one, one.probability) for one in stops]
