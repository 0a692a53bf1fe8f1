# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Showing what a long module does while it does it.

The module runs as an async job and appends JSON lines to a file on the host; this side follows the
file and prints. Core Ansible has nothing for that.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()

PROGRESS_DIR = "/run/mec-migration/progress"
POLL_S = 0.3
# A module that is silent for so long is asked for: it may have died without a last line.
SILENCE_S = 15.0


class TimedAction(ActionBase):
    """Runs a module and notes when it was done.

    Several services move at the same time in one play, where each task waits for all hosts to be done with
    the one before; without this the long tasks would seem to take as long as the longest of them.
    """

    module_name = ""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        result.update(self.act(dict(self._task.args), task_vars))
        result["ended"] = time.time()
        return result

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Run the module; its result."""
        return dict(self._execute_module(self.module_name, arguments, task_vars=task_vars))


class FollowedAction(TimedAction):
    """Base of action plugins whose module takes ``progress_file``. Subclasses give the words."""

    time_limit_s = 24 * 3600

    def describe(self, line: dict[str, Any]) -> str:
        """One line for the user from one progress line of the module; empty for none."""
        raise NotImplementedError

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        if self._task.check_mode or self._task.async_val:
            return super().act(arguments, task_vars)
        path = f"{PROGRESS_DIR}/{uuid.uuid4().hex}.jsonl"
        arguments["progress_file"] = path
        self._task.async_val = self.time_limit_s
        try:
            job = self._execute_module(self.module_name, arguments, task_vars=task_vars, wrap_async=True)
        finally:
            # Else the executor would poll the job once more.
            self._task.async_val = 0
        if job.get("failed") or "results_file" not in job:
            return dict(job)
        result = self._follow(path, str(job["ansible_job_id"]), task_vars)
        # One command; async_status with mode cleanup would be one more module to start.
        self._low_level_execute_command(self._join("rm", "-f", path, job["results_file"]), sudoable=True)
        return result

    def _follow(self, path: str, job: str, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        shown, heard = 0, time.monotonic()
        while True:
            # By lines, not bytes: a pseudo-terminal in between changes line ends. What does not come from
            # the file must not count: tail's word that it is not there yet, the empty line of su's prompt.
            command = self._join("tail", "-n", f"+{shown + 1}", path) + " 2>/dev/null"
            text = self._low_level_execute_command(command, sudoable=True)["stdout"]
            complete = [line for line in text[: text.rfind("\n") + 1].splitlines() if line.startswith("{")]
            shown += len(complete)
            ended = False
            for line in complete:
                ended = self._show(line) or ended
                heard = time.monotonic()
            if ended or time.monotonic() - heard > SILENCE_S:
                status = self._status(job, task_vars)
                if status.pop("finished", False):
                    return status
                if not ended:
                    heard = time.monotonic()
            time.sleep(POLL_S)

    def _show(self, text: str) -> bool:
        """Print a progress line; returns whether it says that the module is at its end."""
        try:
            line = json.loads(text)
        except ValueError:
            return False
        if not isinstance(line, dict):
            return False
        words = self.describe(line)
        if words:
            display.display(f"    {words}")
        return bool(line.get("end"))

    def _status(self, job: str, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        directory = self.get_shell_option("async_dir", default="~/.ansible_async")
        arguments = {"jid": job, "mode": "status", "_async_dir": directory}
        status = dict(self._execute_module("ansible.legacy.async_status", arguments, task_vars=task_vars))
        if status.get("finished"):
            for key in ("ansible_job_id", "started", "results_file"):
                status.pop(key, None)
        return status

    def _join(self, *words: str) -> str:
        return str(self._connection._shell.join(words))


def megabytes(count: float) -> str:
    """*count* bytes for a human being."""
    return f"{count / 1e6:.1f} MB"
