# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible_collections.mec.migration.plugins.plugin_utils.actions.followed import TimedAction, mover


class ActionModule(TimedAction):
    """Says who moves the service, and from where.

    Where a play's host delegates this to a target that cannot be reached, it fails, which can be rescued.
    Ansible would take the play's host for unreachable.
    """

    module_name = "mec.migration.migration_receiver"
    _supports_check_mode = True

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        if arguments.get("state", "present") == "present":
            arguments.setdefault("started_by", mover())
        try:
            return super().act(arguments, task_vars)
        except AnsibleConnectionFailure as error:
            target = self._task.delegate_to
            if not target:
                raise
            return {"failed": True, "msg": f"Target {target} cannot be reached: {error}"}
