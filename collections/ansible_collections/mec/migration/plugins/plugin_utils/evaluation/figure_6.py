# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fig. 6 of Wang et al. (ToN 2019): cost and computing time of the distance chain against the exact
optimum.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ..base.requirements import require_numpy
from ..mdp.costs import migration_family, transmission_family
from ..mdp.distance_chain import OffsetModel, chain_error_bound

np = require_numpy()

RINGS = 10
DISCOUNTS = (0.5, 0.9, 0.99)
# -beta_l of the paper, per discount as far as its axes go.
X = {0.5: (0, 0.25, 0.5, 0.75, 1, 2), 0.9: (0, 0.25, 0.5, 0.75, 1, 2, 4, 6), 0.99: (
    0, 0.25, 0.5, 0.75, 1, 2, 4, 6, 10, 15, 20)}  # fmt: skip
POLICIES = ("mdp_distance", "mdp_exact", "never", "always", "myopic")


def point(discount: float, x: float, runs: int, seed: int = 1) -> dict[str, Any]:
    """One point of the figure: the mean over ``runs`` values of r, drawn from U(0, 1/6), and over
    all offsets.

    ``standard_error``: of that mean, by policy, from the spread between runs.
    """
    rng = np.random.default_rng(seed)
    values: dict[str, list[float]] = {name: [] for name in POLICIES}
    chain_ms, exact_ms, loss, bound = [], [], 0.0, 0.0
    for _turn in range(runs):
        step = float(rng.uniform(0, 1 / 6))
        model = OffsetModel(RINGS, step, migration_family(float(x)), transmission_family(), discount)
        start = time.perf_counter()
        model.chain.solve()
        between = time.perf_counter()
        best = model.optimum()
        done = time.perf_counter()
        chain_ms.append((between - start) * 1e3)
        exact_ms.append((done - between) * 1e3)
        by_policy = {
            "mdp_distance": model.value(model.chain_action()),
            "mdp_exact": model.value(best),
            "never": model.value(model.never()),
            "always": model.value(model.always()),
            "myopic": model.value(model.myopic()),
        }
        for name, value in by_policy.items():
            values[name].append(float(value.mean()))
        lost = float((by_policy["mdp_distance"] - by_policy["mdp_exact"]).max())
        loss = max(loss, lost)
        bound = max(bound, chain_error_bound(step, migration_family(float(x)), discount, RINGS))
    return {
        "discount": discount,
        "x": float(x),
        "runs": runs,
        "cost": {name: float(np.mean(series)) for name, series in values.items()},
        "standard_error": {
            name: float(np.std(series, ddof=1) / runs**0.5) if runs > 1 else 0.0
            for name, series in values.items()
        },
        "chain_ms": float(np.mean(chain_ms)),
        "exact_ms": float(np.mean(exact_ms)),
        "largest_loss": loss,
        "largest_error_bound": bound,
    }


def figure_6(runs: int = 50, seed: int = 1, discounts: Sequence[float] = DISCOUNTS) -> list[dict[str, Any]]:
    """All points of the figure, lower and upper panels; some 1.5 s a point with 50 runs."""
    return [point(discount, x, runs, seed) for discount in discounts for x in X[discount]]
