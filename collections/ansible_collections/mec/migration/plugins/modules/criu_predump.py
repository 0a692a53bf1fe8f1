#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: criu_predump
short_description: Copy a running container's memory and files to the target in rounds
version_added: 0.1.0
author: The mec.migration engineers (@mec-migration)
description:
  - Sends what changed since the round before, while the service runs, until the stop rule holds.
  - Memory is read from outside without a freeze. The target keeps each round as a CRIU image directory
    whose parent is the round before.
  - Runs on the source. The target must be armed, see M(mec.migration.criu_restore).
requirements:
  - docker (Python)
extends_documentation_fragment:
  - mec.migration.attributes
  - mec.migration.attributes.migration_group
  - mec.migration.peer
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
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
  tracker:
    description:
      - How changed pages are found. V(soft-dirty) and V(uffd) ask the kernel which were written, V(compare)
        compares every page with what the target has. All send only pages whose content differs.
      - V(uffd) gives each process a userfaultfd from outside, which stops it for some milliseconds, and lasts
        as long as this module. It needs Linux 6.7 on x86-64. A process with an obstacle (io_uring, a
        debugger, O_DIRECT, pinned memory, a userfaultfd of its own) is compared; RV(tracker_reason) names it.
      - V(auto) takes V(soft-dirty) where the kernel has it, else V(uffd) where it works, else V(compare).
    type: str
    choices: [auto, compare, soft-dirty, uffd]
    default: auto
  downtime_ms:
    description:
      - Stop when what is left can be looked at and sent in this time, or is less than what becomes dirty
        until M(mec.migration.criu_handover) goes on with rounds of its own.
    type: float
    default: 30
  max_rounds:
    description: Stop after so many rounds whatever is left.
    type: int
    default: 10
  min_gain:
    description: Stop when another round is expected to leave more than this share of what is left.
    type: float
    default: 0.9
  idle_timeout_s:
    description: What is kept of the memory on this host is wiped if no hand-over has come after so long.
    type: float
    default: 300
seealso:
  - module: mec.migration.migration_receiver
  - module: mec.migration.criu_handover
"""

EXAMPLES = r"""
- name: Copy while it runs
  mec.migration.criu_predump:
    migration_id: redis-42
    container: redis
    peer:
      address: 10.77.0.12
      port: "{{ receiver.port }}"
      key: "{{ migration_keys.source.key }}"
      certificate: "{{ migration_keys.source.certificate }}"
      peer_certificate: "{{ migration_keys.target.certificate }}"
    downtime_ms: 50
"""

RETURN = r"""
tracker:
  description: The tracker that was used.
  type: str
  returned: success
tracker_reason:
  description: Why it was chosen, and which processes it could not track.
  type: str
  returned: success
stop_reason:
  description: Why no further round was made.
  type: str
  returned: success
rounds:
  description:
    - One entry a round with C(number), C(pages_scanned), C(pages_changed), C(changed_bytes),
      C(sent_bytes), C(compression), C(seconds), C(frozen_ms), C(files_changed), C(files_sent_bytes),
      C(residual_bytes) (what a freeze right after it would have had to send), C(dirty_pages_per_s) and
      C(started), in seconds since the epoch on this host's clock.
  type: list
  elements: dict
  returned: success
memory_bytes:
  description: Private anonymous memory that is resident.
  type: int
  returned: success
bandwidth_bytes_per_s:
  description: What the link gave.
  type: float
  returned: success
ended:
  description: When it was done, seconds since the epoch by the controller's clock.
  type: float
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.base.paths import state_dir
from ansible_collections.mec.migration.plugins.module_utils.base.stop_rule import HANDOVER_GAP_S, StopRule
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.files.sync import FileSync
from ansible_collections.mec.migration.plugins.module_utils.memory import trackers as dirty_tracking
from ansible_collections.mec.migration.plugins.module_utils.memory.source import MemorySource
from ansible_collections.mec.migration.plugins.module_utils.module.base import (
    PEER_ARGUMENTS,
    Progress,
    connect_peer,
    run_module,
)
from ansible_collections.mec.migration.plugins.module_utils.service.service import Service
from ansible_collections.mec.migration.plugins.module_utils.source.endings import begin_source
from ansible_collections.mec.migration.plugins.module_utils.source.precopy import (
    PreCopy,
    as_fields,
    files_state,
)


def run(module: Any, progress: Progress) -> dict[str, Any]:
    params = module.params
    service = Service(docker_client(), params["container"], params["move_binds"])
    tracker, why = dirty_tracking.choose(params["tracker"], service.cgroup)
    result = {
        "changed": True,
        "tracker": tracker.name,
        "tracker_reason": why,
        "memory_bytes": service.memory_bytes,
    }
    if module.check_mode:
        return dict(result, stop_reason="check mode", rounds=[], bandwidth_bytes_per_s=0.0)
    directory = state_dir(params["migration_id"])
    begin_source(service.name, service.id, params["migration_id"], params["idle_timeout_s"])
    channel = connect_peer(params)
    memory = MemorySource(directory, tracker)
    memory.load()
    files = FileSync.load(files_state(directory), service.trees())
    files.prepare(channel)
    copy = PreCopy(service, channel, memory, files, progress)
    copy.run(StopRule(params["downtime_ms"], params["max_rounds"], params["min_gain"], HANDOVER_GAP_S))
    files.save(files_state(directory))
    copy.save(directory)
    channel.close()
    return dict(
        result,
        tracker_reason=dirty_tracking.explain(tracker, why),
        stop_reason=copy.stop_reason,
        rounds=as_fields(copy.rounds),
        bandwidth_bytes_per_s=copy.bytes_per_s,
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **PEER_ARGUMENTS,
            "container": {"type": "str", "required": True},
            "move_binds": {"type": "list", "elements": "str", "default": []},
            "tracker": {"type": "str", "choices": list(dirty_tracking.NAMES), "default": "auto"},
            "downtime_ms": {"type": "float", "default": 30},
            "max_rounds": {"type": "int", "default": 10},
            "min_gain": {"type": "float", "default": 0.9},
            "idle_timeout_s": {"type": "float", "default": 300},
        },
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
