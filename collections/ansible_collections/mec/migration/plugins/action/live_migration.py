# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.mec.migration.plugins.plugin_utils.actions.followed import (
    FollowedAction,
    described_handover,
    described_image,
    described_round,
    mover,
)


class ActionModule(FollowedAction):
    """A line every other second while layers travel, for each round, and when the service runs there."""

    module_name = "mec.migration.live_migration"
    _supports_check_mode = True

    def describe(self, line: dict[str, Any]) -> str:
        return described_image(line) or described_round(line) or described_handover(line)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        # The report takes each as a step of its own.
        for step in ("precopy", "handover"):
            if result.get(step):
                result[step] = dict(result[step], begun=result["begun"], ended=result["ended"])
        return result

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        arguments.setdefault("started_by", mover())
        return super().act(arguments, task_vars)
