# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a migration as a trace; its documentation is in the module of this name."""

from __future__ import annotations

from typing import Any, ClassVar

from ..plugin_utils.actions.reported import ReportAction
from ..plugin_utils.report.trace import export, span_of


class ActionModule(ReportAction):
    """Sends from this process."""

    module_name = "mec.migration.migration_trace"
    arguments: ClassVar[dict[str, Any]] = {
        "report": {"type": "dict", "required": True},
        "why": {"default": ""},
    }

    def act(self, asked: dict[str, Any]) -> dict[str, Any]:
        span = span_of(asked["report"], asked["why"])
        return {"trace_id": "" if self._task.check_mode else export(span)}
