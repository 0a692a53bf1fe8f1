# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where users are at a moment of a trace, in the form in which positions come from anywhere else."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..base.errors import TraceError
from ..mdp.cells import CellMap
from ..mdp.trace import OFF_DUTY, place_of, read_npz, table_rows


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

    def positions(self, at_s: float, users: Mapping[str, str] | None = None) -> dict[str, object]:
        """The document of positions at a moment.

        Heading and dwell are those of the user's movement through cells since the last gap.

        :param users: by the name that services know the user by the name in the trace; all by their own
            names if there is none.
        :raises TraceError: one of them is not in the trace.
        """
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
        return {"format": 1, "time": f"{at_s:g} s into {Path(self.path).name}", "users": found}

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
) -> Replay:
    """The trace at *path*.

    A ``.npz`` file as :func:`trace.read_trace` takes it, its users named by their columns, "0" first; or a
    CSV file with the columns ``user``, ``time`` or ``slot``, and ``cell`` or ``lat`` and ``lon``. ``time``
    is in seconds, or ISO 8601. Rows may come in any order; the trace begins with the earliest.

    :param slot_s: length of the trace's slots, where it counts slots.
    :param dwell_slot_s: length of a slot of ``dwell_slots``.
    :param gap_s: with ``time``, how long a user is taken to be where they were seen last.
    :param users: read these only.
    :raises TraceError: the file is no such trace; the message names the line.
    """
    if min(slot_s, gap_s) <= 0:
        raise TraceError(f"slot_seconds is {slot_s:g} and gap_seconds {gap_s:g}; allowed: more than 0")
    if path.endswith(".npz"):
        trace = read_npz(path, cells)
        columns = {str(column): trace[:, column] for column in range(trace.shape[1])}
        made = {}
        for name, column in columns.items():
            on = (column != OFF_DUTY).nonzero()[0]
            made[name] = Track([slot * slot_s for slot in on.tolist()], column[on].tolist())
        return Replay(path, cells, made, slot_s, dwell_slot_s)
    seen: dict[str, list[tuple[float, int]]] = {}
    first, counts_slots = math.inf, False
    for line, row in table_rows(path, ("user",)):
        counts_slots = "time" not in row
        at_s = _slot(path, line, row) * slot_s if counts_slots else _time(path, line, row)
        first = min(first, at_s)
        name = (row["user"] or "").strip()
        sightings = seen.setdefault(name, [])
        if users is None or name in users:
            sightings.append((at_s, place_of(path, line, row, cells)))
    if not seen:
        raise TraceError(f"{path}: no row in the trace")
    made = {}
    for name, sightings in seen.items():
        sightings.sort(key=lambda sighting: sighting[0])
        made[name] = Track([at_s - first for at_s, _cell in sightings], [cell for _at, cell in sightings])
    hold_s = slot_s if counts_slots else gap_s
    return Replay(path, cells, made, hold_s, dwell_slot_s)


def _slot(path: str, line: int, row: Mapping[str, str | None]) -> int:
    text = row.get("slot")
    try:
        return int(text or "")
    except ValueError:
        raise TraceError(
            f"{path}: line {line}: slot is {text!r}, not a whole number; give a column slot or time"
        ) from None


def _time(path: str, line: int, row: Mapping[str, str | None]) -> float:
    text = (row["time"] or "").strip()
    try:
        value = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            raise TraceError(
                f"{path}: line {line}: time is {text!r}; allowed: seconds, or ISO 8601, 2026-11-23T08:00:00Z"
            ) from None
        value = moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
    if not math.isfinite(value):
        raise TraceError(f"{path}: line {line}: time is {text!r}; allowed: a finite number of seconds")
    return value
