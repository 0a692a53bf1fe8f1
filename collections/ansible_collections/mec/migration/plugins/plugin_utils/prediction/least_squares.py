# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Least squares that are drawn towards known values.

Without numpy: every move waits for this, and importing numpy alone would take longer than a dozen
coefficients and some hundred rows do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from statistics import median

# How far a measurement is off by chance, and how far a default may be: shares of their values.
NOISE, DOUBT = 0.15, 1.0


def fit(rows: Sequence[Sequence[float]], observed: Sequence[float], defaults: Sequence[float]) -> list[float]:
    """Coefficients, none negative, by least squares on relative errors, drawn towards *defaults*.

    :param rows: of each observation what each coefficient is multiplied by.
    :param observed: of each observation the value, in the unit that the products have.
    :param defaults: all above zero; each counts like one observation with a doubt of its own size.
    """
    if not rows:
        return [float(value) for value in defaults]
    # Without a floor a phase that took next to nothing once would outweigh all others.
    floor = 0.2 * median(map(abs, observed)) + 1e-3
    weights = [1 / (NOISE * max(abs(value), floor)) for value in observed]
    wanted = list(map(mul, weights, observed))
    # In units of their doubts all coefficients are of like size, which keeps the equations well-conditioned.
    doubts = [DOUBT * value for value in defaults]
    columns = [
        [weight * row[at] * doubt for weight, row in zip(weights, rows, strict=True)]
        for at, doubt in enumerate(doubts)
    ]
    matrix = [[sum(map(mul, one, other)) for other in columns] for one in columns]
    values = [sum(map(mul, column, wanted)) + 1 / DOUBT for column in columns]
    for at, row in enumerate(matrix):
        row[at] += 1.0
    kept = list(range(len(defaults)))
    solved: list[float] = []
    while kept:
        solved = _solve([[matrix[one][other] for other in kept] for one in kept], [values[at] for at in kept])
        if all(value >= 0 for value in solved):
            break
        kept = [at for at, value in zip(kept, solved, strict=True) if value > 0]
    found = dict(zip(kept, solved))
    return [found.get(at, 0.0) * doubt for at, doubt in enumerate(doubts)]


def _solve(matrix: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """The vector that *matrix* takes to *values*, by Cholesky's decomposition.

    :param matrix: the identity plus a symmetric one that is positive semidefinite.
    """
    lower: list[list[float]] = []
    halfway: list[float] = []
    for row, value in zip(matrix, values, strict=True):
        new: list[float] = []
        for at, above in enumerate(lower):
            new.append((row[at] - sum(map(mul, new, above))) / above[-1])
        halfway.append(value - sum(map(mul, new, halfway)))
        # Because of the identity this is 1 at least; only rounding of huge numbers makes it less.
        new.append(math.sqrt(max(1.0, row[len(lower)] - sum(entry * entry for entry in new))))
        halfway[-1] /= new[-1]
        lower.append(new)
    found: list[float] = []
    for at in reversed(range(len(lower))):
        below = [row[at] for row in lower[at + 1 :]]
        found.insert(0, (halfway[at] - sum(map(mul, below, found))) / lower[at][at])
    return found
