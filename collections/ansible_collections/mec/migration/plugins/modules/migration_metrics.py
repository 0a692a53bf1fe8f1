#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_metrics
short_description: Count a migration in a file of metrics for Prometheus
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Adds a migration to a file in Prometheus' text format on the controller, for the textfile collector of
    node exporter. Totals go on from run to run, and gauges tell of the last migration of a service between
    two hosts.
  - The file is replaced as a whole, so that no reader sees half of it. Plays that run at the same time may
    write to the same file.
  - Runs on the controller as an action plugin. It touches no host.
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
      - Each run counts.
options:
  path:
    description: The file, whose name must end in C(.prom) for the collector. It is made if need be.
    type: path
    required: true
  service:
    description: Name of the service.
    type: str
    required: true
  source:
    description: Host that it was on.
    type: str
    required: true
  target:
    description: Host that it was to move to.
    type: str
    required: true
  outcome:
    description: V(refused) is a migration that was not begun.
    type: str
    choices: [moved, failed, refused]
    default: moved
  report:
    description: C(json) of what P(mec.migration.migration_report#filter) returned, if there is one.
    type: dict
    default: {}
seealso:
  - module: mec.migration.migration_trace
"""

EXAMPLES = r"""
- name: Count the migration
  mec.migration.migration_metrics:
    path: /var/lib/prometheus/node-exporter/mec.prom
    service: redis
    source: edge-a
    target: edge-b
    report: "{{ migrate_report.json }}"
"""

RETURN = r"""
"""
