#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_timeline
short_description: Write down a run of migrations as a page and a record
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Writes one self-contained HTML page about a run, without scripts, which opens from a file - whether all
    went well, which service ran where and when, each move with its rounds and its frozen window to scale,
    the map with users, and what the run cost against never and always moving.
  - With O(run) also the record as JSON, beside the page. It follows C(plugin_utils/run_report.schema.json).
  - Runs on the controller as an action plugin. It touches no host.
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
  path:
    description: The page. Its directory is made if need be. The record is there, too, and ends in C(.json).
    type: path
    required: true
  run:
    description:
      - A run with C(run), its name, C(started), C(ended), C(policy), C(leave), C(check) and C(rounds).
      - Each of C(rounds) has C(round), C(started), C(ended), C(positions) as M(mec.migration.migration_plan)
        takes them, C(services) as it returns them, and C(moves).
      - Each of C(moves) has C(service), C(source), C(target), C(reason), C(started), C(ended), C(outcome),
        which is V(moved), V(failed) or V(skipped), C(why) where it did not move, and C(report), C(json) of
        what P(mec.migration.migration_report#filter) returned.
      - Times are in seconds since the epoch, or ISO 8601.
      - One of O(run) and O(migration) is needed.
    type: dict
  migration:
    description: One migration, C(json) of what P(mec.migration.migration_report#filter) returned.
    type: dict
  record:
    description: With O(migration), write that as JSON, too, beside the page.
    type: bool
    default: false
  why:
    description: Of an O(migration) that failed, what was said.
    type: str
    default: ""
  policy:
    description:
      - Name or path of the policy that decided, as for P(mec.migration.mdp_decision#lookup).
      - Without it there are neither map nor costs.
    type: str
    default: ""
  hosts:
    description: Inventory names of the hosts, in the order in which they are shown.
    type: list
    elements: str
    default: []
requirements:
  - numpy >= 1.26 on the controller
  - jsonschema >= 4.20 on the controller
seealso:
  - module: mec.migration.migration_plan
  - plugin: mec.migration.migration_report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: A page about one migration
  mec.migration.migration_timeline:
    path: reports/redis.html
    migration: "{{ migrate_report.json }}"

- name: A page about a run of several rounds
  mec.migration.migration_timeline:
    path: reports/run.html
    run: "{{ run }}"
    policy: site
    hosts: "{{ groups['edge_hosts'] }}"
"""

RETURN = r"""
files:
  description: Paths of the files, by V(html) and V(json).
  returned: success
  type: dict
verdict:
  description:
    - How it went. C(state) is V(well), V(failed), V(attention) where something was left out, or V(planned)
      where nothing was to be moved; C(sentence) says it for a person; the numbers behind it.
  returned: success
  type: dict
"""
