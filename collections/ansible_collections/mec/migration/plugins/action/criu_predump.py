# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.mec.migration.plugins.plugin_utils.actions.followed import (
    FollowedAction,
    described_image,
    described_round,
)


class ActionModule(FollowedAction):
    """A line every other second while layers travel, and for each round."""

    module_name = "mec.migration.criu_predump"

    def describe(self, line: dict[str, Any]) -> str:
        return described_image(line) or described_round(line)
