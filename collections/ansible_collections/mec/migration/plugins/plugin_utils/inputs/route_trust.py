# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far announced routes can be trusted: how often a user's announced cells came true, by their age."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

# Ages are slots since the announcement; what is older is as the oldest.
MAX_AGE = 30
# Each new observation makes older ones count so much less: some 100 of the last ones decide.
MEMORY = 0.99
# What is taken of routes that nobody knows, and how many observations that is worth. It is what a user begins
# with; the first slots tell.
PRIOR, PRIOR_WEIGHT = 0.8, 2.0
# What all others' routes are worth, in observations of a user's own.
COARSER_WEIGHT = 2.0


@dataclass
class Counts:
    """By age, how much was announced for a slot that was then seen, and how much of it came true."""

    announced: list[float] = field(default_factory=lambda: [0.0] * (MAX_AGE + 1))
    true: list[float] = field(default_factory=lambda: [0.0] * (MAX_AGE + 1))

    def add(self, age: int, announced: float, true: float) -> None:
        """Count one slot."""
        self.announced[age] = self.announced[age] * MEMORY + announced
        self.true[age] = self.true[age] * MEMORY + true


# A route whose first step is long comes true more seldom. Classes of that step, in usual distances of cells.
STEPS = (0.0, 2.0, 6.0)


def step_class(step_m: float, spacing_m: float) -> int:
    """Class, 0 to 3, of a route whose first place is *step_m* from where the user is."""
    return sum(step_m > limit * spacing_m for limit in STEPS)


@dataclass
class RouteTrust:
    """Counts by (user, source, class of the first step), and by (source, class).

    A user without observations is taken as the others are.
    """

    users: dict[tuple[str, str, int], Counts] = field(default_factory=dict)
    sources: dict[tuple[str, int], Counts] = field(default_factory=dict)

    def observe(
        self, user: str, source: str, step: int, age: int, probability: float, came_true: bool
    ) -> None:
        """A place (or several, of *probability* in all) was announced *age* slots before it was looked at."""
        age = min(max(age, 0), MAX_AGE)
        true = 1.0 if came_true else 0.0
        self.users.setdefault((user, source, step), Counts()).add(age, probability, true)
        self.sources.setdefault((source, step), Counts()).add(age, probability, true)

    def rates(
        self, user: str, source: str, step: int, ages: Iterable[int] = range(1, MAX_AGE + 1)
    ) -> list[float]:
        """By age the share of what this user and source announce that comes true.

        Like Witten-Bell back-off with fixed weights: the user's own observations are mixed with those of the
        source, which are mixed with a prior. Ages never seen are as the nearest younger one.
        """
        own, all_of_source = self.users.get((user, source, step)), self.sources.get((source, step))
        found, nearest = [], PRIOR
        for age in ages:
            place = min(max(age, 0), MAX_AGE)
            rate = nearest
            for counts, weight in ((all_of_source, PRIOR_WEIGHT), (own, COARSER_WEIGHT)):
                if counts is not None:
                    rate = (counts.true[place] + weight * rate) / (counts.announced[place] + weight)
            nearest = min(rate, 1.0)
            found.append(nearest)
        return found
