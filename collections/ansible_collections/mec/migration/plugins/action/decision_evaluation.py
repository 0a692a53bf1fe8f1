# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs an evaluation of strategies on the controller; its documentation is in the module of this name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.decision.request import plain
from ..plugin_utils.inputs.policy import check, locate_policy, read_policy

ARGUMENTS = {
    "kind": {"choices": ["trace", "random_walk", "figure_6"], "default": "random_walk"},
    "policy": {"default": "default"},
    "policy_path": {"type": "list", "elements": "path", "default": []},
    "data_dir": {"type": "path"},
    "trace": {"type": "path"},
    "output_dir": {"type": "path", "required": True},
    "hosts": {"type": "int"},
    "capacity": {"type": "int"},
    "strategies": {"type": "list", "elements": "str", "default": []},
    "known_slots": {"type": "list", "elements": "int", "default": []},
    "wrong_routes": {"type": "float", "default": 0.0},
    "users": {"type": "int", "default": 200},
    "slots": {"type": "int", "default": 300},
    "runs": {"type": "int", "default": 50},
    "seed": {"type": "int", "default": 1},
}


class ActionModule(ActionBase):
    """Evaluates in this process, no connection is made."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the report and return what it says."""
        result = super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        arguments = plain(arguments)
        if self._task.check_mode:
            return {**result, "changed": False, "skipped": True}
        try:
            return {**result, "changed": True, **self.evaluate(arguments, task_vars or {})}
        except DecisionError as error:
            raise AnsibleActionFail(f"mec.migration.decision_evaluation: {error}") from error

    def evaluate(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The files, settings and rows; raises :class:`DecisionError`."""
        # Small matrices: more threads of BLAS than one slow them down, most of all on a busy machine.
        # Set in this worker only, before numpy is loaded.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        # Only what evaluates needs numpy; a controller without it gets an error that says so.
        from ..plugin_utils.evaluation import evaluation  # noqa: PLC0415
        from ..plugin_utils.evaluation.figure_6 import figure_6  # noqa: PLC0415
        from ..plugin_utils.report import report  # noqa: PLC0415

        if arguments["kind"] == "figure_6":
            points = figure_6(arguments["runs"], arguments["seed"])
            settings = {"kind": "figure_6", "runs": arguments["runs"], "seed": arguments["seed"]}
            files = report.write_figure_6(arguments["output_dir"], points)
            return {"files": files, "settings": settings, "strategies": points}
        path = locate_policy(
            arguments["policy"], plain(task_vars.get("playbook_dir")), arguments["policy_path"]
        )
        policy = check(read_policy(path, arguments["data_dir"]))
        shared = {
            "hosts": arguments["hosts"],
            "capacity": arguments["capacity"],
            "seed": arguments["seed"],
            "strategies": arguments["strategies"] or tuple(evaluation.STRATEGIES),
        }
        if arguments["kind"] == "trace":
            trace = arguments["trace"] or policy.get("mobility", "trace", None)
            if not trace:
                raise DecisionError(f"kind is trace, but neither trace is given nor is one in {path}")
            routes = {key: arguments[key] for key in ("known_slots", "wrong_routes")}
            done = evaluation.evaluate_trace(policy, policy.data_file(trace), **shared, **routes)
        else:
            walk = {"users": arguments["users"], "slots": arguments["slots"]}
            done = evaluation.evaluate_walk(policy, **walk, **shared)
        title = f"Strategies under policy {Path(path).stem}, {done.settings['kind']}"
        files = report.write_report(arguments["output_dir"], title, done.settings, done.rows)
        told = {"files": files, "settings": done.settings, "strategies": done.rows}
        warnings = done.settings["warnings"]
        return {**told, "warnings": warnings} if warnings else told
