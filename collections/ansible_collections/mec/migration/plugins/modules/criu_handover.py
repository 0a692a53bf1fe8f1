#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: criu_handover
short_description: Freeze a container, send what is left, wait for the target's word
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - One call on the source is the whole frozen window. It freezes the container, dumps what CRIU alone can
    dump, sends that and the last changed pages and files, and waits until the target says that the
    service runs there.
  - Until the end-of-images mark is sent any failure thaws the service at once. After it the service thaws
    only on proof that the target has no copy; with no proof to be had it stays frozen, and the error says
    so and what to do.
  - After success the container is still here, frozen, until O(state=committed) or O(commit) removes it.
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
    support: partial
    details: With O(state=handed_over) a second call fails, because the container is frozen.
options:
  state:
    description:
      - V(handed_over) moves the service.
      - V(committed) ends the frozen container, once the target has verified that the service runs there.
      - V(rolled_back) thaws it; only on proof that the target has no copy.
      - The last two touch the container of the migration's journal only; O(container) is for messages.
    type: str
    choices: [handed_over, committed, rolled_back]
    default: handed_over
  tracker:
    description: As for M(mec.migration.criu_predump).
    type: str
    choices: [auto, compare, soft-dirty, uffd]
    default: auto
  downtime_ms:
    description: Rounds are made before the freeze until what is left can be looked at and sent in this time.
    type: float
    default: 30
  max_rounds:
    description: At most so many rounds are made right before the freeze.
    type: int
    default: 10
  answer_timeout_s:
    description: How long the target may take to say that the service runs.
    type: float
    default: 60
  commit:
    description: With O(state=handed_over), go on to O(state=committed) at once.
    type: bool
    default: false
  health_timeout_s:
    description: How long the container's own health check may take on the target before the commit.
    type: float
    default: 30
seealso:
  - module: mec.migration.criu_predump
  - module: mec.migration.criu_restore
  - module: mec.migration.migration_journal_info
"""

EXAMPLES = r"""
- name: Hand over
  mec.migration.criu_handover:
    migration_id: redis-42
    container: redis

- name: The target was verified, so end it here
  mec.migration.criu_handover:
    migration_id: redis-42
    container: redis
    state: committed
"""

RETURN = r"""
window:
  description:
    - The frozen window by its parts, C(frozen_ms), C(frozen_bytes), C(freeze_ms), C(memory_ms),
      C(files_ms), C(dump_ms), C(images_ms), C(restore_wait_ms), C(pages_scanned), C(pages_changed),
      C(left_bytes) (of memory, which the target fetches once the service runs there, see O(postcopy)), and
      under C(target) what the target measured. C(started) is in seconds since the epoch on this host's
      clock. C(dump_note) says why CRIU had to walk through all memory, page by page; it is empty if it
      could pass over it. C(files_note) says why large files were read whole where something in them had
      changed; it is empty if only what had changed was read. C(unread) names what the service had not read
      when it was frozen and does not get on the target (datagrams of UDP, events of inotify and fanotify),
      and sealed mappings (mseal), which are not any more. Each is a warning, too.
  type: dict
  returned: O(state=handed_over)
rounds:
  description: The rounds right before the freeze, as M(mec.migration.criu_predump) reports them.
  type: list
  elements: dict
  returned: O(state=handed_over)
cpu_percent:
  description: As M(mec.migration.criu_predump) returns it.
  type: float
  returned: O(state=handed_over)
throttle_obstacle:
  description: Why the service could not be slowed down; empty if it could, or need not be.
  type: str
  returned: O(state=handed_over)
stop_reason:
  description: Why it was time to freeze.
  type: str
  returned: O(state=handed_over)
tracker:
  description: The tracker that was used.
  type: str
  returned: O(state=handed_over)
tracker_reason:
  description: Why it was chosen, and which processes it could not track.
  type: str
  returned: O(state=handed_over)
