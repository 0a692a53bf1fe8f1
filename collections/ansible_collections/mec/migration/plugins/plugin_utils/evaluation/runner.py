# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the parts of an evaluation in this process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from .parts import Part, run_part

# Is told how many parts are done, of how many, the name of the last one, and the seconds since the beginning.
Progress = Callable[[int, int, str, float], None]


def silent(_done: int, _total: int, _name: str, _seconds: float) -> None:
    """Show nothing."""


class Runner(Protocol):
    """Runs parts; gives the results of those that are *wanted*, by place."""

    def run(
        self, parts: Sequence[Part], shared: Mapping[str, Any], wanted: Collection[int], progress: Progress
    ) -> dict[int, dict[str, Any]]:
        """Run them all."""


class InProcess:
    """One after the other, in this process."""

    def run(
        self, parts: Sequence[Part], shared: Mapping[str, Any], wanted: Collection[int], progress: Progress
    ) -> dict[int, dict[str, Any]]:
        """Run them in order; a result is kept as long as it is needed: action tables may be large."""
        begun = time.monotonic()
        uses = Counter(place for part in parts for place in part.needs)
        kept: dict[int, dict[str, Any]] = {}
        for place, part in enumerate(parts):
            needs = [kept[other] for other in part.needs]
            kept[place] = run_part(
                part.function, [shared[name] for name in part.shared], needs, part.arguments
            )
            uses.subtract(part.needs)
            for other in {*part.needs, place}:
                if not uses[other] and other not in wanted:
                    kept.pop(other, None)
            progress(place + 1, len(parts), part.name, time.monotonic() - begun)
        return {place: kept[place] for place in wanted}
