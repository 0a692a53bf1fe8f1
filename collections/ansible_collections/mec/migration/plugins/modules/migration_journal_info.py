#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_journal_info
short_description: Migrations that a host remembers as not ended
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Reads the journals that both sides keep on disk, together with the state in which the container is now.
  - An ended migration leaves no journal.
requirements:
  - docker (Python)
extends_documentation_fragment:
  - mec.migration.attributes
  - mec.migration.attributes.info_module
options:
  service:
    description: Only the migrations of this container.
    type: str
seealso:
  - module: mec.migration.criu_handover
  - module: mec.migration.criu_restore
"""

EXAMPLES = r"""
- name: What was left open
  mec.migration.migration_journal_info:
    service: redis
  register: open
"""

RETURN = r"""
migrations:
  description:
    - One entry each, oldest first, with C(migration_id), C(side), C(service), C(state), C(outcome), C(phase)
      (what is done now, if its agent lives), C(started_by), C(opened) and C(time) (seconds since the epoch),
      C(container_id), C(container_state) as it is now, and C(receiver_alive), whether its agent on this host
      lives.
    - Of a journal that cannot be read C(state) is V(damaged), and C(damaged) says why.
  type: list
  elements: dict
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.target.endings import open_migrations


def run(module: Any, progress: Progress) -> dict[str, Any]:
    return {"changed": False, "migrations": open_migrations(docker_client(), module.params["service"])}


def main() -> None:
    module = AnsibleModule(argument_spec={"service": {"type": "str"}}, supports_check_mode=True)
    run_module(module, run)


if __name__ == "__main__":
    main()
