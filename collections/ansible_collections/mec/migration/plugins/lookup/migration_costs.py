# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: migration_costs
author: The mec.migration engineers (@mec-migration)
version_added: 1.0.0
short_description: What migrations cost so far
description:
  - Reads a store that M(mec.migration.migration_cost) wrote.
  - A line that is no record is passed over with a warning. A store that is not there is empty.
options:
  _terms:
    description: Path of the store.
    required: true
seealso:
  - module: mec.migration.migration_cost
"""

EXAMPLES = r"""
- name: Show what migrations cost
  ansible.builtin.debug:
    msg: "{{ lookup('mec.migration.migration_costs', 'reports/costs.jsonl').lines }}"
"""

RETURN = r"""
_raw:
  description:
    - For each store a dictionary. C(records) are all records, oldest first. C(pairs) has for each pair of
      hosts the count, medians and the median size of the predictions' errors. C(lines) is the same as text.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.base.plain import plain
from ..plugin_utils.prediction.cost_store import lines, read, summary

display = Display()


class LookupModule(LookupBase):
    """Reads each store."""

    def run(
        self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        found = []
        for term in terms:
            skipped: list[str] = []
            path = plain(term)
            try:
                records = read(path, skipped=skipped)
            except DecisionError as error:
                raise AnsibleLookupError(f"mec.migration.migration_costs: {error}") from None
            for sentence in skipped:
                display.warning(f"mec.migration.migration_costs: passed over {sentence}")
            found.append({"records": records, "pairs": summary(records), "lines": lines(records, path)})
        return found
