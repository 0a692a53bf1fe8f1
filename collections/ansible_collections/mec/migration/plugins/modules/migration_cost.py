#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_cost
short_description: Write down what a migration cost
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Appends a record of a migration to a store on the controller, a file of JSON lines that decisions and
    predictions learn from.
  - Runs on the controller as an action plugin. It touches no host. Plays that run at the same time may
    write to the same store.
extends_documentation_fragment:
  - mec.migration.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each run appends a record.
options:
  path:
    description: The store. It is made if need be.
    type: path
    required: true
  report:
    description: C(json) of what P(mec.migration.migration_report#filter) returned.
    type: dict
    required: true
  prediction:
    description:
      - What M(mec.migration.migration_cost_info) had predicted for this move.
      - Its errors are recorded, too.
    type: dict
    default: {}
seealso:
  - plugin: mec.migration.migration_costs
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Write down what the migration cost
  mec.migration.migration_cost:
    path: reports/costs.jsonl
    report: "{{ migrate_report.json }}"
"""

RETURN = r"""
record:
  description: The record, as plugins/plugin_utils/migration_costs.schema.json describes it.
  returned: success
  type: dict
"""
