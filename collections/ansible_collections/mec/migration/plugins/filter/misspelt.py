# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: misspelt
author: The mec.migration engineers (@mec-migration)
version_added: 1.1.0
short_description: Variables that may be misspelt options of the playbooks
description:
  - Ansible takes any variable, so a misspelt option has no effect and nobody says so. This finds names that
    are no option of the playbooks and of role P(mec.migration.migrate#role), but nearly are.
positional: _input
options:
  _input:
    description: Names of variables.
    type: list
    elements: str
    required: true
  evaluation:
    description: They are of C(mec.migration.evaluate), which has options of its own.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what may be misspelt
  ansible.builtin.debug:
    msg: "{{ query('ansible.builtin.varnames', '.') | mec.migration.misspelt }}"
"""

RETURN = r"""
_value:
  description: A sentence for each.
  type: list
  elements: str
"""

import difflib
from collections.abc import Callable, Iterable

# The least share of letters in common, as difflib counts them.
ALIKE = 0.85
# Shorter names are like too many others.
LEAST_LETTERS = 5
EVALUATION = frozenset(
    [
        "kind",
        "policy",
        "trace_dir",
        "trace",
        "hosts_count",
        "capacity",
        "seed",
        "strategies",
        "known_slots",
        "wrong_routes",
        "sweep",
        "scheduler",
        "users",
        "slots",
        "runs",
        "output_dir",
        "reports_dir",
    ]
)
OPTIONS = frozenset(
    [
        "service",
        "services",
        "target",
        "drain",
        "host",
        "edge_hosts_pattern",
        "reports_dir",
        "costs_file",
        "policy",
        "mec_services",
        "positions",
        "positions_file",
        "positions_url",
        "positions_command",
        "positions_service",
        "joint",
        "cordon",
        "keep_going",
        "rounds",
        "round_seconds",
        "per_host",
        "per_link",
        "per_source",
        "per_target",
        "bandwidth_mbit",
        "lock_expiry_s",
        "trace_file",
        "trace_start",
        "trace_speed",
        "trace_step_seconds",
        "trace_users",
        "trace_slot_seconds",
        "trace_route_slots",
        "migrate_service",
        "migrate_target",
        "migrate_target_address",
        "migrate_port",
        "migrate_postcopy",
        "migrate_source",
        "migrate_tracker",
        "migrate_memory",
        "migrate_downtime_ms",
        "migrate_max_rounds",
        "migrate_min_gain",
        "migrate_throttle",
        "migrate_throttle_floor_percent",
        "migrate_move_binds",
        "migrate_log_mib",
        "migrate_compress",
        "migrate_bandwidth_limit_mbit",
        "migrate_lazy_restore",
        "migrate_images_dir",
        "migrate_idle_timeout_s",
        "migrate_silence_timeout_s",
        "migrate_answer_timeout_s",
        "migrate_health_timeout_s",
        "migrate_canary",
        "migrate_hooks",
        "migrate_on_handover",
        "migrate_on_handover_timeout_s",
        "migrate_report_dir",
        "migrate_costs_file",
        "migrate_metrics_file",
        "migrate_traces",
        "migrate_prediction",
        "migrate_moves_at_once",
        "migrate_group",
    ]
)


def misspelt(names: Iterable[str], evaluation: bool = False) -> list[str]:
    """A sentence for each of *names* that is no option but nearly one.

    :param evaluation: of ``mec.migration.evaluate``.
    """
    told = []
    options = EVALUATION if evaluation else OPTIONS
    for name in sorted(str(one) for one in names):
        if len(name) < LEAST_LETTERS or name in options:
            continue
        cut_off = [
            option
            for option in sorted(options)
            if (evaluation or name.startswith("migrate_")) and option.startswith(f"{name}_")
        ]
        like = cut_off or difflib.get_close_matches(name, options, n=1, cutoff=ALIKE)
        if like:
            told.append(f"{name} is no option of these playbooks; do you mean {like[0]}?")
    return told


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Name to function."""
        return {"misspelt": misspelt}
