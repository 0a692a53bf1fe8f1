# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a route changes in a decision, and the words for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from .horizon import Improve, PlainImprove, Row, continuation_of
from .route import Ahead, Stop, ahead_of

if TYPE_CHECKING:
    from .setting import Setting
    from .solved_policy import SolvedPolicy
    from .user import User

# Of a solved policy, the step of improvement with its migration costs, and whether it is numpy's.
_improvements: dict[int, tuple[SolvedPolicy, Improve, bool]] = {}


@dataclass(frozen=True)
class Planned:
    """A route as far as it is used; ``continuation`` (H,) with it, None where it is not used at all."""

    ahead: Ahead
    continuation: Row | None

    def told(self, hosts: Sequence[str], here: int, target: int, *, without: int) -> dict[str, Any]:
        """``slots``, ``believed``, ``changed``, ``target_without``, ``problems``, and ``words`` for the
        reason.
        """
        slots, believed = len(self.ahead.slots), prod(self.ahead.share)
        changed = target != without
        words = "".join(f"; {sentence}" for sentence in self.ahead.wrong)
        if self.continuation is not None:
            alone = "it would stay" if without == here else f"it would move to {hosts[without]}"
            words += f"; the route tells {slots} slot{'s' if slots > 1 else ''}"
            if believed < 1:
                words += f", believed to {100 * believed:.0f} %"
            words += (
                f", and changes the decision: without it, {alone}" if changed else ", and changes nothing"
            )
        return {
            "slots": slots,
            "believed": believed,
            "changed": changed,
            "target_without": hosts[without],
            "problems": list(self.ahead.wrong),
            "words": words,
        }


def planned_for(setting: Setting, solved: SolvedPolicy, user: User, cell: int, state: int) -> Planned | None:
    """What the user's route is worth here; None where there is none."""
    if user.route is None:
        return None
    header = solved.header
    if not header["greedy"]:
        sentence = f"the route is not used: the strategy {header['strategy']} does not look ahead"
        return Planned(Ahead((), (), (sentence,)), None)
    slot_s = float(setting.policy.document.get("slot_seconds", 60))
    ahead = ahead_of(header, cell, state, user.route, slot_s=slot_s, trust=user.route_trust)
    if not ahead.slots:
        return Planned(ahead, None)
    return Planned(
        ahead,
        continuation_of(
            Stop(cell, state, 1.0),
            ahead,
            discount=header["discount"],
            continuation=solved.continuation,
            transmission=solved.transmission,
            improve=improvement_of(solved),
        ),
    )


def improvement_of(solved: SolvedPolicy) -> Improve:
    """The improvement step of a solved policy: numpy's where something has loaded it, else the plain one.

    They add and compare the same numbers, so their results are the same to the last bit. Loading numpy takes
    longer than a hundred plain decisions, so only who has many to make loads it.
    """
    fast = "numpy" in sys.modules
    known = _improvements.get(id(solved))
    if known is not None and known[0] is solved and known[2] == fast:
        return known[1]
    costs = solved.migration_costs()
    improve: Improve
    if fast:
        from .horizon_numpy import NumpyImprove  # noqa: PLC0415

        improve = NumpyImprove(costs)
    else:
        improve = PlainImprove(costs)
    if len(_improvements) >= 64:
        _improvements.clear()
    _improvements[id(solved)] = (solved, improve, fast)
    return improve
