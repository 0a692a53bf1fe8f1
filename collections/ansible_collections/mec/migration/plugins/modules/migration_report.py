#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_report
short_description: Sum up a migration, show it and write it down
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Makes the report of a migration as P(mec.migration.migration_report#filter) does, shows it to whoever runs
    the play, and tells the main figures to what runs the play as M(ansible.builtin.set_stats) does, under
    C(mec_migrations).
  - With O(report_dir) it writes a page and a record, as M(mec.migration.migration_timeline) does, and with
    O(costs_file) what the migration cost, as M(mec.migration.migration_cost) does. What cannot be written is
    a warning, since the service has moved all the same.
  - Runs on the controller as an action plugin. It touches no host.
extends_documentation_fragment:
  - mec.migration.attributes
attributes:
  check_mode:
    support: full
    details: The report is shown, and nothing is written.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each run appends a record to O(costs_file).
options:
  results:
    description:
      - What the role P(mec.migration.migrate#role) registered, as P(mec.migration.migration_report#filter)
        takes it.
      - With C(failed_task) among them, of a migration that failed, only a page is written.
    type: dict
    required: true
  why:
    description: Of a migration that failed, what was said.
    type: str
    default: ""
  report_dir:
    description: Directory for page and record, which the migration's id names. It is made if need be.
    type: path
    default: ""
  costs_file:
    description: The store of what migrations cost. It is made if need be.
    type: path
    default: ""
  prediction:
    description: What M(mec.migration.migration_cost_info) had predicted for this move; for O(costs_file).
    type: dict
    default: {}
requirements:
  - jsonschema >= 4.20 on the controller
seealso:
  - module: mec.migration.migration_timeline
  - module: mec.migration.migration_cost
  - plugin: mec.migration.migration_report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Sum up
  mec.migration.migration_report:
    results: "{{ migrate_facts }}"
    report_dir: reports
    costs_file: reports/costs.jsonl
  register: migrate_report
"""

RETURN = r"""
json:
  description: The report as a record.
  returned: success
  type: dict
lines:
  description: The same for people; none of a migration that failed.
  returned: success
  type: list
  elements: str
"""
