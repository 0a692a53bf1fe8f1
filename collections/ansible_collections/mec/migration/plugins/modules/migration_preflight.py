#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_preflight
short_description: Refuse a migration that cannot work, before anything is touched
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Runs on the host that the container is on, and judges it against both hosts.
  - Where something stands against the migration it fails and names every problem at once, each with what
    was seen, what is needed and what to do.
  - Else it returns what to expect.
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
  target_facts:
    description:
      - What M(mec.migration.edge_host_info) says of the host that it is to move to.
      - Without it only the container and its own host are judged.
    type: dict
  target_asked_s:
    description:
      - What the clock of this host said before O(target_facts) was asked for, in seconds since the epoch, as
        C(service.clock_s) of M(mec.migration.migration) tells it.
      - With it RV(plan.clock) is known, to half of the time that has passed since.
    type: float
  move_binds:
    description: Destinations of bind mounts whose content moves, too.
    type: list
    elements: str
    default: []
  images_dir:
    description: Directory on tmpfs for the mirror of the memory, and for O(canary).
    type: path
    default: /run/mec-migration
  ignore:
    description:
      - Problems that do not count.
      - Use V(processor) where the service uses none of the features that the target's processor lacks,
        V(kernel) to try a target whose kernel is more than 20 releases behind, V(devices) for a service that
        has none of its devices open, V(memory) where swap can take what is not in use, and V(holdings) to
        try although its processes hold what CRIU is known not to dump.
    type: list
    elements: str
    choices: [processor, kernel, devices, memory, holdings]
    default: []
  canary:
    description:
      - Let CRIU dump a process that is started and ended for this, the way it will dump the service.
      - Takes some 20 milliseconds and never touches the service.
    type: bool
    default: true
  tracker:
    description: How changed pages are to be found.
    type: str
    choices: [auto, compare, soft-dirty, uffd]
    default: auto
  memory:
    description:
      - How much memory the move may take on both hosts, see O(mec.migration.criu_predump#module:memory).
        V(auto) is V(full) where both hosts have the room, else V(lean).
    type: str
    choices: [auto, full, lean]
    default: auto
  bandwidth_mbit:
    description: Bandwidth between the hosts, for the estimate in RV(plan.first_round_s).
    type: float
    default: 1000
  downtime_ms:
    description:
      - What the last pages may take while the service is frozen, for the estimate in RV(plan.downtime_ms).
    type: float
    default: 30
  log_mib:
    description: So much of the container's log moves, see O(mec.migration.criu_predump#module:log_mib).
    type: int
    default: 16
  lazy_restore:
    description:
      - Whether the service is to run on while its memory is filled, for the estimate in RV(plan.downtime_ms),
        as O(mec.migration.migration_receiver#module:lazy_restore).
    type: bool
    default: true
seealso:
  - module: mec.migration.edge_host_info
"""

EXAMPLES = r"""
- name: What the target can do
  mec.migration.edge_host_info:
  delegate_to: edge-b
  register: target

- name: Refuse what cannot work
  mec.migration.migration_preflight:
    container: redis
    target_facts: "{{ target.edge_host }}"
  register: preflight

- name: Take a target with an older processor for a service that does not mind
  mec.migration.migration_preflight:
    container: redis
    target_facts: "{{ target.edge_host }}"
    ignore: [processor]
"""

RETURN = r"""
plan:
  description: What to expect.
  type: dict
  returned: success
  contains:
    memory_bytes:
      description: Private anonymous memory that is resident.
      type: int
    image_id:
      description: The container's image.
      type: str
    image_bytes:
      description: Its size, unpacked.
      type: int
    layers:
      description: How many layers it has.
      type: int
    moved_mounts:
      description: Destinations of the mounts whose content moves.
      type: list
      elements: str
    bind_sources:
      description:
        - Sources of the bind mounts that do not move. The target must have them; whether it has is known
          if they were named in C(paths) of M(mec.migration.edge_host_info).
      type: list
      elements: str
    tracker:
      description: The tracker of dirty pages that will be used.
      type: dict
      contains:
        name:
          description: V(compare), V(soft-dirty) or V(uffd).
          type: str
        why:
          description: A sentence.
          type: str
    memory:
      description: How much memory the move will take.
      type: dict
      contains:
        name:
          description: V(full) or V(lean).
          type: str
        why:
          description: A sentence.
          type: str
    first_round_s:
      description: Seconds that the memory takes over the link once, if it does not compress.
      type: float
    downtime_ms:
      description: Milliseconds for which clients will see nothing.
      type: int
    clock:
      description:
        - How the clocks of the two hosts differ; empty if it is not known. A warning says so if it is more
          than half a second and RV(plan.clock.error_s) together.
      type: dict
      contains:
        ahead_s:
          description: Seconds by which the target's clock is ahead of this host's; below 0 it is behind.
          type: float
        error_s:
          description: Seconds by which that may be wrong, half of what it took to ask for it.
          type: float
    canary_ms:
      description: Milliseconds that O(canary) took.
      type: float
problems:
  description: Everything that stands against the migration, a sentence or two each.
  type: list
  elements: str
  returned: failure
  sample:
    - container redis publishes tcp port 6379, which is taken on edge-b by redis-server (process 812).
      Stop that, or publish another port
phase:
  description: Always V(preflight).
  type: str
  returned: failure
container_state:
  description: State of the container on this host.
  type: str
  returned: failure
log_tail:
  description: What CRIU logged, if O(canary) failed.
  type: str
  returned: failure
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.docker.container_log import LOG_MIB
from ansible_collections.mec.migration.plugins.module_utils.memory.sent import FULL, LEAN
from ansible_collections.mec.migration.plugins.module_utils.memory.trackers import AUTO, NAMES
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.preflight.checks import IGNORABLE
from ansible_collections.mec.migration.plugins.module_utils.preflight.host_facts import IMAGES_DIR
from ansible_collections.mec.migration.plugins.module_utils.preflight.preflight import Preflight


def run(module: Any, progress: Progress) -> dict[str, Any]:
    result = Preflight(docker_client(), lambda: module.params["target_facts"], module.params).run()
    for warning in result.pop("warnings"):
        module.warn(warning)
    return dict(result, changed=False)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "target_facts": {"type": "dict"},
            "target_asked_s": {"type": "float"},
            "move_binds": {"type": "list", "elements": "str", "default": []},
            "images_dir": {"type": "path", "default": IMAGES_DIR},
            "ignore": {"type": "list", "elements": "str", "choices": list(IGNORABLE), "default": []},
            "canary": {"type": "bool", "default": True},
            "tracker": {"type": "str", "choices": list(NAMES), "default": AUTO},
            "memory": {"type": "str", "choices": [AUTO, FULL, LEAN], "default": AUTO},
            "bandwidth_mbit": {"type": "float", "default": 1000},
            "downtime_ms": {"type": "float", "default": 30},
            "log_mib": {"type": "int", "default": LOG_MIB},
            "lazy_restore": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
