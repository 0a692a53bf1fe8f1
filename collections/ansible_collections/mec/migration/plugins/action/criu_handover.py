# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.mec.migration.plugins.plugin_utils.actions.followed import FollowedAction


class ActionModule(FollowedAction):
    """A line when the service runs on the target."""

    module_name = "mec.migration.criu_handover"

    def describe(self, line: dict[str, Any]) -> str:
        if "frozen_ms" not in line or line.get("phase") != "hand over":
            return ""
        return f"handed over: frozen for {line['frozen_ms']:.0f} ms"
