#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_layers_info
short_description: Show the layers of images, and those that a host holds
version_added: 1.0.0
description:
  - Shows each image's layers by diffID and chainID with their sizes, and all layers that the host's
    Docker daemon holds.
  - DiffIDs are the same on every host that has a layer. Docker's own image IDs differ between its image
    stores, so an image is named by the digest of its configuration.
author:
  - The mec.migration engineers (@mec-migration)
requirements:
  - docker (Python)
extends_documentation_fragment:
  - mec.migration.attributes
  - mec.migration.attributes.info_module
options:
  images:
    description: Images to show, by reference or ID. All that the module is asked for must be there.
    type: list
    elements: str
    default: []
seealso:
  - module: mec.migration.image_layer_diff
  - module: mec.migration.image_layer_sync
"""

EXAMPLES = r"""
- name: Look at the layers of an image
  mec.migration.image_layers_info:
    images: [redis:7]
  register: layers

- name: Show what would have to travel to an empty host
  ansible.builtin.debug:
    msg: "{{ layers.images[0].size_bytes }} bytes in {{ layers.images[0].layers | length }} layers"
"""

RETURN = r"""
store:
  description: How Docker keeps images.
  returned: success
  type: str
  sample: containerd (overlayfs)
docker_version:
  description: Version of the daemon.
  returned: success
  type: str
  sample: 26.1.5
images:
  description: The images asked for, in that order.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Digest of the image's configuration, which is the same on every host.
      type: str
    local_id:
      description:
        - What Docker on this host calls it.
        - With containerd's image store it is the digest of the manifest or index.
      type: str
    references:
      description: Names with tag.
      type: list
      elements: str
    size_bytes:
      description: Bytes of the files in all layers.
      type: int
    layers:
      description: The layers, bottom first, each with C(diff_id), C(chain_id) and C(size_bytes).
      type: list
      elements: dict
diff_ids:
  description: DiffIDs of all layers on the host.
  returned: success
  type: list
  elements: str
chain_ids:
  description: ChainIDs of all layers on the host.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.image.layers import host_layers_info
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module


def run(module: Any, progress: Progress) -> dict[str, Any]:
    return dict(host_layers_info(docker_client(), module.params["images"]), changed=False)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"images": {"type": "list", "elements": "str", "default": []}},
        supports_check_mode=True,
    )
    run_module(module, run, phase="image")


if __name__ == "__main__":
    main()
