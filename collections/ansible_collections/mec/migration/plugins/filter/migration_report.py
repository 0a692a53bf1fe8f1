# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: migration_report
short_description: The report of a migration from the results of its phases
version_added: 1.0.0
author: The mec.migration engineers (@mec-migration)
description:
  - Turns what the role P(mec.migration.migrate#role) registered into one record and into lines for a person.
  - With O(client) it adds what a client of the service saw.
  - Of a migration that failed, with C(failed_task) among the results, it says how far it came; then there
    are no lines.
  - Times are in seconds since the epoch on the controller's clock. Those that the source measured are
    brought to it.
options:
  _input:
    description: The registered results, or with O(client) a report that was made before.
    type: dict
    required: true
  client:
    description: Summary of a client with C(downtime_client_ms), C(acknowledged_writes) and C(lost_writes).
    type: dict
"""

EXAMPLES = r"""
- name: Show what a client saw
  ansible.builtin.debug:
    msg: "{{ (report | mec.migration.migration_report(client=seen)).lines }}"
"""

RETURN = r"""
_value:
  description: C(json), the record, and C(lines), the text.
  type: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.mec.migration.plugins.plugin_utils.report.migration_report import (
    build,
    build_failed,
    lines,
    with_client,
)


def migration_report(value: dict[str, Any], client: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        if "failed_task" in value:
            return {"json": build_failed(value), "lines": []}
        report = build(value) if client is None else with_client(value, client)
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"migration_report: the results lack or hold a wrong {error}") from None
    return {"json": report, "lines": lines(report)}


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"migration_report": migration_report}
