# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: migration_cost_prediction
author: The mec.migration engineers (@mec-migration)
version_added: 1.0.0
short_description: Predict bytes, seconds and downtime of a move to each host
description:
  - Takes what M(mec.migration.migration_cost_info) measured on each host and what earlier migrations cost,
    and predicts what a move of a service would cost.
  - Bytes follow from the rounds of pre-copy, from missing layers and from how well the service's memory was
    compressed before. Seconds of each phase are a constant, plus bytes over bandwidth, plus a share of the
    memory, fitted to the store by least squares. Without records defaults hold.
  - The bandwidth of a pair of hosts is the median of its last five records, else that of other records
    of the two hosts, else of all, else O(bandwidth_mbit).
options:
  _terms:
    description: Names of services.
    required: true
  loads:
    description: By inventory name of each host the result of M(mec.migration.migration_cost_info) there.
    type: dict
    required: true
  costs_file:
    description: Store that M(mec.migration.migration_cost) writes; one that is not there is empty.
    type: str
    default: ""
    vars:
      - name: migrate_costs_file
  bandwidth_mbit:
    description: Bandwidth where no record tells it.
    type: float
    default: 1000
    vars:
      - name: mec_bandwidth_mbit
requirements:
  - jsonschema >= 4.20 on the controller
seealso:
  - module: mec.migration.migration_cost_info
  - plugin: mec.migration.mdp_decision
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Predict
  ansible.builtin.set_fact:
    cost: >-
      {{ lookup('mec.migration.migration_cost_prediction', 'redis', loads=loads, costs_file='costs.jsonl') }}
  vars:
    loads: "{{ dict(groups['edge_hosts'] | zip(groups['edge_hosts'] | map('extract', hostvars, 'load'))) }}"

- name: Decide with it
  ansible.builtin.set_fact:
    decision: >-
      {{ lookup('mec.migration.mdp_decision', 'redis', policy='measured', user_cell=12,
                candidates=groups['edge_hosts'], current_host=cost.current_host,
                measured_costs=cost.measured_costs) }}
"""

RETURN = r"""
_raw:
  description:
    - For each service a dictionary. C(current_host) is where it runs. C(predictions) has for each other host
      C(total_bytes), C(seconds), C(frozen_ms) and what they were computed from. C(measured_costs) is what
      a move between any two hosts would take, for the option of this name of
      P(mec.migration.mdp_decision#lookup).
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..module_utils.base.host_load import load_per_cpu
from ..module_utils.base.units import BYTES_PER_S_OF_MBIT
from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.base.plain import plain
from ..plugin_utils.prediction.cost_model import (
    CostModel,
    current_host,
    measured_costs,
    predictions,
    recent_records,
)

display = Display()


class LookupModule(LookupBase):
    """Predicts for each service; everything else is in plugin_utils."""

    def run(
        self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        options = plain(self.get_options())
        try:
            records = recent_records(options["costs_file"], _warn)
            model = CostModel(records, options["bandwidth_mbit"] * BYTES_PER_S_OF_MBIT, load_per_cpu())
            found = []
            for service in plain(terms):
                here = current_host(service, options["loads"])
                everywhere = predictions(service, options["loads"], model)
                found.append(
                    {
                        "service": service,
                        "current_host": here,
                        "predictions": everywhere[here],
                        "measured_costs": measured_costs(everywhere),
                    }
                )
        except DecisionError as error:
            raise AnsibleLookupError(f"mec.migration.migration_cost_prediction: {error}") from None
        except (KeyError, TypeError) as error:
            raise AnsibleLookupError(
                "mec.migration.migration_cost_prediction: loads must be results of migration_cost_info; "
                f"{error} is wrong there"
            ) from None
        return found


def _warn(sentence: str) -> None:
    display.warning(f"mec.migration.migration_cost_prediction: {sentence}")
