# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets tests import the helpers that lie beside them, under ansible-test as under pytest alone."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

# A test must not fail because the machine is busy.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# pytest does so by itself, but ansible-test has it import tests as parts of the collection.
for helper in sorted(Path(__file__).parent.rglob("*.py")):
    directory = str(helper.parent)
    if not helper.name.startswith(("test_", "conftest")) and directory not in sys.path:
        sys.path.insert(0, directory)
