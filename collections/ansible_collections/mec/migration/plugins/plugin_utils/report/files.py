# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a report: each is written whole or not at all, and only if that changes it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

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
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(content, encoding="utf-8")
        temporary.chmod(0o644)
        temporary.replace(path)
    return True


def record_text(report: dict[str, Any]) -> str:
    """The record of one migration, as its file holds it."""
    return json.dumps(report, indent=2, sort_keys=True, allow_nan=False) + "\n"


def write_migration(report: dict[str, Any], directory: Path, why: str, *, check_mode: bool) -> bool:
    """Write the page about one migration, and its record if it has moved; returns whether one was written.

    :param report: as ``migration_report.build`` or ``build_failed`` returns it; its id names the files.
    :param why: of one that failed: what was said.
    :raises DecisionError: there can be no page.
    :raises OSError: a file cannot be written.
    """
    html_path = directory / f"{report['migration_id']}.html"
    json_path = html_path.with_suffix(".json")
    written = False
    if "failed_task" not in report:
        # Before the page: what the migration did is kept even if that cannot be drawn.
        written = write(json_path, record_text(report), check_mode=check_mode)
    linked = json_path.name if "failed_task" not in report else ""
    content = page(complete(of_migration(report, why), None, []), linked)
    return write(html_path, content, check_mode=check_mode) or written
