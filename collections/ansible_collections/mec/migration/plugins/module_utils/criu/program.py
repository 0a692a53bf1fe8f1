# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed CRIU: where it is and which version."""

from __future__ import annotations

import re
import shutil
import subprocess


def criu_path() -> str:
    """Where CRIU is, empty if it is not installed."""
    return shutil.which("criu") or shutil.which("criu", path="/usr/local/sbin:/usr/sbin:/sbin") or ""


def criu_program() -> str:
    """How to start CRIU. Where it is not installed the start fails, and says so."""
    return criu_path() or "criu"


def version() -> tuple[int, ...]:
    """The installed CRIU's version, e.g. (4, 2, 1); empty if there is none."""
    argv = [criu_program(), "--version"]
    try:
        out = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return ()
    found = re.search(r"Version:\s*(\d+(?:\.\d+)*)", out.stdout)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()
