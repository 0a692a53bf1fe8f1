# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Showing what a long module does while it does it.

The module goes on in the background and appends JSON lines to a file on the host, the last of which holds
its result; this side follows the file and prints. Core Ansible has nothing for that.
"""

from __future__ import annotations

import getpass
import json
import socket
import time
import uuid
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.utils.display import Display

from .kept_code import KeptAction

display = Display()

PROGRESS_DIR = "/run/mec-migration/progress"
# One command waits so long for a line, so that a connection is never silent for longer.
WAIT_S = 10
# Where nothing had come: the host's tail may not be able to wait.
PAUSE_S = 0.1
ALIVE = "alive"


class TimedAction(KeptAction):
    """Runs a module and notes when it was done.

    Several services move at the same time in one play, where each task waits for all hosts to be done with
    the one before; without this the long tasks would seem to take as long as the longest of them.
    """

    module_name = ""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        begun = time.time()
        result.update(self.act(dict(self._task.args), task_vars))
        result.update(begun=begun, ended=time.time())
        return result

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Run the module; its result."""
        return self.run_module(self.module_name, arguments, task_vars)


class FollowedAction(TimedAction):
    """Base of action plugins whose module takes ``progress_file``. Subclasses give the words."""

    def describe(self, line: dict[str, Any]) -> str:
        """One line for the user from one progress line of the module; empty for none."""
        raise NotImplementedError

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        arguments.pop("progress_file", None)
        if self._task.check_mode or self._task.async_val:
            return super().act(arguments, task_vars)
        path = f"{PROGRESS_DIR}/{uuid.uuid4().hex}.jsonl"
        begun = super().act({**arguments, "progress_file": path}, task_vars)
        if begun.get("failed") or "pid" not in begun:
            return begun
        # Several moves may be under way in one play: a line says whose it is.
        service = arguments.get("container") or arguments.get("image") or ""
        variables = task_vars or {}
        host = str(variables.get("mec_lane_of") or variables.get("inventory_hostname") or "")
        try:
            result = self._follow(
                path, int(begun["pid"]), f"{service} {host}".strip(), self._expected_end(task_vars)
            )
            self._run(self._join("rm", "-f", path))
        except AnsibleConnectionFailure as lost:
            # A failure, so that what comes after a failure is done, and the user is told what to do next.
            return {
                "failed": True,
                "msg": f"{host} cannot be reached any more, and what was begun there may go on or may have "
                f"ended with it: {lost}",
            }
        return result

    def _expected_end(self, task_vars: dict[str, Any] | None) -> float:
        """When the migration is to end, as it was predicted for the role; 0 where nobody did."""
        variables = task_vars or {}
        if "migrate_prediction" not in variables or "migrate_started" not in variables:
            return 0.0
        try:
            predicted, started = (
                self._templar.template(variables[name]) for name in ("migrate_prediction", "migrate_started")
            )
            return float(started) + float(predicted["seconds"])
        except (AnsibleError, KeyError, TypeError, ValueError):
            # Others may use these names for something else; a line of progress is no reason to fail.
            return 0.0

    def _follow(self, path: str, pid: int, whose: str, expected_end: float = 0.0) -> dict[str, Any]:
        """Show what the module appends to *path* until it ends; its result.

        :param whose: service and host, at the beginning of each line.
        :param expected_end: of the migration, seconds since the epoch; 0 where it is not known.
        """
        shown = 0
        while True:
            text, alive = self._read(path, pid, shown + 1)
            # By lines, not bytes: a pseudo-terminal in between changes line ends. What does not come from
            # the file must not count: a warning of the shell, the empty line of su's prompt.
            complete = [line for line in text[: text.rfind("\n") + 1].splitlines() if line.startswith("{")]
            shown += len(complete)
            for line in complete:
                told = json.loads(line)
                if told.get("end"):
                    return dict(told["result"])
                words = self.describe(told)
                if words:
                    display.display(f"    {whose}: {words}{left(expected_end - time.time())}")
            if not alive:
                return {
                    "failed": True,
                    "msg": f"{self.module_name} ended without a result (process {pid}): it was killed, or "
                    "the host ran out of memory; see the log of its kernel",
                }
            if not complete:
                time.sleep(PAUSE_S)

    def _read(self, path: str, pid: int, first: int) -> tuple[str, bool]:
        """The file from its line *first* on, once there is one, and whether the module still runs."""
        tail = ("tail", "-n", f"+{first}")
        wait = self._join("timeout", str(WAIT_S), *tail, "-f", f"--pid={pid}", path)
        # Looked at before the file is read: what ends in between has written its last line.
        alive = self._join("kill", "-0", str(pid))
        read = self._join(*tail, path)
        text = self._run(
            f"{wait} 2>/dev/null | head -n 1 >/dev/null; {alive} 2>/dev/null && echo {ALIVE}; {read}"
        )
        return text, ALIVE in text.splitlines()

    def _run(self, command: str) -> str:
        return str(self._low_level_execute_command(command, sudoable=True)["stdout"])

    def _join(self, *words: str) -> str:
        return str(self._connection._shell.join(words))


def left(seconds: float) -> str:
    """What a line ends with, of a migration that is to take *seconds* more; nothing once they are over."""
    return f"; about {seconds:.0f} s of the migration to go" if seconds >= 1 else ""


def mover() -> str:
    """Who moves a service, and from where."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def megabytes(count: float) -> str:
    """*count* bytes for a human being."""
    return f"{count / 1e6:.1f} MB"


def described_handover(line: dict[str, Any]) -> str:
    """The progress line of the frozen window; empty if it is none."""
    if "frozen_ms" not in line or line.get("phase") != "hand over":
        return ""
    return f"handed over: frozen for {line['frozen_ms']:.0f} ms"


def described_image(line: dict[str, Any]) -> str:
    """A progress line of the image's way; empty if it is none."""
    if "layers_left" not in line:
        return ""
    if not line["diff_id"]:
        return f"image: {line['layers']} layers are missing on the target"
    return (
        f"image: {megabytes(line['sent_bytes'])} sent ({megabytes(line['bytes_per_s'])}/s), "
        f"{line['layers_left']} of {line['layers']} missing layers left"
    )


def described_round(line: dict[str, Any]) -> str:
    """A progress line of a round; empty if it is none."""
    if "round" not in line:
        return ""
    rate = line["sent_bytes"] / max(line["seconds"], 1e-3)
    return (
        f"round {line['round']}: {line['pages_changed']} pages changed, {megabytes(line['sent_bytes'])} "
        f"sent in {line['seconds']:.2f} s ({megabytes(rate)}/s), {megabytes(line['left_bytes'])} left"
    )
