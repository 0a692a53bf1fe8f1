# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a play passes to plain types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """``value`` without the string tags and lazy containers that templating wraps around values."""
    if isinstance(value, Mapping):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    # bool is an int, so it comes first; joining makes a plain str of a tagged one.
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return "".join(value) if isinstance(value, str) else value
