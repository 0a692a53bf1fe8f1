# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the page and the record of a run; its documentation is in the module of this name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader

from ..plugin_utils.base.errors import DecisionError
from ..plugin_utils.base.plain import plain
from ..plugin_utils.decision.request import policy_of_lookup
from ..plugin_utils.inputs.hosts import hosts_from_inventory
from ..plugin_utils.inputs.policy import Policy, check

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "run": {"type": "dict"},
    "migration": {"type": "dict"},
    "record": {"type": "bool", "default": False},
    "why": {"default": ""},
    "policy": {"default": ""},
    "hosts": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ActionBase):
    """Writes in this process, no connection is made."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec=ARGUMENTS,
            mutually_exclusive=[("run", "migration")],
            required_one_of=[("run", "migration")],
        )
        try:
            return {**result, **self._write(plain(arguments), task_vars or {})}
        except DecisionError as error:
            raise AnsibleActionFail(f"mec.migration.migration_timeline: {error}") from None
        except (KeyError, TypeError) as error:
            raise AnsibleActionFail(
                f"mec.migration.migration_timeline: run or migration lacks or holds a wrong {error}"
            ) from None
        except OSError as error:
            raise AnsibleActionFail(
                f"mec.migration.migration_timeline: {arguments['path']} cannot be written: {error.strerror}"
            ) from None

    def _write(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        # Small arrays: more threads of BLAS than one slow them down. Before numpy is loaded.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        # Only maps and costs need numpy; a controller without it gets an error that says so.
        from ..plugin_utils.report.files import write, write_migration  # noqa: PLC0415
        from ..plugin_utils.report.run_report import complete  # noqa: PLC0415
        from ..plugin_utils.report.timeline_page import page  # noqa: PLC0415

        html_path = Path(arguments["path"])
        json_path = html_path.with_suffix(".json")
        hosts = hosts_from_inventory(arguments["hosts"], variables.get("hostvars", {}))
        policy = self._policy(arguments["policy"], variables) if arguments["policy"] else None
        one, check_mode = arguments["migration"], self._task.check_mode
        if one is not None:
            record, why = arguments["record"], arguments["why"]
            changed, verdict = write_migration(
                one, html_path, record=record, why=why, policy=policy, hosts=hosts, check_mode=check_mode
            )
        else:
            run = complete(arguments["run"], policy, hosts)
            record, verdict = True, run["verdict"]
            text = json.dumps(run, indent=2, allow_nan=False) + "\n"
            files = {html_path: page(run, json_path.name), json_path: text}
            written = [write(path, content, check_mode=check_mode) for path, content in files.items()]
            changed = any(written)
        paths = [html_path, json_path] if record else [html_path]
        return {
            "changed": changed,
            "files": {path.suffix[1:]: str(path) for path in paths},
            "verdict": verdict,
        }

    def _policy(self, name: str, variables: dict[str, Any]) -> Policy:
        lookup = lookup_loader.get("mec.migration.mdp_decision", loader=self._loader, templar=self._templar)
        return check(policy_of_lookup(lookup, name, variables))
