# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rescore
author: The mec.migration engineers (@mec-migration)
version_added: 1.0.0
short_description: Re-score migration decisions with overrides
description:
  - Takes a decision of P(mec.migration.mdp_decision#lookup), or a list of them, and answers what
    it would be with
    hosts excluded or with other costs. Solves nothing and reads nothing.
  - The overrides count for this slot. What is expected after it stays as the policy has it.
positional: _input
options:
  _input:
    description: A decision or a list of decisions.
    type: raw
    required: true
  exclude:
    description: Hosts that are no target.
    type: list
    elements: str
    default: []
  migration_costs:
    description: Cost of the move to a host, by inventory name, in place of the one in the decision.
    type: dict
    default: {}
  extra_costs:
    description: Cost to add to a host, by inventory name. On the current host it counts for staying.
    type: dict
    default: {}
  minimum_advantage:
    description: A move must save at least this, in cost units.
    type: float
    default: 0
seealso:
  - plugin: mec.migration.mdp_decision
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Leave edge-b alone while it is being drained
  ansible.builtin.set_fact:
    decision: "{{ decision | mec.migration.rescore(exclude=['edge-b']) }}"

- name: Move only where it saves something worth the trouble
  ansible.builtin.set_fact:
    decisions: "{{ decisions | mec.migration.rescore(minimum_advantage=0.5) }}"
"""

RETURN = r"""
_value:
  description: The decision, or the list of them, with the same keys and new values.
  type: raw
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.base.plain import plain
from ..plugin_utils.evaluation.rescoring import rescore


def rescore_all(decisions: Any, **overrides: Any) -> Any:
    """Re-score one decision or each of a list."""
    try:
        if isinstance(decisions, (list, tuple)):
            return [rescore(plain(decision), **plain(overrides)) for decision in decisions]
        return rescore(plain(decisions), **plain(overrides))
    except (DecisionError, TypeError) as error:
        raise AnsibleFilterError(f"mec.migration.rescore: {error}") from None


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"rescore": rescore_all}
