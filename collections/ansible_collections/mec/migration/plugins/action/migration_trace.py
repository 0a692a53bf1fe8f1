# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a migration as a trace; its documentation is in the module of this name."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.decision.request import plain
from ..plugin_utils.report.trace import export, span_of

ARGUMENTS = {"report": {"type": "dict", "required": True}, "why": {"default": ""}}


class ActionModule(ActionBase):
    """Sends from this process, no connection to a host is made."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        asked = plain(arguments)
        try:
            span = span_of(asked["report"], asked["why"])
            trace_id = "" if self._task.check_mode else export(span)
        except DecisionError as error:
            raise AnsibleActionFail(f"mec.migration.migration_trace: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise AnsibleActionFail(
                f"mec.migration.migration_trace: report lacks or holds a wrong {error}; give json of the "
                "filter migration_report"
            ) from error
        return {**result, "changed": True, "trace_id": trace_id}
