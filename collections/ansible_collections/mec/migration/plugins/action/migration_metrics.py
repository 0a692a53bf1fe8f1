# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds a migration to a file of metrics; its documentation is in the module of this name."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

from ..plugin_utils.actions.reported import ReportAction
from ..plugin_utils.report.metrics import OUTCOMES, Ended, record


class ActionModule(ReportAction):
    """Writes in this process."""

    module_name = "mec.migration.migration_metrics"
    arguments: ClassVar[dict[str, Any]] = {
        "path": {"type": "path", "required": True},
        "service": {"required": True},
        "source": {"required": True},
        "target": {"required": True},
        "outcome": {"choices": list(OUTCOMES), "default": OUTCOMES[0]},
        "report": {"type": "dict", "default": {}},
    }

    def act(self, asked: dict[str, Any]) -> dict[str, Any]:
        report = asked["report"]
        ends = (asked["service"], asked["source"], asked["target"], asked["outcome"])
        one = Ended(*ends, float(report.get("ended", time.time())), report)
        if not self._task.check_mode:
            record(Path(asked["path"]), one)
        return {}
