# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs an evaluation of strategies on the controller; its documentation is in the module of this name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.base.plain import plain
from ..plugin_utils.inputs.policy import check, locate_policy, read_policy

display = Display()

ARGUMENTS = {
    "kind": {"choices": ["trace", "random_walk", "figure_6", "figure_8"], "default": "random_walk"},
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
    "sweep": {"type": "dict", "default": {}},
    "scheduler": {"type": "str"},
    "runs": {"type": "int", "default": 50},
    "seed": {"type": "int", "default": 1},
}
# In a single slot nobody moves. The walks of all users are kept in memory.
LEAST = {"users": 1, "slots": 2, "runs": 1, "seed": 0, "hosts": 1, "capacity": 1}
MOST_STEPS = 10_000_000


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
            raise AnsibleActionFail(f"mec.migration.decision_evaluation: {error}") from None

    def evaluate(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The files, settings and rows; raises :class:`DecisionError`."""
        # Small matrices: more threads of BLAS than one slow them down, most of all on a busy machine.
        # Set in this worker only, before numpy is loaded.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        # Only what evaluates needs numpy; a controller without it gets an error that says so.
        from ..plugin_utils.evaluation import evaluation  # noqa: PLC0415
        from ..plugin_utils.evaluation.cluster import Cluster  # noqa: PLC0415
        from ..plugin_utils.evaluation.figure_6 import figure_6  # noqa: PLC0415
        from ..plugin_utils.evaluation.sweep import OPTIONS, combinations  # noqa: PLC0415
        from ..plugin_utils.report import report, sweep_page  # noqa: PLC0415

        check_numbers(arguments)
        if arguments["users"] * arguments["slots"] > MOST_STEPS:
            raise DecisionError(
                f"users is {arguments['users']} and slots {arguments['slots']}; "
                f"allowed: {MOST_STEPS} steps in all"
            )
        if arguments["kind"] == "figure_6":
            points = figure_6(arguments["runs"], arguments["seed"])
            settings = {"kind": "figure_6", "runs": arguments["runs"], "seed": arguments["seed"]}
            files = report.write_figure_6(arguments["output_dir"], points)
            return {"files": files, "settings": settings, "strategies": points}
        if arguments["kind"] == "figure_8":
            return self.figure_8(arguments)
        path = locate_policy(
            arguments["policy"], plain(task_vars.get("playbook_dir")), arguments["policy_path"]
        )
        policy = check(read_policy(path, arguments["data_dir"]))
        trace = arguments["trace"] or policy.get("mobility", "trace", None)
        if arguments["kind"] == "trace" and not trace:
            raise DecisionError(f"kind is trace, but neither trace is given nor is one in {path}")
        sweep = arguments["sweep"]
        cases = []
        for varying, varied in combinations(policy, sweep):
            options = {key: varied.get(key, arguments[key]) for key in OPTIONS}
            options["strategies"] = arguments["strategies"] or tuple(evaluation.STRATEGIES)
            options["varied"] = varied if sweep else None
            if arguments["kind"] == "trace":
                options.update({key: arguments[key] for key in ("known_slots", "wrong_routes")})
                cases.append(evaluation.trace_case(varying, policy.data_file(trace), **options))
            else:
                walk = {"users": arguments["users"], "slots": arguments["slots"]}
                cases.append(evaluation.walk_case(varying, **walk, **options))
        said: list[str] = []
        runner = Cluster(arguments["scheduler"], said) if arguments["scheduler"] else None
        done = evaluation.evaluate_cases(cases, runner, Shown() if sweep or runner else evaluation.silent)
        title = f"Strategies under policy {Path(path).stem}, {arguments['kind']}"
        if sweep:
            told = self.sweep(arguments["output_dir"], title, sweep, done, sweep_page.write_sweep)
        else:
            settings, rows = done[0].settings, done[0].rows
            files = report.write_report(arguments["output_dir"], title, settings, rows)
            told = {"files": files, "settings": settings, "strategies": rows}
        warnings = [*dict.fromkeys(word for one in done for word in one.settings["warnings"]), *said]
        return {**told, "warnings": warnings} if warnings else told

    @staticmethod
    def figure_8(arguments: dict[str, Any]) -> dict[str, Any]:
        """Fig. 8 of Wang et al.: *trace*, or what is found in *data_dir*."""
        from ..plugin_utils.evaluation import figure_8  # noqa: PLC0415
        from ..plugin_utils.report.figure_8_page import write_figure_8  # noqa: PLC0415

        directory = Path(arguments["data_dir"] or ".")
        here = [directory / name for name in (figure_8.PUBLISHED, "trace.npz", "trace.csv")]
        trace = arguments["trace"] or next((str(one) for one in here if one.exists()), None)
        if trace is None:
            raise DecisionError(
                f"kind is figure_8, and neither trace nor {' nor '.join(map(str, here))} is there; trace is "
                f"{figure_8.PUBLISHED} of the authors' repository, or another trace beside its cells.csv"
            )
        trace = str(directory / trace)
        day = figure_8.read_day(trace, str(Path(trace).with_name("cells.csv")))
        found = figure_8.figure_8(day)
        settings = {
            "kind": "figure_8",
            "trace": trace,
            "users": day.cell.shape[1],
            "slots": day.cell.shape[0],
        }
        files = write_figure_8(arguments["output_dir"], settings, found)
        least = found["mean"][figure_8.OFFLINE]
        rows = [
            {
                "strategy": name,
                "cost": cost,
                "migrations_per_hour": found["moves_an_hour"][name],
                "ratio_to_offline": cost / least,
                "gap_closed": found["gap_closed"][name],
            }
            for name, cost in found["mean"].items()
        ]
        return {"files": files, "settings": settings, "strategies": rows}

    @staticmethod
    def sweep(
        output_dir: str,
        title: str,
        sweep: dict[str, Any],
        done: list[Any],
        write: Callable[..., dict[str, str]],
    ) -> dict[str, Any]:
        """Write the report of a sweep; what the module returns."""
        files = write(output_dir, title, sweep, [(one.settings, one.rows) for one in done])
        rows = [{**one.settings["varied"], **row} for one in done for row in one.rows]
        return {"files": files, "settings": {"kind": "sweep", "sweep": sweep}, "strategies": rows}


def check_numbers(arguments: Mapping[str, Any]) -> None:
    """:raises DecisionError: a number means nothing, or nothing for this kind."""
    for name, least in LEAST.items():
        if arguments[name] is not None and arguments[name] < least:
            raise DecisionError(f"{name} is {arguments[name]}; allowed: at least {least}")
    for name in ("known_slots", "wrong_routes"):
        if arguments[name] and arguments["kind"] != "trace":
            raise DecisionError(
                f"{name} is {arguments[name]}, and kind is {arguments['kind']}; it needs kind=trace"
            )


class Shown:
    """Shows how far an evaluation is: its beginning, its end, and a line every few seconds."""

    EVERY_S = 2.0

    def __init__(self) -> None:
        self._last = -self.EVERY_S

    def __call__(self, done: int, total: int, name: str, seconds: float) -> None:
        """Show a line if the last one is some time ago."""
        if done < total and seconds - self._last < self.EVERY_S:
            return
        self._last = seconds
        left = f", about {seconds / done * (total - done):.0f} s left" if done < total else ""
        display.display(f"    {done} of {total} parts done in {seconds:.0f} s{left}; last: {name}")
