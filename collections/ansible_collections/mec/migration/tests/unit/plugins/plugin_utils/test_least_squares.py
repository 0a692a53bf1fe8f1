# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least squares of predictions, beside numpy's, and that they do without it."""

from __future__ import annotations

import math
import random
import subprocess
import sys

import numpy as np
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.prediction.least_squares import DOUBT, NOISE, fit


def numpys(rows, observed, defaults):
    """The same by numpy's singular value decomposition, without the demand that none is negative."""
    start, values = np.array(defaults), np.array(observed)
    scale = NOISE * np.maximum(np.abs(values), 0.2 * np.median(np.abs(values)) + 1e-3)
    matrix = np.vstack([np.array(rows) / scale[:, None], np.diag(1 / (DOUBT * start))])
    return np.linalg.lstsq(matrix, np.concatenate([values / scale, np.full(len(start), 1 / DOUBT)]))[0]


@pytest.mark.parametrize("seed", range(40))
def test_they_are_numpys(seed):
    chosen = random.Random(seed)
    defaults = [10 ** chosen.uniform(-3, 1) for _turn in range(chosen.randint(1, 11))]
    rows = [
        [1.0, *(chosen.uniform(0, 50) for _turn in defaults[1:])] for _turn in range(chosen.randint(1, 200))
    ]
    true = [value * chosen.uniform(0.5, 2) for value in defaults]
    observed = [sum(map(float.__mul__, row, true)) * chosen.uniform(0.97, 1.03) for row in rows]
    expected = numpys(rows, observed, defaults)
    found = fit(rows, observed, defaults)
    if (expected >= 0).all():
        assert found == pytest.approx(expected, rel=1e-6)
    else:
        # What would be negative is left out, and nothing beats what is then found.
        kept = [at for at, value in enumerate(found) if value > 0]
        rest = numpys([[row[at] for at in kept] for row in rows], observed, [defaults[at] for at in kept])
        assert [found[at] for at in kept] == pytest.approx(rest, rel=1e-6)


def test_some_seeds_have_a_negative_one_and_others_have_none():
    found = fit([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [3.0, 2.0, 1.0], (1.0, 1.0))
    assert found[1] == 0.0
    assert found[0] > 1.0


def test_without_observations_they_are_the_defaults():
    assert fit([], [], (2.0, 0.5)) == [2.0, 0.5]


@pytest.mark.parametrize("size", [1e9, 1e18, 1e150, math.inf])
def test_huge_numbers_that_depend_on_each_other_do_no_harm(size):
    rows = [[1.0, size, size, 3 * size], [1.0, size, size, 3 * size], [1.0, 0.0, size, size]]
    found = fit(rows, [size, 1.0, 0.0], (1.0, 1e-3, 8.0, 1e9))
    assert len(found) == 4
    assert all(value >= 0 for value in found)


def test_predicting_a_move_needs_no_numpy():
    lookup = "ansible_collections.mec.migration.plugins.lookup.migration_cost_prediction"
    program = f"import sys, {lookup}; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
