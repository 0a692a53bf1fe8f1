#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: criu_predump
short_description: Copy a running container's memory and files to the target in rounds
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Sends what changed since the round before, while the service runs, until the stop rule holds.
  - Memory is read from outside without a freeze. The target keeps each round as a CRIU image directory
    whose parent is the round before.
  - Runs on the source. The target's agent must listen, see M(mec.migration.migration_receiver). The
    container is created and started there first, as far as that goes without its memory.
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
  diff_mode:
    support: none
  idempotent:
    support: none
options:
  image:
    description: Send the container's image first, as M(mec.migration.image_layer_sync) does.
    type: bool
    default: false
  tracker:
    description:
      - How changed pages are found. V(soft-dirty) and V(uffd) ask the kernel which were written, V(compare)
        compares every page with what the target has. All send only pages whose content differs.
      - V(uffd) gives each process a userfaultfd from outside, which stops it for some milliseconds, and lasts
        as long as this module. It needs Linux 6.7, on arm64 6.10. A process with an obstacle (io_uring, a
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
      certificate: "{{ migration_keys.source.certificate }}"
      peer_certificate: "{{ migration_keys.target.certificate }}"
    key: "{{ migration_keys.source.key }}"
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
memory:
  description: V(full) or V(lean), see O(memory).
  type: str
  returned: success
stop_reason:
  description: Why no further round was made.
  type: str
  returned: success
cpu_percent:
  description:
    - The least that the service was allowed, in percent of what it used of the processors; 100 if it was not
      slowed down.
  type: float
  returned: success
throttle_obstacle:
  description: Why it could not be slowed down; empty if it could, or need not be.
  type: str
  returned: success
rounds:
  description:
    - One entry a round with C(number), C(pages_scanned), C(pages_changed), C(changed_bytes),
      C(sent_bytes), C(compression), C(seconds), C(frozen_ms), C(files_changed), C(files_sent_bytes),
      C(residual_bytes) (what a freeze right after it would have had to send), C(dirty_pages_per_s),
      C(cpu_percent) (what the service was allowed meanwhile, of what it used of the processors) and
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
image:
  description: What M(mec.migration.image_layer_sync) returns; empty without O(image).
  type: dict
  returned: success
phases:
  description:
    - What was done one after the other, with C(phase), C(started) and C(ended), in seconds since the epoch by
      this host's clock. So are C(received) and C(answered), the times of the whole.
  type: list
  elements: dict
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
from ansible_collections.mec.migration.plugins.module_utils.module.steps import ROUNDS_ARGUMENTS, precopy


def run(module: Any, progress: Progress) -> dict[str, Any]:
    if module.check_mode:
        return {"changed": True}
    return dict(precopy(module.params, progress, module.params["image"]), changed=True)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SOURCE_ARGUMENTS,
            **ROUNDS_ARGUMENTS,
            "image": {"type": "bool", "default": False},
            "min_gain": {"type": "float", "default": 0.9},
        },
        supports_check_mode=True,
    )
    run_module(module, run, start_source, phase="pre-copy")


if __name__ == "__main__":
    main()
