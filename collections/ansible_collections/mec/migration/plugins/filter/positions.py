# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: positions
author: The mec.migration engineers (@mec-migration)
version_added: 1.1.0
short_description: Positions of users from JSON, read strictly
description:
  - Reads the document of positions that C(docs/loop.md) describes, as the event source C(user_cells) does.
  - It refuses an object that has a name twice, of which P(ansible.builtin.from_json#filter) takes the last
    one, and numbers that are none. An error names the source. A byte order mark is passed over.
positional: _input
options:
  _input:
    description: The JSON.
    type: str
    required: true
  source:
    description: Where it comes from, for error messages.
    type: str
    default: positions
seealso:
  - module: mec.migration.migration_plan
"""

EXAMPLES = r"""
- name: Read where users are
  ansible.builtin.set_fact:
    positions: >-
      {{ lookup('ansible.builtin.file', 'users.json') | mec.migration.positions(source='users.json') }}
"""

RETURN = r"""
_value:
  description: The document, as M(mec.migration.migration_plan) takes it.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.base.plain import plain
from ..plugin_utils.inputs.strict_json import parsed


def positions(content: Any, source: str = "positions") -> Any:
    """The document of positions in *content*."""
    # Ansible loads all filters of a collection where it needs one of them, and this one takes a while.
    from ..plugin_utils.loop.planning import positions_of  # noqa: PLC0415

    try:
        document = parsed(plain(content)) if isinstance(content, str) else plain(content)
        positions_of(document)
    except (ValueError, DecisionError) as error:
        raise AnsibleFilterError(f"mec.migration.positions: {source}: {error}") from None
    return document


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"positions": positions}
