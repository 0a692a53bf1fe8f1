# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.mec.migration.plugins.plugin_utils.actions.followed import TimedAction, mover


class ActionModule(TimedAction):
    """Says who moves the service, and from where."""

    module_name = "mec.migration.migration"
    _supports_check_mode = True

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        arguments.setdefault("started_by", mover())
        return super().act(arguments, task_vars)
