# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pure re-scoring of decisions: what if a host were excluded, or a move cost more?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..base.errors import DecisionError
from ..inputs.hosts import number

NEEDED = ("current_host", "expected_costs", "migration_costs")


def rescore(
    decision: Mapping[str, Any],
    *,
    exclude: Sequence[str] = (),
    migration_costs: Mapping[str, float] | None = None,
    extra_costs: Mapping[str, float] | None = None,
    minimum_advantage: float = 0.0,
) -> dict[str, Any]:
    """A new decision from ``decision`` and overrides; what comes after this slot is taken as it
    was.

    :param exclude: hosts that are no target.
    :param migration_costs: cost of the move to a host, in place of the one in the decision.
    :param extra_costs: added to the expected cost of a host, of staying too.
    :param minimum_advantage: a move must save at least this.
    """
    if not isinstance(decision, Mapping) or any(key not in decision for key in NEEDED):
        raise DecisionError(f"not a decision of mdp_decision: {', '.join(NEEDED)} are needed in it")
    here = decision["current_host"]
    expected = {str(name): float(cost) for name, cost in decision["expected_costs"].items()}
    moves = {str(name): float(cost) for name, cost in decision["migration_costs"].items()}
    if isinstance(exclude, str) or not isinstance(exclude, Sequence):
        raise DecisionError(f"exclude is {exclude!r}; allowed: a list of hosts")
    for what, table in (("migration_costs", migration_costs), ("extra_costs", extra_costs)):
        if not isinstance(table or {}, Mapping):
            raise DecisionError(f"{what} is {table!r}; allowed: {{host: cost}}")
        for name, value in (table or {}).items():
            if name not in expected:
                raise DecisionError(
                    f"{what}: {name!r} is no host of the decision; allowed: {', '.join(expected)}"
                )
            cost = number(value, f"{what}.{name}")
            if what == "extra_costs":
                expected[name] += cost
            elif name == here:
                raise DecisionError(f"migration_costs: {name!r} is the current host; staying is free")
            else:
                expected[name] += cost - moves[name]
                moves[name] = cost
    unknown = [str(name) for name in exclude if name not in expected]
    if unknown:
        raise DecisionError(
            f"exclude: {unknown[0]!r} is no host of the decision; allowed: {', '.join(expected)}"
        )
    barred = {str(name) for name in exclude} | {str(name) for name in decision.get("full_hosts", ())}
    room = [name for name in expected if name == here or name not in barred]
    target = min(room, key=lambda name: (expected[name], name != here))
    least = max(0.0, number(minimum_advantage, "minimum_advantage"))
    advantage = expected[here] - expected[target]
    if advantage < least:
        target, advantage = here, 0.0
    return {
        **decision,
        "migrate": target != here,
        "target": target,
        "current_cost": expected[here],
        "expected_costs": expected,
        "migration_costs": moves,
        "advantage": advantage,
        "reason": _reason(expected, here, target, barred, least, [str(name) for name in exclude]),
    }


def _reason(
    expected: Mapping[str, float],
    here: str,
    target: str,
    barred: Collection[str],
    least: float,
    excluded: Collection[str],
) -> str:
    """The decision in a sentence, and what stood against a host that would be better."""
    stay = f"staying on {here} is expected to cost {expected[here]:.3f}"
    words = f"re-scored: {stay}"
    if target != here:
        words = f"re-scored: moving to {target} is expected to cost {expected[target]:.3f}; {stay}"
    else:
        room = [name for name in expected if name != here and name not in barred]
        if room:
            best = min(room, key=lambda name: expected[name])
            saves = expected[here] - expected[best]
            words += f"; the best move, to {best}, {expected[best]:.3f}"
            words += f", saves less than {least:.3f}" if saves > 0 else ""
        else:
            words += "; no other host takes it"
    closed = [name for name in expected if name in barred and name != here]
    better = min(closed, key=lambda name: expected[name], default=target)
    if expected[better] < expected[target]:
        words += f"; {better} would be better and is {'excluded' if better in excluded else 'full'}"
    return words
