# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The improvement step of :mod:`.horizon` with numpy, for tasks that decide for many services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..base.requirements import require_numpy

if TYPE_CHECKING:
    import numpy as np
else:
    np = require_numpy()


class NumpyImprove:
    """V(h) = min_a [c_m(h, a) + W(a)].

    :param migration_cost: (H, H), row = current host.
    """

    def __init__(self, migration_cost: Sequence[Sequence[float]]) -> None:
        self._cost = np.array(migration_cost)
        self._sum = np.empty_like(self._cost)

    def __call__(self, continuation: Sequence[float]) -> Sequence[float]:
        """V (H,) of W (H,)."""
        np.add(self._cost, np.array(continuation), out=self._sum)
        lowest: list[float] = self._sum.min(axis=1).tolist()
        return lowest
