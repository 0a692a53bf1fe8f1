#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_receiver
short_description: Listen on the target of a migration
version_added: 0.1.0
author: The mec.migration engineers (@mec-migration)
description:
  - Starts, or ends, the process on the target host that takes what the source sends.
  - It listens for one TLS 1.3 connection at a time, from the one peer whose certificate it was given.
  - It ends by itself when the migration is over or when nobody has spoken to it for O(idle_timeout_s);
    whatever it holds is wiped then, and a container that waits for its images is removed.
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
    description: Name of the migration.
    type: str
    required: true
  service:
    description: Name of the container that will come. Needed with O(state=present).
    type: str
  state:
    description: Whether the receiver shall run.
    type: str
    choices: [present, absent]
    default: present
  address:
    description: Address to listen on. Every address of the host by default.
    type: str
    default: ""
  port:
    description: Port to listen on; V(0) takes a free one, which is returned.
    type: int
    default: 0
  key:
    description: This side's private key (PEM). Needed with O(state=present).
    type: str
  certificate:
    description: This side's certificate (PEM). Needed with O(state=present).
    type: str
  peer_certificate:
    description: The one certificate (PEM) that the source must show. Needed with O(state=present).
    type: str
  images_dir:
    description:
      - Where memory images are kept, below it a directory of the migration's name, mode 0700.
      - Must be on tmpfs, so that no memory content reaches a disk.
    type: path
    default: /run/mec-migration
  idle_timeout_s:
    description: End after so many seconds in which nobody spoke to it.
    type: float
    default: 300
  lazy_restore:
    description:
      - Let the service run on while its memory is still being filled from the local images, so that the
        downtime does not grow with the memory. Needs userfaultfd, else it is left out.
      - The source stays frozen until all memory is in place. If this process dies before that, the copy on
        the target is ended and the source can be thawed.
    type: bool
    default: true
seealso:
  - module: mec.migration.criu_restore
  - module: mec.migration.criu_predump
"""

EXAMPLES = r"""
- name: Listen for the migration
  mec.migration.migration_receiver:
    migration_id: redis-42
    service: redis
    key: "{{ migration_keys.target.key }}"
    certificate: "{{ migration_keys.target.certificate }}"
    peer_certificate: "{{ migration_keys.source.certificate }}"
  register: receiver

- name: End it, whatever it waits for
  mec.migration.migration_receiver:
    migration_id: redis-42
    state: absent
"""

RETURN = r"""
port:
  description: The port on which it listens.
  type: int
  returned: O(state=present)
reason:
  description: Why something was, or would be, changed; empty if nothing was.
  type: str
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.base.paths import check_migration_id
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.target.receiver import (
    Receiver,
    Settings,
    detach,
)
from ansible_collections.mec.migration.plugins.module_utils.transport.control import control
from ansible_collections.mec.migration.plugins.module_utils.transport.wire import Keys


def run(module: Any, progress: Progress) -> dict[str, Any]:
    params = module.params
    migration_id = check_migration_id(params["migration_id"])
    try:
        status: dict[str, Any] = control(migration_id, "status")
    except MigrationError:
        status = {}
    if params["state"] == "absent":
        reason = f"the receiver is there, in state {status['state']}" if status else ""
        if status and not module.check_mode:
            control(migration_id, "abort", reason="the receiver was asked to end")
        return {"changed": bool(reason), "reason": reason}
    if status:
        return {"changed": False, "reason": "", "port": status["port"]}
    port = params["port"]
    if not module.check_mode:
        settings = Settings(
            migration_id,
            params["service"],
            params["address"],
            port,
            Keys(params["key"], params["certificate"], params["peer_certificate"]),
            params["images_dir"],
            params["idle_timeout_s"],
            params["lazy_restore"],
        )
        # No time-out: `docker start` into the armed runtime answers only after the restore.
        receiver = Receiver(settings, docker_client(timeout_s=None))
        port = receiver.listen()
        detach(receiver)
    return {"changed": True, "reason": "no receiver is running", "port": port}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "migration_id": {"type": "str", "required": True},
            "service": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "address": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 0},
            "key": {"type": "str", "no_log": True},
            "certificate": {"type": "str"},
            "peer_certificate": {"type": "str"},
            "images_dir": {"type": "path", "default": "/run/mec-migration"},
            "idle_timeout_s": {"type": "float", "default": 300},
            "lazy_restore": {"type": "bool", "default": True},
        },
        required_if=[("state", "present", ("service", "key", "certificate", "peer_certificate"))],
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
