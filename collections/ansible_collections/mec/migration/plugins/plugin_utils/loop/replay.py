# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where users are at a moment of a trace, in the form in which positions come from anywhere else."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..base.errors import TraceError
from ..mdp.cells import CellMap
from ..mdp.trace import OFF_DUTY, Recorded, brevity, read_npz, read_recorded

# Below this share of a trace's length users are so seldom there that something may be wrong with its times.
LEAST_PRESENCE = 0.5


@dataclass(frozen=True)
class Track:
    """When a user was seen (seconds since the trace's beginning, rising), and in which cells."""

    at_s: list[float]
    cell: list[int]


@dataclass(frozen=True)
class Replay:
    """The users of a trace. One who was last seen more than ``hold_s`` ago is not there."""

    path: str
    cells: CellMap
    users: dict[str, Track]
    hold_s: float
    dwell_slot_s: float

    def positions(
        self, at_s: float, users: Mapping[str, str] | None = None, route_slots: int = 0
    ) -> dict[str, object]:
        """The document of positions at a moment.

        Heading and dwell are those of the user's movement through cells since the last gap.

        :param users: by the name that services know the user by the name in the trace; all by their own
            names if there is none.
        :param route_slots: for how many slots (of ``dwell_slot_s``) to tell each user's route, too.
        :raises TraceError: one of them is not in the trace.
        """
        if not math.isfinite(at_s):
            raise TraceError(f"at is {at_s:g}; allowed: seconds after the trace's beginning")
        found: dict[str, dict[str, object]] = {}
        for name, traced in (users or {user: user for user in self.users}).items():
            if traced not in self.users:
                known = list(self.users)
                raise TraceError(
                    f"{self.path}: user {traced!r} is not in the trace; it has {len(known)}: "
                    f"{', '.join(known[:5])}{' ...' if len(known) > 5 else ''}"
                )
            seen = self._seen(self.users[traced], at_s)
            if seen is not None:
                found[name] = seen
                if route_slots > 0:
                    seen["route"] = self._route(self.users[traced], at_s, route_slots)
        told = {"format": 1, "time": f"{at_s:g} s into {Path(self.path).name}", "users": found}
        return {**told, "now": at_s} if route_slots > 0 else told

    def _route(self, path: Track, at_s: float, slots: int) -> list[dict[str, object]]:
        """Where the user is in each of the next slots, until they are not there any more."""
        found: list[dict[str, object]] = []
        for slot in range(1, slots + 1):
            then_s = at_s + slot * self.dwell_slot_s
            last = bisect_right(path.at_s, then_s) - 1
            if then_s - path.at_s[last] >= self.hold_s:
                found.append({"in_seconds": slot * self.dwell_slot_s, "leaves": True})
                break
            found.append({"in_seconds": slot * self.dwell_slot_s, "cell": self.cells.ids[path.cell[last]]})
        return found

    def nobody_at(self, at_s: float) -> str:
        """A sentence for a moment at which no user is there."""
        ends = max((track.at_s[-1] for track in self.users.values() if track.at_s), default=0.0)
        return (
            f"{self.path}: nobody is there {at_s:g} s after its beginning; the last sighting is {ends:g} s "
            "after it"
        )

    def _seen(self, path: Track, at_s: float) -> dict[str, object] | None:
        last = bisect_right(path.at_s, at_s) - 1
        if last < 0 or at_s - path.at_s[last] >= self.hold_s:
            return None
        cell, entered = path.cell[last], last
        while self._goes_on(path, entered) and path.cell[entered - 1] == cell:
            entered -= 1
        seen: dict[str, object] = {
            "cell": self.cells.ids[cell],
            "dwell_slots": int((at_s - path.at_s[entered]) // self.dwell_slot_s),
        }
        if self._goes_on(path, entered):
            x_m, y_m = (self.cells.xy_m[cell] - self.cells.xy_m[path.cell[entered - 1]]).tolist()
            seen["heading"] = round((90.0 - math.degrees(math.atan2(y_m, x_m))) % 360.0, 3)
        return seen

    def _goes_on(self, path: Track, index: int) -> bool:
        """Whether the sighting follows the one before without a gap."""
        return index > 0 and path.at_s[index] - path.at_s[index - 1] <= self.hold_s


def read_replay(
    path: str,
    cells: CellMap,
    *,
    slot_s: float = 60.0,
    dwell_slot_s: float = 60.0,
    gap_s: float = 300.0,
    users: Collection[str] | None = None,
    said: list[str] | None = None,
) -> Replay:
    """The trace at *path*.

    A ``.npz`` file as :func:`trace.read_trace` takes it, its users named by their columns, "0" first; or a
    CSV file with the columns ``user``, ``time`` or ``slot``, and ``cell`` or ``lat`` and ``lon``. ``time``
    is in seconds, or ISO 8601. Rows may come in any order; the trace begins with the earliest.

    :param slot_s: length of the trace's slots, where it counts slots.
    :param dwell_slot_s: length of a slot of ``dwell_slots``.
    :param gap_s: with ``time``, how long a user is taken to be where they were seen last.
    :param users: read these only.
    :param said: gets a sentence for what is accepted and may still be a mistake.
    :raises TraceError: the file is no such trace; the message names the line.
    """
    if not (0 < slot_s < math.inf and 0 < gap_s < math.inf):
        raise TraceError(f"slot_seconds is {slot_s:g} and gap_seconds {gap_s:g}; allowed: more than 0")
    made: dict[str, Track] = {}
    if path.endswith(".npz"):
        trace = read_npz(path, cells)
        columns = {str(column): trace[:, column] for column in range(trace.shape[1])}
        for name, column in columns.items():
            on = (column != OFF_DUTY).nonzero()[0]
            made[name] = Track([slot * slot_s for slot in on.tolist()], column[on].tolist())
        return Replay(path, cells, made, slot_s, dwell_slot_s)
    recorded = read_recorded(path, cells, prefer="time", users=users, said=said)
    unit_s = slot_s if recorded.slots else 1.0
    for name, seen in recorded.users.items():
        made[name] = Track([(at - recorded.first) * unit_s for at in seen.at], seen.cell)
    hold_s = slot_s if recorded.slots else gap_s
    if said is not None:
        said.extend(absences(recorded, unit_s, hold_s))
        said.extend(brevity(recorded, dwell_slot_s))
    return Replay(path, cells, made, hold_s, dwell_slot_s)


def absences(recorded: Recorded, unit_s: float, hold_s: float) -> list[str]:
    """A sentence where nobody, or most users not, are there for most of a trace.

    That is how it looks where a row's time is years off, or where times count milliseconds.
    """
    moments = [(at * unit_s, line) for at, line in recorded.moments]
    gaps = [(after[0] - before[0], before[1], after[1]) for before, after in pairwise(moments)]
    length_s = moments[-1][0] - moments[0][0] + hold_s
    there_s = hold_s + sum(min(gap, hold_s) for gap, _before, _after in gaps)
    told = []
    if there_s < LEAST_PRESENCE * length_s:
        longest, before, after = max(gaps)
        told.append(
            f"{recorded.path}: nobody is there for {100 - 100 * there_s / length_s:.3g} % of the trace, "
            f"which is {_duration(length_s)} long; the longest gap, {_duration(longest)}, is between line "
            f"{before} and line {after}. Is one of these times wrong, or are times in milliseconds, or slots "
            "in seconds?"
        )
        return told
    share = {
        name: sum(min(b - a, hold_s / unit_s) for a, b in pairwise(seen.at)) * unit_s + hold_s
        for name, seen in recorded.users.items()
        if seen.at
    }
    absent = sorted((there / length_s, name) for name, there in share.items())
    if absent and absent[len(absent) // 2][0] < LEAST_PRESENCE:
        told.append(
            f"{recorded.path}: most users are there for less than {100 * LEAST_PRESENCE:.0f} % of the trace, "
            f"which is {_duration(length_s)} long, user {absent[0][1]!r} for {100 * absent[0][0]:.2g} %; a "
            f"user counts as there for {_duration(hold_s)} after each sighting"
        )
    return told


def _duration(seconds: float) -> str:
    for unit, length_s in (("years", 365.25 * 86400), ("days", 86400.0), ("hours", 3600.0)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.3g} {unit}"
    return f"{seconds:g} s"
