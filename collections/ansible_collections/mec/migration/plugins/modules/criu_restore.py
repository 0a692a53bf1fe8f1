#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: criu_restore
short_description: Take over or drop a container on the target of a migration
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - For a migration that was left open; in a move that goes well the two agents do it.
  - With O(state=restored) it checks that the service really runs here, gives it its restart policy and
    wipes the memory images.
  - With O(state=absent) it makes sure that no copy of the service is here. It never ends one that runs.
requirements:
  - docker (Python)
extends_documentation_fragment:
  - mec.migration.attributes
  - mec.migration.attributes.migration_group
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  migration_id:
    description:
      - Name of the migration.
      - With O(state=absent) O(service) can be given instead.
    type: str
  service:
    description:
      - With O(state=absent), put away what any interrupted migration of this container to this host has left.
      - Fails if one is in progress.
    type: str
  state:
    description: What shall be on this host.
    type: str
    choices: [restored, absent]
    required: true
  health_timeout_s:
    description: How long the container's own health check may take to be content.
    type: float
    default: 30
seealso:
  - module: mec.migration.migration_receiver
  - module: mec.migration.criu_handover
"""

EXAMPLES = r"""
- name: Does it run here
  mec.migration.criu_restore:
    migration_id: redis-42
    state: restored
"""

RETURN = r"""
container_id:
  description: Docker's id of the container on this host.
  type: str
  returned: O(state=armed) or O(state=restored)
health:
  description: What was seen of the service.
  type: str
  returned: O(state=restored)
reason:
  description: Why something was, or would be, changed; empty if nothing was.
  type: str
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.base.paths import check_migration_id
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.docker.container_state import wait_healthy
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.state import journal as states
from ansible_collections.mec.migration.plugins.module_utils.state.journal import TARGET, Journal
from ansible_collections.mec.migration.plugins.module_utils.target.endings import (
    clean_stale,
    clean_target,
    finish_target,
)


def run(module: Any, progress: Progress) -> dict[str, Any]:
    params = module.params
    if params["service"] and params["state"] == "absent":
        reason = clean_stale(docker_client(), params["service"], module.check_mode)
        return {"changed": bool(reason), "reason": reason}
    migration_id = check_migration_id(params["migration_id"])
    journal = Journal(migration_id, TARGET)
    container_id = journal.entry.container_id
    client = docker_client()
    if params["state"] == "absent":
        reason = clean_target(client, migration_id, module.check_mode)
        return {"changed": bool(reason), "reason": reason}
    health = ""
    if journal.state in (states.RESTORING, states.RUNNING, states.FILLED):
        health = wait_healthy(client, container_id, params["health_timeout_s"])
    reason = finish_target(client, migration_id, module.check_mode)
    return {"changed": bool(reason), "reason": reason, "container_id": container_id, "health": health}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "migration_id": {"type": "str"},
            "service": {"type": "str"},
            "state": {"type": "str", "choices": ["restored", "absent"], "required": True},
            "health_timeout_s": {"type": "float", "default": 30},
        },
        required_if=[("state", "restored", ("migration_id",))],
        required_one_of=[("migration_id", "service")],
        supports_check_mode=True,
    )
    run_module(module, run, phase="verify")


if __name__ == "__main__":
    main()
