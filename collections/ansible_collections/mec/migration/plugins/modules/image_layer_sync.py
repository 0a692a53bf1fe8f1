#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_layer_sync
short_description: Send an image to another host, without the layers that it has
version_added: 1.0.0
description:
  - Runs on the source. One round trip asks the receiver on the target which layers it holds; the missing ones
    go straight there, are verified by their digests, and only then loaded by Docker.
  - Of a missing layer only the files travel that no layer on the target contains, and of a large file that is
    there with another content only the chunks that differ, where O(reuse=true).
  - An image that is there under the same name already costs that one round trip.
author:
  - The mec.migration engineers (@mec-migration)
requirements:
  - docker (Python)
attributes:
  check_mode:
    description: Compares, and says what would be sent.
    support: full
  diff_mode:
    description: Shows layers and bytes before and after.
    support: full
  idempotent:
    description: Sends nothing when the image is there.
    support: full
extends_documentation_fragment:
  - mec.migration.attributes
  - mec.migration.attributes.migration_group
  - mec.migration.peer
options:
  image:
    description:
      - The image, by reference, by Docker's ID, or by the digest of its configuration.
      - By reference, that reference arrives; by ID, all names of the image do.
    type: str
    required: true
  reuse:
    description: Whether to look for files of a missing layer in the layers that the target holds.
    type: bool
    default: true
  timeout_s:
    description: Seconds to wait for an answer of the target, which may have to load large layers.
    type: float
    default: 900
seealso:
  - module: mec.migration.image_layers_info
  - module: mec.migration.image_layer_diff
"""

EXAMPLES = r"""
- name: Send the service's image to the target
  mec.migration.image_layer_sync:
    migration_id: redis-42
    image: redis:7
    peer:
      address: 10.77.0.12
      port: "{{ receiver.port }}"
      certificate: "{{ migration_keys.source.certificate }}"
      peer_certificate: "{{ migration_keys.target.certificate }}"
    key: "{{ migration_keys.source.key }}"
"""

RETURN = r"""
diff:
  description: Layers and bytes that the target has before, and that travel.
  returned: success
  type: dict
reason:
  description: Why the image is sent; empty where it is there already.
  returned: success
  type: str
  sample: "sha256:1f2b is not on the target: 1 of 5 layers are missing, 1048576 bytes"
image_info:
  description: The image with its layers, as M(mec.migration.image_layers_info) shows it.
  returned: success
  type: dict
layers_missing:
  description: DiffIDs of the layers that the target lacks.
  returned: success
  type: list
  elements: str
layers_present:
  description: DiffIDs of the layers that it has.
  returned: success
  type: list
  elements: str
layer_bytes:
  description: Bytes of the missing layers' tars; in check mode, of the files in them.
  returned: success
  type: int
sent_bytes:
  description: Bytes on the wire.
  returned: success
  type: int
reused_bytes:
  description: Bytes of the missing layers that the target took out of layers it held.
  returned: success
  type: int
exact:
  description:
    - Whether the image keeps its manifest, and with it Docker's ID and RepoDigests, on the target.
    - It does between two image stores of containerd where that costs no more bytes.
  returned: success
  type: bool
exact_reason:
  description: Why it gets a manifest of its own there; empty if it does not.
  returned: success
  type: str
ended:
  description: When it was done, seconds since the epoch by the controller's clock.
  type: float
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.image.layers import shown_difference
from ansible_collections.mec.migration.plugins.module_utils.image.sync import sync_image
from ansible_collections.mec.migration.plugins.module_utils.module.agents import (
    PEER_ARGUMENTS,
    ask_source,
    connect_peer,
    source_status,
)
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module


def run(module: Any, progress: Progress) -> dict[str, Any]:
    params = module.params
    if source_status(params["migration_id"]) is not None:
        fields = {name: params[name] for name in ("image", "reuse", "timeout_s")}
        result = ask_source(params, "image", progress, check_mode=module.check_mode, **fields)
    else:
        channel = connect_peer(params)
        # The answer after the last layer takes Docker as long as it takes to unpack them all.
        channel.set_timeout(params["timeout_s"])
        result = sync_image(
            docker_client(params["timeout_s"]),
            channel,
            params["image"],
            check_mode=module.check_mode,
            reuse=params["reuse"],
            progress=lambda line: progress(**line),
        )
        channel.close()
    return dict(result, diff=shown_difference(result))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **PEER_ARGUMENTS,
            "image": {"type": "str", "required": True},
            "reuse": {"type": "bool", "default": True},
            "timeout_s": {"type": "float", "default": 900},
        },
        supports_check_mode=True,
    )
    run_module(module, run, phase="image")


if __name__ == "__main__":
    main()
