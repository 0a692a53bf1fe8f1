# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: migration_hindsight
author: The mec.migration engineers (@mec-migration)
version_added: 1.0.0
short_description: What a run of follow_users cost, and what simpler rules would have cost
description:
  - Adds up the policy's own costs over the rounds of a run. In each round a user who was seen pays the
    transmission cost from where the service is after the round's moves, and a move costs what it was expected
    to cost when the round was decided.
  - Beside it the same sum, for the same users and prices, if services had never moved, had always moved to
    the host nearest to their user, or had moved as someone who knows the future would (the offline optimum).
  - Rules start where the services were. They keep no capacity, and no move of theirs fails.
options:
  _terms:
    description: Lists of rounds, as C(mec.migration.follow_users) reports them.
    required: true
  candidates:
    description: Inventory names of the hosts.
    type: list
    elements: str
    required: true
  policy:
    description: As for P(mec.migration.mdp_decision#lookup).
    type: str
    default: default
  policy_path:
    description: As for P(mec.migration.mdp_decision#lookup).
    type: list
    elements: path
    default: []
    vars:
      - name: mec_policy_path
  data_dir:
    description: As for P(mec.migration.mdp_decision#lookup).
    type: path
    vars:
      - name: mec_data_dir
requirements:
  - numpy >= 1.26 on the controller
seealso:
  - module: mec.migration.migration_plan
"""

EXAMPLES = r"""
- name: What was it worth?
  ansible.builtin.debug:
    msg: >-
      {{ lookup('mec.migration.migration_hindsight', run.rounds, candidates=groups['edge_hosts']).lines }}
  vars:
    run: "{{ lookup('ansible.builtin.file', 'reports/follow/2026-11-23T080000Z.json') | from_json }}"
"""

RETURN = r"""
_raw:
  description:
    - For each run C(strategies), a list with C(strategy), C(cost) and its parts C(migration) and
      C(transmission), C(moves), and C(so_far), the cost after each round; and C(lines), the same as text.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.base.plain import plain
from ..plugin_utils.evaluation.hindsight import hindsight, lines
from ..plugin_utils.inputs.hosts import hosts_from_inventory
from ..plugin_utils.inputs.policy import check, policy_for


class LookupModule(LookupBase):
    """Looks back at each run."""

    def run(
        self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        options, variables = plain(self.get_options()), variables or {}
        found = []
        try:
            policy = check(
                policy_for(
                    options["policy"],
                    plain(variables.get("playbook_dir")),
                    options["policy_path"],
                    options["data_dir"],
                )
            )
            hosts = hosts_from_inventory(options["candidates"], variables.get("hostvars", {}))
            for term in terms:
                rows = hindsight(plain(term), policy, hosts)
                found.append({"strategies": rows, "lines": lines(rows)})
        except DecisionError as error:
            raise AnsibleLookupError(f"mec.migration.migration_hindsight: {error}") from None
        except (KeyError, TypeError) as error:
            raise AnsibleLookupError(
                "mec.migration.migration_hindsight: give rounds as mec.migration.follow_users reports them; "
                f"{error} is wrong there"
            ) from None
        return found
