#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_lock
short_description: Keep others from moving a service at the same time
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Takes, renews or gives back the lock of a service on a host. Take it on the source and on the target of
    a move.
  - Another owner's lock is no failure; look at RV(held).
extends_documentation_fragment:
  - mec.migration.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - A lock that is taken again by its owner is renewed.
options:
  service:
    description: Name of the service.
    type: str
    required: true
  owner:
    description: Who takes it. Each run needs a name of its own.
    type: str
    required: true
  state:
    description: V(present) takes or renews it, V(absent) gives it back; that of another owner stays.
    type: str
    choices: [present, absent]
    default: present
  expiry_s:
    description: After so many seconds others may take it, by the clock of the host.
    type: float
    default: 900
seealso:
  - module: mec.migration.migration_plan
"""

EXAMPLES = r"""
- name: Take the lock
  mec.migration.migration_lock:
    service: redis
    owner: nightly
  register: lock

- name: Leave it to the other one
  ansible.builtin.debug:
    msg: "{{ lock.owner }} moves redis already"
  when: not lock.held
"""

RETURN = r"""
held:
  description: Whether O(owner) has the lock now.
  returned: success
  type: bool
owner:
  description: Who has it now, empty for nobody.
  returned: success
  type: str
expires_in_s:
  description: When it expires.
  returned: success
  type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.state.service_lock import ServiceLock


def run(module: Any, progress: Progress) -> dict[str, Any]:
    params = module.params
    lock = ServiceLock(params["service"])
    if params["state"] == "absent":
        changed = lock.release(params["owner"], module.check_mode)
        holder = lock.holder() if not changed else None
    else:
        holder = lock.take(params["owner"], params["expiry_s"], module.check_mode)
        changed = holder.owner == params["owner"]
    return {
        "changed": changed,
        "held": holder is not None and holder.owner == params["owner"],
        "owner": holder.owner if holder else "",
        "expires_in_s": round(holder.expires_in_s, 1) if holder else 0.0,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "owner": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "expiry_s": {"type": "float", "default": 900},
        },
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
