#!/usr/bin/python
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_trace
short_description: Send a migration as an OpenTelemetry trace
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Sends one trace, with a span for the migration and spans below it for its phases, for the rounds in which
    memory was copied and for the time that the service was frozen.
  - It goes by OTLP over HTTP to where the standard variables of the environment say, such as
    E(OTEL_EXPORTER_OTLP_ENDPOINT) and E(OTEL_EXPORTER_OTLP_HEADERS).
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
      - Each run sends a trace.
options:
  report:
    description: C(json) of what P(mec.migration.migration_report#filter) returned.
    type: dict
    required: true
  why:
    description: Why the migration failed, if it did.
    type: str
    default: ""
requirements:
  - opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http on the controller
seealso:
  - module: mec.migration.migration_metrics
"""

EXAMPLES = r"""
- name: Send the migration as a trace
  mec.migration.migration_trace:
    report: "{{ migrate_report.json }}"
"""

RETURN = r"""
trace_id:
  description: Identity of the trace, 32 hexadecimal digits; empty in check mode.
  returned: success
  type: str
"""
