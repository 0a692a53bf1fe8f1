# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error family of the controller half; a lookup or action plugin turns it into its own error."""

from __future__ import annotations

from typing import Any


class DecisionError(Exception):
    """No decision can be computed from what was given."""


class PolicyError(DecisionError):
    """A policy file is wrong.

    :param file: path of the file.
    :param key: path of the key inside it, ``mobility.move_probability`` or ``$`` for the whole
        file.
    :param found: what stands there.
    :param allowed: what may stand there.
    :param line: where the key is in the file, if that is known.
    """

    def __init__(self, file: str, key: str, found: Any, allowed: str, line: int | None = None) -> None:
        shown = found if isinstance(found, str) else repr(found)
        if len(shown) > 200:
            shown = shown[:200] + "..."
        where = f"{file}: line {line}" if line else file
        super().__init__(f"policy {where}: key {key}: found {shown}; allowed: {allowed}")
        self.file = file
        self.key = key
        self.found = found
        self.allowed = allowed


class TraceError(DecisionError):
    """A trace or a cell table cannot be read or contradicts itself."""


class ModelError(DecisionError):
    """The numbers do not make a Markov decision process: NaN, negative or not summing to one."""


class PlaceError(DecisionError):
    """A user is at no place of the map; others may be."""


class LocationError(DecisionError):
    """A location service cannot be asked, or its answer is not what its API promises."""
