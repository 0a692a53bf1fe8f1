# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Appends to the store of migration costs; its documentation is in the module of this name."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from ..plugin_utils.actions.reported import ReportAction
from ..plugin_utils.prediction.cost_store import append, record_of


class ActionModule(ReportAction):
    """Writes in this process."""

    module_name = "mec.migration.migration_cost"
    arguments: ClassVar[dict[str, Any]] = {
        "path": {"type": "path", "required": True},
        "report": {"type": "dict", "required": True},
        "prediction": {"type": "dict", "default": {}},
    }

    def act(self, asked: dict[str, Any]) -> dict[str, Any]:
        record = record_of(asked["report"], time.time(), asked["prediction"])
        if not self._task.check_mode:
            append(asked["path"], record)
        return {"record": record}
