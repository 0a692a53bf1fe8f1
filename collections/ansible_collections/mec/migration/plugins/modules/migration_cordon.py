#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_cordon
short_description: Keep decisions from bringing services to a host
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - A cordoned host is no target for M(mec.migration.migration_plan), and so for the playbooks
    C(mec.migration.follow_users) and C(mec.migration.drain). Services that run there stay until something
    else moves them.
  - The role C(mec.migration.migrate) still moves a service there, as an operator's word is one.
  - It is kept in a file on the host and so outlives a reboot.
extends_documentation_fragment:
  - mec.migration.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  state:
    description: V(present) cordons the host, V(absent) lets it take services again.
    type: str
    choices: [present, absent]
    default: present
  reason:
    description: Why, for whoever wonders later. That of a host that is cordoned already stays.
    type: str
    default: ""
seealso:
  - module: mec.migration.migration_cost_info
  - module: mec.migration.migration_plan
"""

EXAMPLES = r"""
- name: Take no services during the maintenance
  mec.migration.migration_cordon:
    reason: new kernel

- name: Take services again
  mec.migration.migration_cordon:
    state: absent
"""

RETURN = r"""
cordoned:
  description: Whether the host is cordoned now.
  returned: success
  type: bool
reason:
  description: Why it is, or was.
  returned: success
  type: str
since:
  description: Since when it is, or was, in seconds since the epoch; 0 if it never was.
  returned: success
  type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.state.cordon import cordon, read_cordon, uncordon


def run(module: Any, progress: Progress) -> dict[str, Any]:
    wanted = module.params["state"] == "present"
    before = read_cordon()
    changed = wanted != (before is not None)
    if changed and not module.check_mode:
        if wanted:
            cordon(module.params["reason"])
        else:
            uncordon()
    now = read_cordon() or before
    return {
        "changed": changed,
        "cordoned": wanted,
        "reason": now.reason if now else module.params["reason"],
        "since": now.since if now else 0.0,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "reason": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
