#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_cost_info
short_description: Measure what decides the cost of migrations from and to a host
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Shows the image layers that the host holds, and for each of the containers that run there its memory,
    how fast that changes, and its image's layers.
  - P(mec.migration.migration_cost_prediction#lookup) makes of it what a move to each host would cost.
  - The rate of change is measured by reading a sample of up to 8192 pages twice and comparing them. This
    works on any kernel and freezes nothing.
requirements:
  - docker (Python)
extends_documentation_fragment:
  - mec.migration.attributes
  - mec.migration.attributes.info_module
options:
  containers:
    description: Containers to measure. Those that do not run on the host are passed over.
    type: list
    elements: str
    default: []
  interval_s:
    description: Seconds between the two readings of a container's pages.
    type: float
    default: 0.3
seealso:
  - plugin: mec.migration.migration_cost_prediction
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Measure what decides the cost of a move
  mec.migration.migration_cost_info:
    containers: [redis]
  register: load
"""

RETURN = r"""
diff_ids:
  description: DiffIDs of all layers on the host.
  returned: success
  type: list
  elements: str
running:
  description: Names of all containers that run on the host.
  returned: success
  type: list
  elements: str
load_per_cpu:
  description: Processes that run or wait for a processor, for each processor, over the last minute.
  returned: success
  type: float
services:
  description:
    - For each container that was asked for and runs here its C(memory_bytes), C(dirty_pages_per_s),
      C(compressed_share) (bytes after compression for each byte of memory, on a sample), C(sampled_pages),
      C(sample_seconds), C(image_id) and C(layers).
    - C(window) has what else makes the frozen window longer, C(processes), C(threads), and in bytes
      C(shared_bytes) (shared memory, also of memfds and of System V), C(system_v_bytes) (what of it is System
      V's), C(tmpfs_bytes) (tmpfs mounts of the container that do not travel in rounds), C(written_file_bytes)
      (files that are being written), and C(copy_on_write_bytes) (memory that forked processes share, where it
      stays shared).
    - For one that cannot be measured C(problem), a sentence.
  returned: success
  type: dict
cordoned:
  description: Whether the host takes no services by itself, see M(mec.migration.migration_cordon).
  returned: success
  type: bool
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.service.load import host_load
from ansible_collections.mec.migration.plugins.module_utils.state.cordon import read_cordon


def run(module: Any, progress: Progress) -> dict[str, Any]:
    load = host_load(docker_client(), module.params["containers"], module.params["interval_s"])
    return dict(load, cordoned=read_cordon() is not None, changed=False)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "containers": {"type": "list", "elements": "str", "default": []},
            "interval_s": {"type": "float", "default": 0.3},
        },
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
