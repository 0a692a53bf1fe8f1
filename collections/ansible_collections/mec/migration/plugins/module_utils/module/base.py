# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules share: progress lines, error to result."""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
from collections.abc import Callable
from typing import Any

from ..base.daemon import leave_session
from ..base.errors import MigrationError
from ..base.ranges import check_numbers
from ..docker.client import docker_client
from ..docker.container_state import container_state


class Progress:
    """Appends a JSON line for each thing worth telling to a file that the action plugin follows."""

    def __init__(self, path: str | None) -> None:
        self._file = None
        if path:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            self._file = open(  # noqa: SIM115
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8"
            )

    def __call__(self, **line: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps(dict(line, time=time.time())) + "\n")
            self._file.flush()


Run = Callable[[Any, Progress], dict[str, Any]]


def run_module(
    module: Any,
    run: Run,
    prepare: Callable[[Any], None] = lambda module: None,
    phase: str = "preflight",
) -> None:
    """Run a module's logic and turn the error family into ``fail_json``; ends the process.

    :param prepare: is called before, in this process, and may still import.
    :param phase: of the migration, for errors that do not say it themselves.

    With ``progress_file`` the logic goes on in a process of its own, which a connection that is lost does not
    end, and the result is that file's last line. Ansible's own async jobs would cost some three more commands
    on the host.
    """
    path = module.params.get("progress_file")
    try:
        check_numbers(module.params)
        prepare(module)
    except MigrationError as error:
        module.fail_json(msg=error.message, **failure(error, phase, module.params))
    if not path:
        try:
            result = run(module, Progress(None))
        except MigrationError as error:
            module.fail_json(msg=error.message, **failure(error, phase, module.params))
        module.exit_json(**result)
    progress = Progress(path)
    pid = os.fork()
    if pid:
        module.exit_json(changed=True, pid=pid)
    _run_in_background(module, run, progress, phase)


def failure(error: MigrationError, phase: str, params: dict[str, Any]) -> dict[str, Any]:
    """What ``fail_json`` gets besides the message, with the true phase and state of the container."""
    if not error.phase_is_given:
        error.phase = phase
    if error.container_state == "unknown" and params.get("container"):
        # Nobody else says so; and if Docker does not, it stays unknown.
        with contextlib.suppress(Exception):
            error.container_state = container_state(docker_client(10), params["container"])[0]
    return error.result()


def _run_in_background(module: Any, run: Run, progress: Progress, phase: str) -> None:
    """What the forked process does. It imports nothing: Ansible takes the modules' archive away meanwhile."""
    try:
        leave_session()
        try:
            result = run(module, progress)
        except MigrationError as error:
            result = dict(failure(error, phase, module.params), failed=True, msg=error.message)
        except Exception as error:
            what = f"the module broke: {error!r}"
            result = {"failed": True, "msg": what, "exception": traceback.format_exc()}
        progress(end=True, result=result)
    finally:
        os._exit(0)
