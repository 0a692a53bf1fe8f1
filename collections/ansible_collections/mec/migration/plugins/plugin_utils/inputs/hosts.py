# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edge hosts as the inventory describes them; no numpy here, a warm lookup reads this."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..base.errors import DecisionError

CELL_VARIABLE = "mec_cell"
LATITUDE_VARIABLE = "mec_latitude"
LONGITUDE_VARIABLE = "mec_longitude"
CAPACITY_VARIABLE = "mec_capacity"
# Nothing is counted as long as this; numpy counts in 64 bits.
MOST_SLOTS = 1e9


@dataclass(frozen=True)
class Host:
    """An edge host, in a cell of the map or at a position in degrees.

    ``capacity``: how many services it may hold, or None for no limit.
    """

    name: str
    cell: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    capacity: int | None = None

    def place(self) -> list[Any]:
        """What the solver knows of the host, as plain values for hashing."""
        return [self.name, self.cell, self.latitude, self.longitude]


def hosts_from_inventory(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[Host]:
    """The hosts called ``names``, from their variables ``mec_cell`` and so on."""
    found = []
    for name in dict.fromkeys(str(name) for name in names):
        # Ansible's mapping of variables fails in its own ways where it is asked for a name it does not know.
        if name not in hostvars:
            raise DecisionError(f"host {name!r} is not in the inventory")
        variables = hostvars[name]
        cell = variables.get(CELL_VARIABLE)
        found.append(
            Host(
                name,
                None if cell is None else cell_name(cell, f"host {name}: {CELL_VARIABLE}"),
                degrees(variables.get(LATITUDE_VARIABLE), f"host {name}: {LATITUDE_VARIABLE}", 90),
                degrees(variables.get(LONGITUDE_VARIABLE), f"host {name}: {LONGITUDE_VARIABLE}", 180),
                _capacity(name, variables.get(CAPACITY_VARIABLE)),
            )
        )
    return found


def cell_name(value: Any, what: str) -> str:
    """The name of a cell, which a file may have as a number; spaces around it count for nothing."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or not str(value).strip():
        raise DecisionError(f"{what} is {value!r}; allowed: the name of a cell")
    return str(value).strip()


def number(value: Any, what: str) -> float:
    """``value`` as a finite float; templating may have made it a string."""
    try:
        if isinstance(value, bool):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError):
        raise DecisionError(f"{what} is {value!r}; allowed: a number") from None
    except OverflowError:
        raise DecisionError(f"{what} is too large for a number; allowed: a finite number") from None
    if not math.isfinite(result):
        raise DecisionError(f"{what} is {value!r}; allowed: a finite number")
    return result


def heading_degrees(value: Any, what: str) -> float:
    """A direction of movement. Receivers that do not know theirs say 511 or 65535, which is none."""
    return _within(value, what, -360.0, 360.0)


def slots(value: Any, what: str) -> float:
    """How many slots something has lasted."""
    return _within(value, what, 0.0, MOST_SLOTS)


def _within(value: Any, what: str, least: float, most: float) -> float:
    result = number(value, what)
    if not least <= result <= most:
        raise DecisionError(f"{what} is {result:g}; allowed: {least:g} to {most:g}")
    return result


def degrees(value: Any, what: str, limit: int) -> float | None:
    """``value`` in degrees, from -limit to limit, or None."""
    if value is None:
        return None
    result = number(value, what)
    if abs(result) > limit:
        raise DecisionError(f"{what} is {result}; allowed: -{limit} to {limit} degrees")
    return result


def _capacity(name: str, value: Any) -> int | None:
    if value is None:
        return None
    result = number(value, f"host {name}: {CAPACITY_VARIABLE}")
    if result != int(result) or result < 0:
        raise DecisionError(
            f"host {name}: {CAPACITY_VARIABLE} is {value!r}; allowed: a whole number, at least 0"
        )
    return int(result)
