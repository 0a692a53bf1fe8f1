# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person wants to see of a migration: what was done, how long it took, what was said."""

from __future__ import annotations

DOCUMENTATION = r"""
name: phases
type: stdout
short_description: A line for each thing that was done, with its seconds
description:
  - Shows tasks that changed something and what C(debug) says, not those that were fine or skipped.
  - Failures and the recap are shown as always.
extends_documentation_fragment:
  - default_callback
requirements:
  - set as stdout in configuration
"""

import time
from typing import Any

from ansible.plugins.callback.default import CallbackModule as Default


class CallbackModule(Default):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "phases"

    def __init__(self) -> None:
        super().__init__()
        self._started = time.monotonic()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        name = play.get_name().strip()
        if name:
            self._display.display(f"\n{name}")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._started = time.monotonic()
        # The default callback prints this title only together with a result that it shows.
        self._last_task_name = task.get_name().strip()

    def v2_playbook_on_include(self, included_file: Any) -> None:
        pass

    def v2_runner_on_skipped(self, result: Any) -> None:
        pass

    def v2_runner_item_on_ok(self, result: Any) -> None:
        pass

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        pass

    def v2_runner_on_ok(self, result: Any) -> None:
        told = result._result
        if result._task.action in ("debug", "ansible.builtin.debug"):
            lines = told.get("msg", "")
            for line in lines if isinstance(lines, list) else [lines]:
                self._display.display(f"    {line}")
        elif told.get("changed"):
            name = result._task.get_name().rpartition(" : ")[2].strip()
            host = result._host.get_name()
            seconds = time.monotonic() - self._started
            self._display.display(f"  {seconds:6.1f} s  {host:<10} {name}")
