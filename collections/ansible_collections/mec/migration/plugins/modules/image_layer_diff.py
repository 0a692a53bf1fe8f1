#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_layer_diff
short_description: Compare an image with the layers that another host holds
version_added: 1.0.0
description:
  - Says which layers of an image, as M(mec.migration.image_layers_info) showed it on one host, are missing
    on another.
  - Asks no host; it can run on the controller.
author:
  - The mec.migration engineers (@mec-migration)
extends_documentation_fragment:
  - mec.migration.attributes
  - mec.migration.attributes.info_module
options:
  image:
    description: One of the C(images) of the source.
    type: dict
    required: true
  target:
    description:
      - The result of M(mec.migration.image_layers_info) on the target.
      - Its C(diff_ids) and C(images) are used.
    type: dict
    required: true
seealso:
  - module: mec.migration.image_layers_info
  - module: mec.migration.image_layer_sync
"""

EXAMPLES = r"""
- name: What would a migration of this image move?
  mec.migration.image_layer_diff:
    image: "{{ on_source.images[0] }}"
    target: "{{ on_target }}"
  register: difference
  delegate_to: localhost

- name: Say so
  ansible.builtin.debug:
    msg: "{{ difference.missing_bytes }} bytes in {{ difference.missing_layers | length }} layers"
"""

RETURN = r"""
missing_layers:
  description: Layers that the target lacks, each diffID once, bottom first.
  returned: success
  type: list
  elements: dict
present_layers:
  description: Layers that the target has.
  returned: success
  type: list
  elements: dict
missing_bytes:
  description: Bytes of the files in the missing layers.
  returned: success
  type: int
missing_references:
  description: Names that the image does not have among the target's C(images).
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.base.errors import PreflightError
from ansible_collections.mec.migration.plugins.module_utils.image.layers import layer_diff
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module


def run(module: Any, progress: Progress) -> dict[str, Any]:
    image, target = module.params["image"], module.params["target"]
    try:
        references = {
            reference: held["id"] for held in target.get("images", []) for reference in held["references"]
        }
        return dict(layer_diff(image, target["diff_ids"], references), changed=False)
    except (KeyError, TypeError) as error:
        raise PreflightError(
            f"image and target must be results of image_layers_info; {error} is missing there"
        ) from error


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "dict", "required": True},
            "target": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, run, phase="image")


if __name__ == "__main__":
    main()
