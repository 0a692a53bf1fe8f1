# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: trace_positions
author: The mec.migration engineers (@mec-migration)
version_added: 1.0.0
short_description: Where users are at a moment of a recorded trace
description:
  - Replays recorded movement. Gives the cell of each user at a moment, the direction of the last movement and
    the slots spent in the cell, in the form that M(mec.migration.migration_plan) takes.
  - A user who was not seen is not there.
options:
  _terms:
    description:
      - CSV files with the columns C(user), C(time) (seconds, or ISO 8601), and C(cell) or C(lat) and C(lon).
        Other columns are passed over.
      - A row that cannot be read is an error that names the line. What can be read and is probably a mistake
        is a warning, as where nobody is there for most of the trace because times are in milliseconds.
      - In place of C(time) there may be C(slot), a whole number.
      - Also C(.npz) files with an array C(cell) (slots, users), 1-based places in the cell table of the
        policy, 0 for a user who is not there. Users are named by their columns there, from V(0).
    required: true
  at:
    description: The moment, in seconds since the earliest row of the trace.
    type: float
    default: 0
  users:
    description: By the name of each user its name in the trace. If it is empty all users by the names there.
    type: dict
    default: {}
  policy:
    description: The policy whose map has the cells, as for P(mec.migration.mdp_decision#lookup).
    type: str
    default: default
  policy_path:
    description: As for P(mec.migration.mdp_decision#lookup).
    type: list
    elements: path
    default: []
    vars:
      - name: mec_policy_path
  data_dir:
    description: As for P(mec.migration.mdp_decision#lookup).
    type: path
    vars:
      - name: mec_data_dir
  slot_seconds:
    description: Length of a slot of the trace, where it counts slots.
    type: float
    default: 60
  gap_seconds:
    description: How long a user is taken to be where they were seen last, where the trace has times.
    type: float
    default: 300
  route_slots:
    description:
      - For how many slots of the policy to give each user's C(route), as a navigation system would know it.
      - The document then has C(now), from which routes count.
    type: int
    default: 0
requirements:
  - numpy >= 1.26 on the controller
seealso:
  - module: mec.migration.migration_plan
"""

EXAMPLES = r"""
- name: Where anna was after ten minutes
  ansible.builtin.debug:
    msg: "{{ lookup('mec.migration.trace_positions', 'taxis.csv', at=600, users={'anna': '17'}) }}"
"""

RETURN = r"""
_raw:
  description:
    - For each trace a document of positions with C(format), C(time) and C(users).
    - Each user has C(cell), C(dwell_slots), and C(heading) where there was a movement.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.base.plain import plain
from ..plugin_utils.inputs.policy import check, policy_for
from ..plugin_utils.loop.replay import read_replay
from ..plugin_utils.mdp.model import build_map


class LookupModule(LookupBase):
    """Reads each trace and looks where its users are."""

    def run(
        self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        options = plain(self.get_options())
        playbook = plain((variables or {}).get("playbook_dir"))
        users = {str(name): str(traced) for name, traced in options["users"].items()}
        found: list[dict[str, Any]] = []
        said: list[str] = []
        try:
            policy = check(
                policy_for(options["policy"], playbook, options["policy_path"], options["data_dir"])
            )
            slot_s = float(policy.document.get("slot_seconds", 60))
            for term in terms:
                replay = read_replay(
                    self.find_file_in_search_path(variables, "files", plain(term)) or plain(term),
                    build_map(policy, said),
                    slot_s=options["slot_seconds"],
                    dwell_slot_s=slot_s,
                    gap_s=options["gap_seconds"],
                    users=set(users.values()) or None,
                    said=said,
                )
                document = replay.positions(options["at"], users, options["route_slots"])
                if not document["users"]:
                    said.append(replay.nobody_at(options["at"]))
                found.append(document)
        except DecisionError as error:
            raise AnsibleLookupError(f"mec.migration.trace_positions: {error}") from None
        for sentence in said:
            Display().warning(f"mec.migration.trace_positions: {sentence}")
        return found
