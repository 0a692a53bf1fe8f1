# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a report: each is written whole or not at all, and only if that changes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..base.whole_file import READABLE, whole_file
from ..inputs.hosts import Host
from ..inputs.policy import Policy
from .run_report import complete, of_migration
from .timeline_page import page


def write(path: Path, content: str, *, check_mode: bool) -> bool:
    """Whether *path* had to be written, since it does not hold *content*.

    :param check_mode: do not write it.
    :raises OSError: it cannot be written.
    """
    if path.is_file() and path.read_bytes() == content.encode():
        return False
    if not check_mode:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, mode=READABLE) as stream:
            stream.write(content.encode())
    return True


def write_migration(
    report: dict[str, Any],
    html_path: Path,
    *,
    record: bool,
    why: str = "",
    policy: Policy | None = None,
    hosts: Sequence[Host] = (),
    check_mode: bool,
) -> tuple[bool, dict[str, Any]]:
    """Write the page about one migration; returns whether something was written, and the verdict.

    :param report: as ``migration_report.build`` or ``build_failed`` returns it.
    :param record: write that, too, beside the page.
    :param why: of one that failed: what was said.
    :param policy: for map and costs.
    :raises DecisionError: there can be no page.
    :raises OSError: a file cannot be written.
    """
    json_path = html_path.with_suffix(".json")
    written = False
    if record:
        # Before the page: what the migration did is kept even if that cannot be drawn.
        text = json.dumps(report, indent=2, sort_keys=True, allow_nan=False) + "\n"
        written = write(json_path, text, check_mode=check_mode)
    run = complete(of_migration(report, why), policy, hosts)
    # It may have been written before.
    content = page(run, json_path.name if json_path.exists() else "")
    return write(html_path, content, check_mode=check_mode) or written, run["verdict"]
