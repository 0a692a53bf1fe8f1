# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guarded third-party imports, in one place: what is missing is named, with the fix."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .errors import DecisionError


class _Missing(ModuleType):
    """Stands in for a module, so that whoever imports it can be imported, documented and checked."""

    def __init__(self, name: str, remedy: str) -> None:
        super().__init__(name)
        self._remedy = remedy

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise DecisionError(self._remedy)


def require_numpy() -> ModuleType:
    """numpy, or what raises a :class:`DecisionError` with the way to get it as soon as it is used."""
    try:
        import numpy as np  # noqa: PLC0415
    except ImportError:
        return _Missing(
            "numpy",
            "solving a policy needs numpy on the controller: python3 -m pip install 'numpy>=1.26'",
        )
    return np


def require_jsonschema() -> ModuleType:
    """jsonschema, or a :class:`DecisionError` that says how to get it."""
    try:
        import jsonschema  # noqa: PLC0415
    except ImportError as error:
        raise DecisionError(
            "checking a policy needs jsonschema on the controller: python3 -m pip install 'jsonschema>=4.20'"
        ) from error
    return jsonschema
