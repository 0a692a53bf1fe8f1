# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By how much the clock of another host differs from this one's (CLOCK_REALTIME)."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

# A service sees its frozen window, some tenths of a second, as a jump forwards anyway. Hosts whose clocks
# are kept in step differ by milliseconds.
TELLING_S = 0.5
# As a date: some 30,000 years before or after 1970. What a peer says beyond that is no time.
MOST_S = 1e12


class ClockDifference(NamedTuple):
    """How another host's clock differs.

    :param ahead_s: by how many seconds the other host's clock is ahead of this one's; below 0 it is behind.
    :param error_s: by how many seconds that may be wrong: half of what question and answer took.
    """

    ahead_s: float
    error_s: float

    @property
    def telling(self) -> bool:
        """Whether they differ for sure by more than what a service sees in any move."""
        return abs(self.ahead_s) > TELLING_S + self.error_s


class Question:
    """Asked of the other host when this is made; :meth:`answered` is for its answer.

    The other clock was read between the two. In the middle, if the way there and the way back take as long.
    """

    def __init__(self) -> None:
        self.asked_s, self._begun = time.time(), time.monotonic()

    def answered(self, their_s: Any) -> ClockDifference | None:
        """:param their_s: what the other clock said, in seconds since the epoch, as the peer sent it."""
        # This clock may be set meanwhile: how long it took is told by one that never is.
        return difference(self.asked_s, their_s, self.asked_s + time.monotonic() - self._begun)


def difference(asked_s: Any, their_s: Any, answered_s: float) -> ClockDifference | None:
    """From what this clock said before the other one was read, and after. None if one of them is no time."""
    if not (_is_time(asked_s) and _is_time(their_s)) or answered_s < asked_s:
        return None
    return ClockDifference(
        round(their_s - (asked_s + answered_s) / 2, 3), round((answered_s - asked_s) / 2, 3)
    )


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -MOST_S < value < MOST_S


def jump(source: str, target: str, clock: ClockDifference) -> str:
    """What a service sees that moves from host *source*, on which it was measured, to host *target*."""
    by = _spoken(abs(clock.ahead_s))
    where, direction = ("ahead of", "forwards") if clock.ahead_s > 0 else ("behind", "back")
    return (
        f"the clock of {target} is {by} {where} that of {source} (known to {clock.error_s:.3f} s): at the "
        f"hand-over the time of day jumps {direction} by that much for the service, while its timers and "
        "monotonic clocks go on. Keep the clocks of both hosts in step (chrony, NTP)"
    )


def _spoken(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
