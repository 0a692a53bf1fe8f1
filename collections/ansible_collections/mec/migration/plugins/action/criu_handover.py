# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.mec.migration.plugins.plugin_utils.actions.followed import (
    FollowedAction,
    described_handover,
)


class ActionModule(FollowedAction):
    """A line when the service runs on the target."""

    module_name = "mec.migration.criu_handover"

    def describe(self, line: dict[str, Any]) -> str:
        return described_handover(line)
