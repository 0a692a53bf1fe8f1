#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration
short_description: Begin, change or cancel a migration on its source
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - With O(state=open) it starts the source's agent, one process that owns the migration from here to its
    end. It holds the container's lock, so that nobody else can move it meanwhile. A second start is refused
    at once and touches nothing.
  - With O(state=cancelled) it ends a migration that has not been handed over, whoever began it, on both
    hosts; the service runs on where it was. After the hand-over it changes nothing and says so.
  - With O(state=changed) it gives other values to a migration that is under way.
  - The other modules of a move start an agent, too, if there is none.
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
  state:
    description: See above.
    type: str
    choices: [open, cancelled, changed]
    default: open
  migration_id:
    description:
      - Name of the migration, which nothing else has ever had. Letters, digits, dash, underscore and dot.
      - Required with O(state=open). Otherwise O(container) finds it, too.
    type: str
  container:
    description: Name of the container. Required with O(state=open).
    type: str
  move_binds:
    description: Destinations of bind mounts whose content moves, too.
    type: list
    elements: str
    default: []
  started_by:
    description: Who moves it, for others who want to. Set to user and controller by the action plugin.
    type: str
    default: ""
  address:
    description: By which the target knows this host; kept in the journals of both.
    type: str
    default: ""
  idle_timeout_s:
    description: The migration is given up if nothing was asked of its agent for so long before the hand-over.
    type: float
    default: 300
  bandwidth_limit_mbit:
    description: With O(state=changed), send no faster than this, in Mbit/s; V(0) for no limit.
    type: float
  downtime_ms:
    description: With O(state=changed), freeze when what is left passes in this time.
    type: float
seealso:
  - module: mec.migration.criu_predump
  - module: mec.migration.migration_journal_info
"""

EXAMPLES = r"""
- name: Begin
  mec.migration.migration:
    migration_id: redis-5f3b6c0e9f0d4f0b8a3d2f6c1e7a9b54
    container: redis
  register: begun

- name: Think better of it
  mec.migration.migration:
    container: redis
    state: cancelled

- name: Leave more of the link to others
  mec.migration.migration:
    container: redis
    state: changed
    bandwidth_limit_mbit: 20
"""

RETURN = r"""
service:
  description:
    - What the rest of a move needs to know. C(service), C(container_id), C(image_id), C(mounts) (destinations
      whose content moves), C(bind_sources), C(memory_bytes), C(engine_id), Docker's id of this host, and
      C(clock_s), what the host's clock says, in seconds since the epoch.
  type: dict
  returned: O(state=open)
started_by:
  description: Who moves it.
  type: str
  returned: O(state=open)
migrations:
  description:
    - One entry for each migration that was found, with C(migration_id) and what became of it, C(cancelled),
      C(state) and C(target_left), which says why the target could not be told; or the values in use.
  type: list
  elements: dict
  returned: O(state=cancelled) or O(state=changed)
container_state:
  description: What the container of the migration is on this host now.
  type: str
  returned: O(state=cancelled)
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.base.paths import check_migration_id
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.module.agents import open_source, source_status
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.source.cancel import cancel, change, open_here


def run(module: Any, progress: Progress) -> dict[str, Any]:
    params = module.params
    if params["migration_id"] is not None:
        check_migration_id(params["migration_id"])
    if params["state"] == "open":
        if source_status(params["migration_id"]) is not None:
            return {"changed": False}
        service = open_source(params, module.check_mode)
        return {"changed": True, "service": service, "started_by": params["started_by"]}
    entries = open_here(params["migration_id"], params["container"])
    if module.check_mode:
        return {"changed": bool(entries), "migrations": [entry._asdict() for entry in entries]}
    if params["state"] == "changed":
        values = {name: params[name] for name in ("bandwidth_limit_mbit", "downtime_ms")}
        done = [change(entry, values) for entry in entries]
        return {"changed": bool(done), "migrations": done}
    ends = [cancel(docker_client(), entry, params["started_by"]) for entry in entries]
    return {
        "changed": any(end["cancelled"] for end in ends),
        "migrations": ends,
        "container_state": ends[-1]["container_state"] if ends else "",
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["open", "cancelled", "changed"], "default": "open"},
            "migration_id": {"type": "str"},
            "container": {"type": "str"},
            "move_binds": {"type": "list", "elements": "str", "default": []},
            "started_by": {"type": "str", "default": ""},
            "address": {"type": "str", "default": ""},
            "idle_timeout_s": {"type": "float", "default": 300},
            "bandwidth_limit_mbit": {"type": "float"},
            "downtime_ms": {"type": "float"},
        },
        required_if=[("state", "open", ("migration_id", "container"))],
        required_one_of=[("migration_id", "container")],
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
