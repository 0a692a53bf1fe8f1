# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds a migration to a file of metrics; its documentation is in the module of this name."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.decision.request import plain
from ..plugin_utils.report.metrics import OUTCOMES, Ended, record

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "service": {"required": True},
    "source": {"required": True},
    "target": {"required": True},
    "outcome": {"choices": list(OUTCOMES), "default": OUTCOMES[0]},
    "report": {"type": "dict", "default": {}},
}


class ActionModule(ActionBase):
    """Writes in this process, no connection is made."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        asked = plain(arguments)
        report = asked["report"]
        try:
            ends = (asked["service"], asked["source"], asked["target"], asked["outcome"])
            one = Ended(*ends, float(report.get("ended", time.time())), report)
            if not self._task.check_mode:
                record(Path(asked["path"]), one)
        except DecisionError as error:
            raise AnsibleActionFail(f"mec.migration.migration_metrics: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise AnsibleActionFail(
                f"mec.migration.migration_metrics: report lacks or holds a wrong {error}; give json of the "
                "filter migration_report"
            ) from error
        return {**result, "changed": True}
