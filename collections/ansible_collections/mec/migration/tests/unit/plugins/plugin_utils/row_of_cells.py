# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A world that is small enough to reckon by hand."""

from __future__ import annotations

from ansible_collections.mec.migration.plugins.plugin_utils.inputs.hosts import Host
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import Policy, check

# Three cells in a row with a host at each end: a slot costs 0 near the user, else 0.5 or 0.75.
POLICY = check(
    Policy(
        "test",
        {
            "version": 1,
            "strategy": "mdp_exact",
            "discount": 0.9,
            "map": {"kind": "square", "rows": 1, "columns": 3, "cell_size_m": 500},
            "mobility": {"kind": "random_walk", "move_probability": 0.3},
            "costs": {
                "migration": {"family": "measured", "scale": 0.1},
                "transmission": {
                    "family": "constant_plus_exponential",
                    "delta_c": 1.0,
                    "delta_l": -1.0,
                    "theta": 0.5,
                },
            },
        },
        ".",
    )
)
HOSTS = [Host("a", "0"), Host("b", "2")]
