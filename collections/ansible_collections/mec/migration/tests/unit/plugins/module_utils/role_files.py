# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that role edge_host puts on hosts; they are in no package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

FILES = Path(__file__).parents[4] / "roles/edge_host/files"


def role_file(name):
    """The module that such a program is, loaded anew."""
    found = importlib.util.spec_from_file_location(name, FILES / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module
