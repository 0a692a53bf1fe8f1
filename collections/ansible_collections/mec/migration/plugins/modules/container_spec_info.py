#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_spec_info
short_description: What makes up a running container
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Reads a running container, so that M(mec.migration.criu_restore) can create the same one on another host.
  - A container that is not there, or does not run, is no error; see RV(state). Neither is one that cannot
    be moved; see RV(problem).
requirements:
  - docker (Python)
extends_documentation_fragment:
  - mec.migration.attributes
  - mec.migration.attributes.info_module
options:
  container:
    description: Name of the container.
    type: str
    required: true
  move_binds:
    description: Destinations of bind mounts whose content moves, too.
    type: list
    elements: str
    default: []
  load:
    description: Measure what decides the cost of a move, too, as M(mec.migration.migration_cost_info) does.
    type: bool
    default: false
seealso:
  - module: mec.migration.criu_restore
  - module: mec.migration.migration_preflight
"""

EXAMPLES = r"""
- name: What is it
  mec.migration.container_spec_info:
    container: redis
  register: service
"""

RETURN = r"""
state:
  description: V(running), V(frozen), V(absent), or Docker's word for it.
  type: str
  returned: success
container_id:
  description: Docker's id of it, empty if it is absent.
  type: str
  returned: success
migration:
  description: What moves it now, in a sentence; empty if nothing does.
  type: str
  returned: success
problem:
  description: Why a checkpoint cannot carry it over, and what to do about it; empty if nothing is known.
  type: str
  returned: when it runs
spec:
  description: Name, image, configuration, networks, mounts and restart policy.
  type: dict
  returned: when it runs
mounts:
  description: Destinations of the mounts whose content moves.
  type: list
  elements: str
  returned: when it runs
paths:
  description:
    - Paths of the host that the container shows, by bind mounts and by volumes that are bind mounts; for
      C(paths) of M(mec.migration.edge_host_info).
  type: list
  elements: str
  returned: when it runs
memory_bytes:
  description: Private anonymous memory that is resident.
  type: int
  returned: when it runs
processes:
  description: How many processes run in it.
  type: int
  returned: when it runs
load:
  description: What M(mec.migration.migration_cost_info) returns.
  type: dict
  returned: with O(load)
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.base.errors import PreflightError
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.docker.container_spec import (
    compared_paths,
    specification,
)
from ansible_collections.mec.migration.plugins.module_utils.docker.container_state import RUNNING
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.service.load import host_load
from ansible_collections.mec.migration.plugins.module_utils.service.service import Service
from ansible_collections.mec.migration.plugins.module_utils.source.under_way import look
from ansible_collections.mec.migration.plugins.module_utils.state.cordon import read_cordon

# Between the two readings of a container's pages: whoever looks for a container waits for it.
SAMPLE_S = 0.2


def run(module: Any, progress: Progress) -> dict[str, Any]:
    client = docker_client()
    state, inspected, migration = look(client, module.params["container"])
    container_id = str(inspected.get("Id", ""))
    found: dict[str, Any] = {
        "changed": False,
        "state": state,
        "container_id": container_id,
        "migration": migration,
    }
    if module.params["load"]:
        measured = host_load(client, [module.params["container"]], SAMPLE_S)
        found["load"] = dict(measured, cordoned=read_cordon() is not None)
    if state != RUNNING:
        return found
    try:
        service = Service(client, module.params["container"], module.params["move_binds"])
    except PreflightError as error:
        # Whoever looks for the container must find it; migration_preflight refuses.
        spec = specification(inspected)
        nothing = {"mounts": [], "memory_bytes": 0, "processes": 0}
        return {**found, **nothing, "problem": error.message, "spec": spec, "paths": compared_paths(spec)}
    return {
        **found,
        "problem": "",
        "spec": service.spec,
        "paths": compared_paths(service.spec),
        "mounts": [mount["destination"] for mount in service.moved_mounts()],
        "memory_bytes": service.memory_bytes,
        "processes": len(service.processes()),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "move_binds": {"type": "list", "elements": "str", "default": []},
            "load": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
