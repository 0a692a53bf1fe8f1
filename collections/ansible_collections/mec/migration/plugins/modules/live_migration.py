#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: live_migration
short_description: Move a running container to a target that listens, all of it in one call
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Does on the source what M(mec.migration.migration), M(mec.migration.migration_preflight),
    M(mec.migration.criu_predump) and M(mec.migration.criu_handover) do one after the other, without the time
    that a task of its own costs each of them. The target's agent must listen, see
    M(mec.migration.migration_receiver).
  - Both hosts look at themselves at the same time. If anything stands against the move it is refused, and
    nothing is left of it on either host.
  - If it fails before the service is handed over, the migration is cancelled on both hosts and the service
    runs on here.
requirements:
  - docker (Python)
extends_documentation_fragment:
  - mec.migration.attributes
  - mec.migration.attributes.migration_group
  - mec.migration.peer
  - mec.migration.source
  - mec.migration.rounds
attributes:
  check_mode:
    support: full
    details: Whether the container could be moved is M(mec.migration.migration_preflight)'s to say.
  diff_mode:
    support: none
  idempotent:
    support: none
options:
  address:
    description: By which the target knows this host; kept in the journals of both.
    type: str
    default: ""
  images_dir:
    description: Directory on tmpfs, on both hosts, for memory and for O(canary).
    type: path
    default: /run/mec-migration
  ignore:
    description: Problems that do not count, as for M(mec.migration.migration_preflight).
    type: list
    elements: str
    choices: [processor, kernel, devices, memory, holdings]
    default: []
  canary:
    description: Let CRIU dump a process of its own first, as for M(mec.migration.migration_preflight).
    type: bool
    default: true
  lazy_restore:
    description: As the target was told, see O(mec.migration.migration_receiver#module:lazy_restore).
    type: bool
    default: true
  tracker:
    description: As for M(mec.migration.criu_predump).
    type: str
    choices: [auto, compare, soft-dirty, uffd]
    default: auto
  downtime_ms:
    description: The service is frozen when what is left can be looked at and sent in this time.
    type: float
    default: 30
  max_rounds:
    description: At most so many rounds are made, whatever is left.
    type: int
    default: 10
  min_gain:
    description: No further round is made if it is expected to leave more than this share of what is left.
    type: float
    default: 0.9
  handover:
    description: Go on to the hand-over. Without it the migration waits for M(mec.migration.criu_handover).
    type: bool
    default: true
  answer_timeout_s:
    description: How long the target may take to say that the service runs.
    type: float
    default: 60
  commit:
    description: End the container here once the target has verified that the service runs there.
    type: bool
    default: true
  health_timeout_s:
    description: How long the container's own health check may take on the target before the commit.
    type: float
    default: 30
seealso:
  - module: mec.migration.migration_receiver
  - module: mec.migration.criu_predump
  - module: mec.migration.criu_handover
"""

EXAMPLES = r"""
- name: Move
  mec.migration.live_migration:
    migration_id: redis-42
    container: redis
    peer:
      address: 10.77.0.12
      port: "{{ receiver.port }}"
      certificate: "{{ migration_keys.source.certificate }}"
      peer_certificate: "{{ migration_keys.target.certificate }}"
    key: "{{ migration_keys.source.key }}"
"""

RETURN = r"""
preflight:
  description: C(plan) and C(warnings), as M(mec.migration.migration_preflight) returns them.
  type: dict
  returned: unless it was refused
container_id:
  description: Docker's id of the container here.
  type: str
  returned: unless it was refused
precopy:
  description: What M(mec.migration.criu_predump) returns.
  type: dict
  returned: unless it failed before
handover:
  description: What M(mec.migration.criu_handover) returns; empty without O(handover).
  type: dict
  returned: success
ended:
  description: When it was done, seconds since the epoch by the controller's clock.
  type: float
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.module.agents import (
    SOURCE_ARGUMENTS,
    start_source,
)
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.module.steps import (
    ROUNDS_ARGUMENTS,
    whole_migration,
)
from ansible_collections.mec.migration.plugins.module_utils.preflight.checks import IGNORABLE
from ansible_collections.mec.migration.plugins.module_utils.preflight.host_facts import IMAGES_DIR


def run(module: Any, progress: Progress) -> dict[str, Any]:
    if module.check_mode:
        return {"changed": True}
    return dict(whole_migration(module.params, progress), changed=True)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SOURCE_ARGUMENTS,
            **ROUNDS_ARGUMENTS,
            "address": {"type": "str", "default": ""},
            "images_dir": {"type": "path", "default": IMAGES_DIR},
            "ignore": {"type": "list", "elements": "str", "choices": list(IGNORABLE), "default": []},
            "canary": {"type": "bool", "default": True},
            "lazy_restore": {"type": "bool", "default": True},
            "min_gain": {"type": "float", "default": 0.9},
            "handover": {"type": "bool", "default": True},
            "answer_timeout_s": {"type": "float", "default": 60},
            "commit": {"type": "bool", "default": True},
            "health_timeout_s": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    run_module(module, run, start_source)


if __name__ == "__main__":
    main()
