# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds a lane to a host; its documentation is in the module of this name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ..plugin_utils.base.plain import plain

ARGUMENTS = {
    "host": {"required": True},
    "number": {"type": "int", "required": True},
    "group": {"required": True},
}
# What Ansible itself says of a host or a play; a lane has its own of them.
NOT_OWN = frozenset(
    {
        *constants.INTERNAL_STATIC_VARS,
        *("ansible_local", "ansible_play_name", "ansible_parent_role_names", "ansible_parent_role_paths"),
        *("environment", "omit", "vars"),
        # What add_host takes for itself.
        *("name", "hostname", "host", "group", "groupname", "groups"),
    }
)


class ActionModule(ActionBase):
    """Changes the inventory in memory, no connection is made."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        asked = plain(arguments)
        host, number = asked["host"], asked["number"]
        hostvars: Mapping[str, Any] = (task_vars or {}).get("hostvars", {})
        if host not in hostvars:
            raise AnsibleActionFail(f"mec.migration.migration_lane: {host!r} is no host of the inventory")
        name = f"{host}_lane_{number + 1}"
        own = {"ansible_host": host, **self._own(hostvars[host]), "mec_lane_of": host, "mec_lane": number}
        added = self._add(name, asked["group"], own, task_vars)
        return {**result, **added, "changed": False, "lane": name}

    def _add(
        self, name: str, group: str, variables: Mapping[str, Any], task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        """By Ansible's own action: how the inventory learns of a host differs from version to version."""
        task = self._task.copy()
        task.args = {**variables, "name": name, "groups": [group]}
        action = self._shared_loader_obj.action_loader.get(
            "ansible.builtin.add_host",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        return dict(action.run(task_vars=task_vars))

    def _own(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The host's variables as they stand; one that is not defined yet fails whoever needs it."""
        found = {}
        for key in variables:
            if key in NOT_OWN:
                continue
            try:
                found[str(key)] = variables[key]
            except AnsibleError:
                continue
        return found
