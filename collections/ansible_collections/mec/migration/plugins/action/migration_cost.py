# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Appends to the store of migration costs; its documentation is in the module of this name."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.decision.request import plain
from ..plugin_utils.prediction.cost_store import append, record_of

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "report": {"type": "dict", "required": True},
    "prediction": {"type": "dict", "default": {}},
}


class ActionModule(ActionBase):
    """Writes in this process, no connection is made."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        arguments = plain(arguments)
        try:
            record = record_of(arguments["report"], time.time(), arguments["prediction"])
            if not self._task.check_mode:
                append(arguments["path"], record)
        except DecisionError as error:
            raise AnsibleActionFail(f"mec.migration.migration_cost: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise AnsibleActionFail(
                f"mec.migration.migration_cost: report lacks or holds a wrong {error}; give json of the "
                "filter migration_report"
            ) from error
        return {**result, "changed": True, "record": record}
