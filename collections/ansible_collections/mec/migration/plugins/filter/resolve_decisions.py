# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: resolve_decisions
short_description: How migrations that were left open are ended, from what their hosts say
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Puts together what both hosts of each migration say and decides who may run. It does nothing itself; role
    P(mec.migration.resolve#role) carries it out.
options:
  _input:
    description:
      - By host what M(mec.migration.migration_state_info) returned, or something without C(sides) for one
        that did not answer.
    type: dict
    required: true
  service:
    description: Name of the container.
    type: str
    required: true
  addresses:
    description: By host the names and addresses by which other hosts may know it.
    type: dict
    default: {}
  host_gone:
    description: Host that never comes back, by the operator's word.
    type: str
    default: ""
  from_older_state:
    description: The operator's word that the source may go on from its older state.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Decide
  ansible.builtin.set_fact:
    decisions: "{{ looks | mec.migration.resolve_decisions(service='redis') }}"
"""

RETURN = r"""
_value:
  description:
    - C(decisions), one a migration, with C(migration_id), C(verdict), C(reason), C(word), C(by_word), and for
      C(source) and C(target) C(host), C(answers), C(action), C(seen), C(container_id).
    - C(unread), journals that cannot be read and may be of any service.
  type: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.mec.migration.plugins.plugin_utils.base.errors import DecisionError
from ansible_collections.mec.migration.plugins.plugin_utils.resolve.plan import heard, resolutions, unread


def resolve_decisions(
    looks: dict[str, Any],
    service: str,
    addresses: dict[str, Any] | None = None,
    host_gone: str = "",
    from_older_state: bool = False,
) -> dict[str, Any]:
    what = heard(looks, addresses or {})
    try:
        decided = resolutions(what, service, host_gone=host_gone, from_older_state=from_older_state)
    except DecisionError as error:
        raise AnsibleFilterError(f"resolve_decisions: {error}") from None
    return {"decisions": decided, "unread": unread(what)}


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"resolve_decisions": resolve_decisions}
