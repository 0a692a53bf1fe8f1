# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far announced routes can be trusted: how many that held until then hold a slot longer, by their age."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

# Ages are slots since the announcement; what is older is as the oldest.
MAX_AGE = 30
# What is right so seldom is not used at all: of so little, chance and errors of the estimate are a large
# part.
LEAST = 0.3
# Each new observation makes older ones count so much less: the last 500 or so of a user decide, and 20,000
# of all.
MEMORY, MEMORY_OF_ALL = 0.998, 0.99995
# What is taken of routes that nobody knows, and how many observations that is worth. It is what a user begins
# with; the first slots tell.
PRIOR, PRIOR_WEIGHT = 0.9, 2.0
# What all others' routes are worth, in observations of a user's own.
COARSER_WEIGHT = 4.0


@dataclass
class Counts:
    """By age, how much was announced for a slot that was then seen, and how much of it came true."""

    announced: list[float] = field(default_factory=lambda: [0.0] * (MAX_AGE + 1))
    true: list[float] = field(default_factory=lambda: [0.0] * (MAX_AGE + 1))

    def add(self, age: int, announced: float, true: float, memory: float) -> None:
        """Count one slot."""
        self.announced[age] = self.announced[age] * memory + announced
        self.true[age] = self.true[age] * memory + true


# A long step comes true more seldom. Limits of the classes of steps, in usual distances of cells: 0 is to
# stay.
STEPS = (0.0, 2.0, 6.0)
CLASSES = len(STEPS) + 1
# The class of announcements that a user leaves; whether these come true has nothing to do with the places
# before.
LEAVES = CLASSES


def chance_of(step: int, stays: float) -> float:
    """Roughly, how probable the mobility model makes a step of this class.

    :param stays: the probability that a user stays in the cell that the step leaves.
    """
    return {0: stays, 1: (1.0 - stays) / 6.0}.get(step, 0.0)


def step_class(step_m: float, spacing_m: float) -> int:
    """Class, 0 to 3, of a step of *step_m* from one slot to the next."""
    return sum(step_m > limit * spacing_m for limit in STEPS)


@dataclass
class RouteTrust:
    """Counts by (user, source, class of the step), and by (source, class).

    A user without observations is taken as the others are.
    """

    users: dict[tuple[str, str, int], Counts] = field(default_factory=dict)
    sources: dict[tuple[str, int], Counts] = field(default_factory=dict)

    def observe(
        self,
        user: str,
        source: str,
        step: int,
        age: int,
        probability: float,
        came_true: bool,
        chance: float = 0.0,
    ) -> None:
        """A place (or several, of *probability* in all) was announced *age* slots before it was looked at, by
        a route that had held until then.

        :param chance: how probable the mobility model alone makes the place. What comes true no more often
            than by chance is worth nothing: to say that a user stays is right most of the time.
        """
        age = min(max(age, 0), MAX_AGE)
        chance = min(chance, probability)
        true = (1.0 if came_true else 0.0) - chance
        probability -= chance
        self.users.setdefault((user, source, step), Counts()).add(age, probability, true, MEMORY)
        self.sources.setdefault((source, step), Counts()).add(age, probability, true, MEMORY_OF_ALL)

    def rates(
        self, user: str, source: str, step: int, ages: Iterable[int] = range(1, MAX_AGE + 1)
    ) -> list[float]:
        """By age the share of routes of this user and source that hold in that slot, of those that did until
        then.

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
                    rate = min(max(rate, 0.0), 1.0)
            nearest = rate
            found.append(rate if rate >= LEAST else 0.0)
        return found
