#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_state_info
short_description: What a host says of the migrations of a service, for whoever decides how to end them
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Tells the host's side of each migration of the service that is not forgotten, and the host's containers.
  - Role P(mec.migration.resolve#role) puts together what both hosts of a migration say, with the filter
    P(mec.migration.resolve_decisions#filter).
requirements:
  - docker (Python)
extends_documentation_fragment:
  - mec.migration.attributes
  - mec.migration.attributes.info_module
options:
  service:
    description: Name of the container.
    type: str
    required: true
seealso:
  - module: mec.migration.migration_settle
"""

EXAMPLES = r"""
- name: What does this host know
  mec.migration.migration_state_info:
    service: redis
  register: looked
"""

RETURN = r"""
engine_id:
  description: Id of the host's Docker engine.
  type: str
  returned: success
containers:
  description: State of every container of the host, by its id; V(running), V(frozen) or Docker's word.
  type: dict
  returned: success
sides:
  description:
    - One entry a migration and side, with C(migration_id), C(side), C(service), C(state) (the outcome where
      it is settled, V(damaged) where the journal cannot be read, of whichever service it is), C(container),
      C(agent_alive), C(needs_source) (a target waits for pages of post-copy), C(lazy), C(time),
      C(reason), and engine, address and container of both sides.
  type: list
  elements: dict
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.resolve.look import look


def run(module: Any, progress: Progress) -> dict[str, Any]:
    return dict(look(docker_client(), module.params["service"]), changed=False)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"service": {"type": "str", "required": True}}, supports_check_mode=True
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