sent_bytes:
  description: All that this call put on the wire.
  type: int
  returned: O(state=handed_over)
phases:
  description: As M(mec.migration.criu_predump) returns it.
  type: list
  elements: dict
  returned: O(state=handed_over)
target:
  description:
    - What the target said when it had verified the service; C(container_id), C(health), C(on_handover) (with
      C(ms) and C(error); empty without such a program), C(late_sent_bytes) (of post-copy, on the wire) and
      figures.
    - C(how_it_ended) says how the service ended on the target before that, and what was done by its restart
      policy; empty if it did not. It is a warning, too.
    - C(meanwhile) says what somebody did to the frozen container on the source (C(docker stop), C(kill),
      C(rm), C(restart)), which came too late for the service, and what was changed of it right before or then
      (C(docker update), C(rename), C(pause), C(network connect)); empty if nobody did. It is a warning, too.
    - C(not_told) says why the target could not be told that the source is settled; it keeps the migration's
      journal then, until the playbook C(mec.migration.resolve) is run. It is a warning, too.
    - C(not_put_back) names settings of processes and sockets that the target could not set again. Each is
      a warning, too.
  type: dict
  returned: when it was committed by the source's agent
reason:
  description: Why something was, or would be, changed; empty if nothing was.
  type: str
  returned: O(state=committed) or O(state=rolled_back)
ended:
  description: When it was done, seconds since the epoch by the controller's clock.
  type: float
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.base.paths import check_migration_id
from ansible_collections.mec.migration.plugins.module_utils.docker.client import docker_client
from ansible_collections.mec.migration.plugins.module_utils.module.agents import (
    SOURCE_ARGUMENTS,
    ask_source,
    source_status,
    start_source,
)
from ansible_collections.mec.migration.plugins.module_utils.module.base import Progress, run_module
from ansible_collections.mec.migration.plugins.module_utils.module.steps import (
    ROUNDS_ARGUMENTS,
    hand_over,
    warnings,
)
from ansible_collections.mec.migration.plugins.module_utils.source.endings import (
    alone,
    commit_source,
    roll_back_source,
)


def run(module: Any, progress: Progress) -> dict[str, Any]:
    params = module.params
    migration_id = check_migration_id(params["migration_id"])
    if params["state"] == "handed_over":
        if module.check_mode:
            return {"changed": True}
        return dict(hand_over(params, progress), changed=True)
    if source_status(migration_id) is not None:
        if module.check_mode:
            return {"changed": True, "reason": "an agent holds the migration open"}
        if params["state"] == "committed":
            result = ask_source(params, "commit", progress, health_timeout_s=params["health_timeout_s"])
            reason = "the target runs the service and needs the source no more"
            return dict(result, changed=True, reason=reason, **warnings(result))
        result = ask_source(params, "cancel", progress, why="it was asked to roll back")
        return dict(result, changed=bool(result["cancelled"]), reason="the migration was given up")
    container, check_mode = params["container"], module.check_mode
    told: dict[str, list[str]] = {}
    with alone(migration_id):
        if params["state"] == "rolled_back":
            reason = roll_back_source(docker_client(), migration_id, container, check_mode)
        else:
            reason, meanwhile = commit_source(docker_client(), migration_id, container, check_mode)
            told = warnings({"target": {"meanwhile": meanwhile}})
    return {"changed": bool(reason), "reason": reason, **told}


def prepare(module: Any) -> None:
    if module.params["state"] == "handed_over":
        start_source(module)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SOURCE_ARGUMENTS,
            **ROUNDS_ARGUMENTS,
            "state": {
                "type": "str",
                "choices": ["handed_over", "committed", "rolled_back"],
                "default": "handed_over",
            },
            "answer_timeout_s": {"type": "float", "default": 60},
            "commit": {"type": "bool", "default": False},
            "health_timeout_s": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    run_module(module, run, prepare, phase="handover")


if __name__ == "__main__":
    main()
