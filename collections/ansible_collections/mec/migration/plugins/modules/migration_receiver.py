#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_receiver
short_description: Start or end the agent on the target of a migration
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Starts, or ends, the process on the target host that takes what the source sends. Only one for each
    service can be there; what earlier, interrupted migrations of the service have left is put away first.
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
  started_by:
    description: Who moves the service, for others who want to.
    type: str
    default: ""
  on_handover:
    description:
      - A program with its arguments, without a shell, that this host runs as root the moment the service runs
        here, beside the answer to the source. For what must learn of it at once, such as a virtual address, a
        proxy or a DNS server.
      - Its environment has C(MEC_SERVICE), C(MEC_CONTAINER_ID), C(MEC_PORTS) (such as C(6379:6379/tcp), with
        spaces between them) and what is in O(on_handover_environment).
      - If it fails the service runs here all the same, and M(mec.migration.criu_handover) warns.
    type: list
    elements: str
    default: []
  on_handover_timeout_s:
    description: It is ended after so long.
    type: float
    default: 10
  on_handover_environment:
    description: More for its environment.
    type: dict
    default: {}
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
put_away:
  description: What earlier, interrupted migrations had left; empty if nothing.
  type: str
  returned: O(state=present) if it was started
reason:
  description: Why something was, or would be, changed; empty if nothing was.
  type: str
  returned: always
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.base.crash_points import enter
from ansible_collections.mec.migration.plugins.module_utils.base.paths import check_migration_id
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.state.migration_lock import Owner
from ansible_collections.mec.migration.plugins.module_utils.target.agent import TargetAgent, detach
from ansible_collections.mec.migration.plugins.module_utils.target.endings import clean_stale
from ansible_collections.mec.migration.plugins.module_utils.target.hook import Hook
from ansible_collections.mec.migration.plugins.module_utils.target.settings import TargetSettings
from ansible_collections.mec.migration.plugins.module_utils.transport.control import NoAgentError, control
from ansible_collections.mec.migration.plugins.module_utils.transport.wire import Keys


def run(module: Any, progress: Progress) -> dict[str, Any]:
    params = module.params
    migration_id = check_migration_id(params["migration_id"])
    try:
        status: dict[str, Any] = control(migration_id, "status")
    except NoAgentError:
        status = {}
    if params["state"] == "absent":
        reason = f"the target's agent is there, in state {status['state']}" if status else ""
        if status and not module.check_mode:
            control(migration_id, "abort", {"reason": "it was asked to end"})
        return {"changed": bool(reason), "reason": reason}
    if status:
        return {"changed": False, "reason": "", "port": status["port"]}
    port = params["port"]
    enter("target")
    # No time-out: `docker start` into the armed runtime answers only after the restore.
    client = docker_client(timeout_s=None)
    put_away = clean_stale(client, params["service"], module.check_mode)
    if not module.check_mode:
        environment = {"MEC_SERVICE": params["service"]}
        environment.update(
            (str(name), str(value)) for name, value in params["on_handover_environment"].items()
        )
        settings = TargetSettings(
            migration_id=migration_id,
            service=params["service"],
            address=params["address"],
            port=port,
            keys=Keys(params["key"], params["certificate"], params["peer_certificate"]),
            images_dir=params["images_dir"],
            idle_timeout_s=params["idle_timeout_s"],
            lazy_restore=params["lazy_restore"],
            hook=Hook(params["on_handover"], params["on_handover_timeout_s"], environment),
        )
        agent = TargetAgent(settings, client)
        port = agent.open(Owner(migration_id, params["service"], params["started_by"], time.time()))
        detach(agent)
    return {"changed": True, "reason": "no agent is running", "port": port, "put_away": put_away}


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
            "started_by": {"type": "str", "default": ""},
            "on_handover": {"type": "list", "elements": "str", "default": []},
            "on_handover_timeout_s": {"type": "float", "default": 10},
            "on_handover_environment": {"type": "dict", "default": {}},
        },
        required_if=[("state", "present", ("service", "key", "certificate", "peer_certificate"))],
        supports_check_mode=True,
    )
    run_module(module, run, phase="arm")


if __name__ == "__main__":
    main()
