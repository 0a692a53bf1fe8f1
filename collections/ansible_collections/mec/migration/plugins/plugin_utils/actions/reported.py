# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions share that are given the report of a migration and keep, count or send it."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..base.errors import DecisionError
from ..base.plain import plain


class ReportAction(ActionBase):
    """Works in this process, no connection to a host is made. Subclasses say what to do."""

    _requires_connection = False
    _supports_check_mode = True
    module_name = ""
    arguments: ClassVar[dict[str, Any]] = {}
    # What is said of a report, or of what one is made from, that is none.
    wrong: ClassVar[str] = "report lacks or holds a wrong {}; give json of the filter migration_report"

    def act(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do it, unless in check mode; returns what the result has beside ``changed``.

        :raises DecisionError: it cannot be done.
        :raises KeyError, TypeError, ValueError: the report is none.
        """
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(argument_spec=self.arguments)
        asked = plain(arguments)
        try:
            return {**result, "changed": True, **self.act(asked)}
        except DecisionError as error:
            raise AnsibleActionFail(f"{self.module_name}: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise AnsibleActionFail(f"{self.module_name}: {self.wrong.format(error)}") from None
