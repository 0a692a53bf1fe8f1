# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.mec.migration.plugins.plugin_utils.actions.followed import FollowedAction, megabytes


class ActionModule(FollowedAction):
    """A line for each round while they run."""

    module_name = "mec.migration.criu_predump"

    def describe(self, line: dict[str, Any]) -> str:
        if "round" not in line:
            return ""
        rate = line["sent_bytes"] / max(line["seconds"], 1e-3)
        return (
            f"round {line['round']}: {line['pages_changed']} pages changed, {megabytes(line['sent_bytes'])} "
            f"sent in {line['seconds']:.2f} s ({megabytes(rate)}/s), {megabytes(line['left_bytes'])} left"
        )
