# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums up a migration, shows it and writes it down; its documentation is in the module of this name."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from ansible.utils.display import Display

from ..plugin_utils.actions.reported import ReportAction
from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.prediction.cost_store import append, record_of
from ..plugin_utils.report.migration_report import build, build_failed, lines

display = Display()

# Of each migration that set_stats tells of.
TOLD = ("service", "source", "target", "migration_id", "total_seconds", "total_bytes", "frozen_ms")


class ActionModule(ReportAction):
    """One task for all that is done with a report: each costs a play some hundredths of a second."""

    module_name = "mec.migration.migration_report"
    wrong: ClassVar[str] = "results lack or hold a wrong {}; give what the role migrate registered"
    arguments: ClassVar[dict[str, Any]] = {
        "results": {"type": "dict", "required": True},
        "why": {"type": "str", "default": ""},
        "report_dir": {"type": "path", "default": ""},
        "costs_file": {"type": "path", "default": ""},
        "prediction": {"type": "dict", "default": {}},
    }

    def act(self, asked: dict[str, Any]) -> dict[str, Any]:
        failed = "failed_task" in asked["results"]
        report = build_failed(asked["results"]) if failed else build(asked["results"])
        said = [] if failed else lines(report)
        for line in said:
            display.display(f"    {line}")
        result: dict[str, Any] = {"json": report, "lines": said, "changed": False, "warnings": []}
        what = f"{report['service']} has {'not ' if failed else ''}moved, but"
        if asked["report_dir"]:
            self._try(result, f"{what} there is no page about it", lambda: self._write_page(report, asked))
        if failed:
            return result
        if asked["costs_file"]:
            what = f"{what} what it cost was not written down"
            self._try(result, what, lambda: self._append_cost(report, asked))
        # As set_stats does it, for what runs the play.
        data = {"mec_migrations": [{name: report[name] for name in TOLD}]}
        result["ansible_stats"] = {"data": data, "per_host": False, "aggregate": True}
        return result

    def _try(self, result: dict[str, Any], what: str, do: Callable[[], bool]) -> None:
        """What became of the service is known, and must not look otherwise because of a file."""
        try:
            result["changed"] = do() or result["changed"]
        except (DecisionError, OSError, KeyError, TypeError, ValueError) as error:
            result["warnings"].append(f"{what}: {error}")

    def _write_page(self, report: dict[str, Any], asked: dict[str, Any]) -> bool:
        # Only here: a play that writes no page shall not load what draws it.
        from ..plugin_utils.report.files import write_migration  # noqa: PLC0415

        path = Path(asked["report_dir"]) / f"{report['migration_id']}.html"
        moved, check_mode = "failed_task" not in report, self._task.check_mode
        return write_migration(report, path, record=moved, why=asked["why"], check_mode=check_mode)[0]

    def _append_cost(self, report: dict[str, Any], asked: dict[str, Any]) -> bool:
        record = record_of(report, time.time(), asked["prediction"])
        if not self._task.check_mode:
            append(asked["costs_file"], record)
        return True
