# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a move and a slot of use cost: the cost families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base.errors import DecisionError, ModelError
from ..base.requirements import require_numpy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()


@dataclass(frozen=True)
class ConstantPlusExponential:
    """c(x) = constant + proportional * base**x for x > 0, and 0 at x = 0.

    Wang et al., ToN 2019, Section IV: beta_c, beta_l, mu for migration and delta_c, delta_l, theta
    for transmission. x is a distance in rings; the cost has no unit of its own.
    """

    constant: float
    proportional: float
    base: float

    def __call__(self, rings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cost of every distance in ``rings``, in the same shape."""
        return np.where(rings > 0, self.constant + self.proportional * self.base**rings, 0.0)


def migration_family(x: float, mu: float = 0.8) -> ConstantPlusExponential:
    """The migration cost of the paper's Fig. 6: beta_c = 1 + x, beta_l = -x."""
    return ConstantPlusExponential(1.0 + x, -x, mu)


def transmission_family(theta: float = 0.8) -> ConstantPlusExponential:
    """The transmission cost of the paper's Fig. 6: delta_c = 1, delta_l = -1."""
    return ConstantPlusExponential(1.0, -1.0, theta)


def load_factor(active_users: float, max_users: float, resource_ratio: float) -> float:
    """G = 1 / (1 - users / (R * max_users)), how scarce a resource is under load.

    Wang et al., ToN 2019, Section VI (trace-driven simulation); R is 1.5 there.
    """
    if active_users >= resource_ratio * max_users:
        raise DecisionError(
            f"{active_users} active users against a resource for {resource_ratio} * {max_users}: "
            "the load-dependent cost has no finite value; raise max_users or resource_ratio"
        )
    return 1.0 / (1.0 - active_users / (resource_ratio * max_users))


def load_dependent_migration(
    active_users: float, max_users: float, resource_ratio: float, mu: float
) -> ConstantPlusExponential:
    """beta_c = G_p + G_r, beta_l = -G_r, with both factors at the same load (Wang et al., Section VI)."""
    factor = load_factor(active_users, max_users, resource_ratio)
    return ConstantPlusExponential(2.0 * factor, -factor, mu)


def load_dependent_transmission(
    active_users: float, max_users: float, resource_ratio: float, theta: float
) -> ConstantPlusExponential:
    """delta_c = G_r, delta_l = -G_r (Wang et al., Section VI)."""
    factor = load_factor(active_users, max_users, resource_ratio)
    return ConstantPlusExponential(factor, -factor, theta)


def measured_migration(
    hosts: Sequence[str],
    table: Mapping[str, Mapping[str, float]],
    fallback: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Cost (H, H) of moving from row host to column host, from a table per pair.

    :param table: ``{source: {target: cost}}``; pairs of hosts not in ``hosts`` are passed over.
    :param fallback: (H, H) costs for pairs that were never measured, or None where every pair must
        be there.
    """
    count = len(hosts)
    cost = np.full((count, count), np.nan) if fallback is None else fallback.copy()
    for row, source in enumerate(hosts):
        for column, target in enumerate(hosts):
            value = table.get(source, {}).get(target)
            if value is not None:
                cost[row, column] = float(value)
    np.fill_diagonal(cost, 0.0)
    if np.isnan(cost).any():
        row, column = np.argwhere(np.isnan(cost))[0]
        raise DecisionError(
            f"migration cost from {hosts[row]} to {hosts[column]} was never measured (or is NaN) "
            "and the policy has no costs.migration.fallback for such pairs"
        )
    return check_costs(cost, "migration")


def check_costs(cost: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """``cost`` unchanged, or a :class:`ModelError` where one is NaN, infinite or negative."""
    if not np.isfinite(cost).all():
        raise ModelError(f"a {name} cost is NaN or infinite")
    if (cost < 0).any():
        raise ModelError(f"a {name} cost is negative: {float(cost.min())!r}; costs are at least 0")
    return cost
