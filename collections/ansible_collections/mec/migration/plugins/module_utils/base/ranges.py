# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which numbers an option may have. An argument spec takes any float, NaN and below 0, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .errors import PreflightError

# poll counts milliseconds in 32 bits, which ends at 25 days; nobody waits for as long.
MOST_S = 1e6
MOST_PORT = 65535
# A stop rule that always freezes after the first round has such a downtime.
MOST_DOWNTIME_MS = 1e9
MOST_MBIT = 1e9
MOST_LOG_MIB = 1024


class Range(NamedTuple):
    """``least`` itself is allowed, unless ``above``."""

    least: float
    most: float
    above: bool = False

    def holds(self, value: float) -> bool:
        """NaN is in no range."""
        return (self.least < value if self.above else self.least <= value) and value <= self.most

    def __str__(self) -> str:
        return f"{'more than' if self.above else 'at least'} {self.least:g}, at most {self.most:.12g}"


DURATION = Range(0, MOST_S, above=True)
RANGES = {
    "answer_timeout_s": DURATION,
    "bandwidth_limit_mbit": Range(0, MOST_MBIT),
    "bandwidth_mbit": Range(0, MOST_MBIT, above=True),
    "downtime_ms": Range(0, MOST_DOWNTIME_MS),
    "expiry_s": DURATION,
    "health_timeout_s": Range(0, MOST_S),
    "idle_timeout_s": DURATION,
    "interval_s": Range(0, 60, above=True),
    "log_mib": Range(0, MOST_LOG_MIB),
    "max_rounds": Range(1, 10_000),
    "min_gain": Range(0, 1e6),
    "on_handover_timeout_s": DURATION,
    "port": Range(0, MOST_PORT),
    "silence_timeout_s": DURATION,
    "throttle_floor_percent": Range(0, 100, above=True),
}


def wrong_numbers(options: Mapping[str, Any], prefix: str = "") -> list[str]:
    """A sentence for each of *options* that is out of its range.

    :param prefix: what the names of options begin with, beside their name in :data:`RANGES`.
    """
    return [
        f"{name} is {value:g}, and must be {allowed}"
        for name, value in options.items()
        if (allowed := RANGES.get(name.removeprefix(prefix))) is not None
        and value is not None
        and not allowed.holds(value)
    ]


def check_numbers(params: Mapping[str, Any]) -> None:
    """
    :param params: of a module; those of ``peer`` in it are checked, too.
    :raises PreflightError: one is out of its range.
    """
    wrong = wrong_numbers({**(params.get("peer") or {}), **params})
    if wrong:
        raise PreflightError(f"Option {wrong[0]}. Nothing was touched by this task")
