# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: wrong_numbers
author: The mec.migration engineers (@mec-migration)
version_added: 1.1.0
short_description: Numbers of a migration that are out of their range
description:
  - An argument spec takes any number, NaN and below 0, too. This says which ones a migration cannot use,
    before anything is touched.
positional: _input
options:
  _input:
    description: The numbers, by the names of the options of role P(mec.migration.migrate#role).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what is wrong
  ansible.builtin.debug:
    msg: "{{ {'migrate_downtime_ms': -5} | mec.migration.wrong_numbers }}"
"""

RETURN = r"""
_value:
  description: A sentence for each number that is out of its range.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.base.ranges import wrong_numbers as _wrong_numbers

PREFIX = "migrate_"


def wrong_numbers(options: Mapping[str, Any]) -> list[str]:
    """A sentence for each of *options* that is out of its range."""
    try:
        return _wrong_numbers({name: float(value) for name, value in options.items()}, PREFIX)
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(f"mec.migration.wrong_numbers: {error}") from None


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"wrong_numbers": wrong_numbers}
