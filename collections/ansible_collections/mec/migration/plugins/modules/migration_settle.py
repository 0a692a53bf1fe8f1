#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_settle
short_description: End one side of a migration that was left open
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Does on one host what role P(mec.migration.resolve#role) decided. Alone it proves nothing; use the role.
  - It goes by the migration's id, never by a container's name. The host looks again before it acts; if the
    journal is not in state O(seen) any more, nothing is done and the module fails.
requirements:
  - docker (Python)
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
  migration_id:
    description: Name of the migration.
    type: str
    required: true
  service:
    description: Name of the container, for the lock and for messages.
    type: str
    required: true
  action:
    description:
      - V(destroy) ends the target's copy, sees that nothing of it is left, and notes that.
      - V(finish) and V(start) keep the target's copy. It must be complete, or its agent must be there to wait
        for that. It gets its restart policy, and is started if it has ended.
      - V(release) lets the source's container run again, thawed or started, with its restart policy.
      - V(end) removes the source's container.
      - V(forget_source) and V(forget_target) remove what is left of a migration that is settled.
    type: str
    choices: [destroy, finish, start, release, end, forget_source, forget_target]
    required: true
  seen:
    description: State of this side's journal for which it was decided.
    type: str
    default: missing
  container_id:
    description: This side's container by what the other side says, where this one's journal does not tell.
    type: str
    default: ""
  by_word:
    description: The operator gives up what the target may have acknowledged since the hand-over.
    type: bool
    default: false
  why:
    description: Reason, for the journal.
    type: str
    default: resolved
seealso:
  - module: mec.migration.migration_state_info
"""

EXAMPLES = r"""
- name: The target was never allowed to start it
  mec.migration.migration_settle:
    migration_id: redis-42
    service: redis
    action: destroy
    seen: armed
"""

RETURN = r"""
reason:
  description: Why something was, or would be, changed; empty if nothing was.
  type: str
  returned: success
outdated:
  description: That the migration is not any more in the state O(seen), so nothing was done.
  type: bool
  returned: failure, if that is why
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.base.paths import check_migration_id
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.resolve import settle
from ansible_collections.mec.migration.plugins.module_utils.state.journal import SOURCE, TARGET

ACTIONS = {
    "destroy": settle.destroy,
    "finish": settle.keep,
    "start": settle.keep,
    "release": settle.release,
    "end": settle.end,
}
FORGET = {"forget_source": SOURCE, "forget_target": TARGET}


def run(module: Any, progress: Progress) -> dict[str, Any]:
    params = module.params
    order = settle.Order(
        check_migration_id(params["migration_id"]),
        params["service"],
        params["seen"],
        params["container_id"],
        params["by_word"],
        params["why"],
    )
    if params["action"] in FORGET:
        reason = settle.forget(order, FORGET[params["action"]], module.check_mode)
    else:
        reason = ACTIONS[params["action"]](docker_client(), order, module.check_mode)
    return {"changed": bool(reason), "reason": reason}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "migration_id": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "action": {"type": "str", "choices": [*ACTIONS, *FORGET], "required": True},
            "seen": {"type": "str", "default": "missing"},
            "container_id": {"type": "str", "default": ""},
            "by_word": {"type": "bool", "default": False},
            "why": {"type": "str", "default": "resolved"},
        },
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
