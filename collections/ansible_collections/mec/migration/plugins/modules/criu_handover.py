#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: criu_handover
short_description: Freeze a container, send what is left, wait for the target's word
version_added: 0.1.0
author: The mec.migration engineers (@mec-migration)
description:
  - One call on the source is the whole frozen window. It freezes the container, dumps what CRIU alone can
    dump, sends that and the last changed pages and files, and waits until the target says that the
    service runs there.
  - Until the end-of-images mark is sent any failure thaws the service at once. After it the service thaws
    only on proof that the target has no copy; with no proof to be had it stays frozen, and the error says
    so and what to do.
  - After success the container is still here, frozen, until O(state=committed) removes it.
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
    support: partial
    details: With O(state=handed_over) a second call fails, because the container is frozen.
options:
  container:
    description: Name of the container.
    type: str
    required: true
  state:
    description:
      - V(handed_over) moves the service.
      - V(committed) ends the frozen container; the target must have been verified.
      - V(rolled_back) thaws it; only on proof that the target has no copy.
    type: str
    choices: [handed_over, committed, rolled_back]
    default: handed_over
  peer:
    required: false
  move_binds:
    description: Destinations of bind mounts whose content moves, too; the same as for the rounds.
    type: list
    elements: str
    default: []
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
    peer: "{{ source_peer }}"

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
      C(files_ms), C(dump_ms), C(images_ms), C(restore_wait_ms), C(pages_scanned), C(pages_changed), and
      under C(target) what the target measured. C(started) is in seconds since the epoch on this host's
      clock. C(dump_note) says why CRIU had to walk through all memory, page by page; it is empty if it
      could pass over it.
  type: dict
  returned: O(state=handed_over)
rounds:
  description: The rounds right before the freeze, as M(mec.migration.criu_predump) reports them.
  type: list
  elements: dict
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
reason:
  description: Why something was, or would be, changed; empty if nothing was.
  type: str
  returned: O(state=committed) or O(state=rolled_back)
ended:
  description: When it was done, seconds since the epoch by the controller's clock.
  type: float
  returned: always
"""

import copy
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mec.migration.plugins.module_utils.base.paths import check_migration_id, state_dir
from ansible_collections.mec.migration.plugins.module_utils.base.stop_rule import StopRule
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
from ansible_collections.mec.migration.plugins.module_utils.source.endings import (
    commit_source,
    roll_back_source,
)
from ansible_collections.mec.migration.plugins.module_utils.source.handover import HandOver
from ansible_collections.mec.migration.plugins.module_utils.source.precopy import (
    PreCopy,
    as_fields,
    files_state,
)
from ansible_collections.mec.migration.plugins.module_utils.state.journal import SOURCE, Journal


def hand_over(params: dict[str, Any], progress: Progress) -> dict[str, Any]:
    service = Service(docker_client(), params["container"], params["move_binds"])
    tracker, why = dirty_tracking.choose(params["tracker"], service.cgroup)
    directory = state_dir(params["migration_id"])
    channel = connect_peer(params)
    memory = MemorySource(directory, tracker)
    memory.load()
    files = FileSync.load(files_state(directory), service.trees())
    files.prepare(channel)
    rounds = PreCopy(service, channel, memory, files, progress)
    rounds.load(directory)
    last = HandOver(
        service,
        channel,
        memory,
        files,
        directory,
        Journal(params["migration_id"], SOURCE),
        reconnect=lambda: connect_peer(params),
        answer_timeout_s=params["answer_timeout_s"],
    )
    last.prepare()
    window = last.run(before=lambda: rounds.run(StopRule(params["downtime_ms"], params["max_rounds"])))
    progress(phase="hand over", frozen_ms=round(window.frozen_ms, 1), sent_bytes=window.frozen_bytes)
    return {
        "changed": True,
        "window": window._asdict(),
        "rounds": as_fields(rounds.rounds),
        "stop_reason": rounds.stop_reason,
        "tracker": tracker.name,
        "tracker_reason": dirty_tracking.explain(tracker, why),
        "sent_bytes": channel.sent_bytes,
    }


def run(module: Any, progress: Progress) -> dict[str, Any]:
    params = module.params
    check_migration_id(params["migration_id"])
    if params["state"] == "handed_over":
        return {"changed": True} if module.check_mode else hand_over(params, progress)
    end = commit_source if params["state"] == "committed" else roll_back_source
    reason = end(docker_client(), params["migration_id"], params["container"], module.check_mode)
    return {"changed": bool(reason), "reason": reason}


def main() -> None:
    peer = copy.deepcopy(PEER_ARGUMENTS)
    peer["peer"]["required"] = False
    module = AnsibleModule(
        argument_spec={
            **peer,
            "container": {"type": "str", "required": True},
            "state": {
                "type": "str",
                "choices": ["handed_over", "committed", "rolled_back"],
                "default": "handed_over",
            },
            "move_binds": {"type": "list", "elements": "str", "default": []},
            "tracker": {"type": "str", "choices": list(dirty_tracking.NAMES), "default": "auto"},
            "downtime_ms": {"type": "float", "default": 30},
            "max_rounds": {"type": "int", "default": 10},
            "answer_timeout_s": {"type": "float", "default": 60},
        },
        required_if=[("state", "handed_over", ("peer",))],
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
