# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading traces of user movement and tables of cells: one reader for what is learned and replayed."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import ModelError, TraceError
from ..base.requirements import require_numpy
from ..inputs.table import (
    MAX_FILE_BYTES,
    check_file,
    degrees_of,
    is_calendar_date,
    name_of,
    slot_of,
    table_rows,
    time_of,
)
from .cells import CellMap, graph_map

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

OFF_DUTY = -1
# Entries of the matrix (slots, users) that is learned from: a month of minutes of a thousand users.
MAX_ENTRIES = 50_000_000
# A cell that is so many times as far from its nearest one as cells usually are is in the wrong place.
FAR_TIMES = 50.0


@dataclass(frozen=True)
class Session:
    """One user on duty without a gap: ``cells`` (T,) indices, one a slot, from slot ``start`` on."""

    user: int
    start: int
    cells: NDArray[np.int64]


@dataclass(frozen=True)
class Sightings:
    """Where one user was seen: ``at`` (slots or seconds, rising), the ``cell``, the ``line`` of the file."""

    at: list[float]
    cell: list[int]
    line: list[int]


@dataclass(frozen=True)
class Recorded:
    """A trace as it was recorded: sightings by user, users in the order of the file.

    ``moments``: (moment, line) of every row, in the order of time, also of users that were left out.
    ``slots``: whether moments count slots; else they are seconds.
    """

    path: str
    users: dict[str, Sightings]
    moments: list[tuple[float, int]]
    slots: bool

    @property
    def first(self) -> float:
        """The earliest moment."""
        return self.moments[0][0]


def read_cells(
    path: str | Path,
    cell_size_m: float,
    neighbour_radius_m: float | None = None,
    said: list[str] | None = None,
) -> CellMap:
    """The cell table: a CSV file with the columns ``cell``, ``lat``, ``lon`` (degrees)."""
    lines: dict[str, int] = {}
    degrees = []
    for line, row in table_rows(path, ("cell", "lat", "lon"), said):
        name = name_of(path, line, row, "cell")
        if name in lines:
            raise TraceError(
                f"{path}: line {line}: cell {name!r} is twice in the table, first in line {lines[name]}"
            )
        lines[name] = line
        degrees.append((degrees_of(path, line, row, "lat", 90.0), degrees_of(path, line, row, "lon", 180.0)))
    if not lines:
        raise TraceError(f"{path}: no cell in the table")
    made = graph_map(list(lines), np.array(degrees), cell_size_m, neighbour_radius_m)
    if said is not None and len(made) > 2:
        said.extend(_far_cells(path, made, list(lines.values())))
    if said is not None:
        said.extend(_same_places(path, made, list(lines.values())))
    return made


def _same_places(path: str | Path, cells: CellMap, lines: list[int]) -> list[str]:
    first: dict[tuple[float, ...], int] = {}
    for cell, place in enumerate(cells.xy_m.round(3).tolist()):
        here = tuple(place)
        if here in first:
            other = first[here]
            return [
                f"{path}: line {lines[cell]}: cell {cells.ids[cell]!r} is where cell {cells.ids[other]!r} of "
                f"line {lines[other]} is; positions in degrees find the first one only"
            ]
        first[here] = cell
    return []


def _far_cells(path: str | Path, cells: CellMap, lines: list[int]) -> list[str]:
    nearest_m = cells.nearest_m()
    usual_m = max(cells.usual_spacing_m(), cells.cell_size_m)
    far = int(nearest_m.argmax())
    if nearest_m[far] <= FAR_TIMES * usual_m:
        return []
    return [
        f"{path}: line {lines[far]}: cell {cells.ids[far]!r} is {nearest_m[far] / 1000:.0f} km from the "
        f"nearest other one, where cells usually are {usual_m / 1000:.3g} km apart; is its position right?"
    ]


def read_recorded(
    path: str | Path,
    cells: CellMap,
    *,
    prefer: str = "time",
    users: Collection[str] | None = None,
    said: list[str] | None = None,
) -> Recorded:
    """The rows of a CSV file with the columns ``user``, ``time`` or ``slot``, ``cell`` or ``lat``, ``lon``.

    ``time`` is in seconds, or ISO 8601. Rows may come in any order.

    :param prefer: which of ``time`` and ``slot`` counts where both are there.
    :param users: read these only; every row must still have a user and a moment.
    :raises TraceError: the file is no such trace; the message names the line.
    """
    found: dict[str, list[tuple[float, int, int]]] = {}
    moment_of = None
    moments: list[tuple[float, int]] = []
    for line, row in table_rows(path, ("user",), said):
        moment_of = moment_of or _Moments(path, row, prefer)
        name = name_of(path, line, row, "user")
        at = moment_of(line, row)
        moments.append((at, line))
        seen = found.setdefault(name, [])
        if users is None or name in users:
            seen.append((at, line, place_of(path, line, row, cells)))
    if moment_of is None:
        raise TraceError(f"{path}: no row in the trace")
    made, torn = {}, []
    for name, seen in found.items():
        made[name] = kept = Sightings([], [], [])
        for at, line, cell in sorted(seen):
            if kept.at and kept.at[-1] == at:
                if kept.cell[-1] != cell:
                    torn.append((line, name, kept.line[-1]))
                kept.cell[-1], kept.line[-1] = cell, line
                continue
            kept.at.append(at)
            kept.cell.append(cell)
            kept.line.append(line)
    if torn and said is not None:
        line, name, before = min(torn)
        more = f", and so on in {len(torn) - 1} more rows" if len(torn) > 1 else ""
        said.append(
            f"{path}: line {line}: user {name!r} is in another cell at the same moment than in line {before}"
            f"{more}; the later line counts"
        )
    if said is not None and all(is_calendar_date(at) for at, _line in moments):
        column = "slot" if moment_of.slots else "time"
        said.append(
            f"{path}: line {moments[0][1]}: {column} is {moments[0][0]:.0f}, and all others look like "
            f"dates, too, but count as {'slots' if moment_of.slots else 'seconds'}; write dates as "
            "2026-11-23T00:00:00Z"
        )
    return Recorded(str(path), made, sorted(moments), moment_of.slots)


class _Moments:
    """Reads the moment of each row, all of the same kind.

    :param row: the first one; it tells whether slots or times count.
    """

    def __init__(self, path: str | Path, row: Mapping[str, str], prefer: str) -> None:
        self._path = path
        self.slots = "time" not in row or (prefer == "slot" and "slot" in row)
        # Its line, and how its time is written.
        self._first: tuple[int, str] | None = None

    def __call__(self, line: int, row: Mapping[str, str]) -> float:
        if self.slots:
            return float(slot_of(self._path, line, row))
        at, written = time_of(self._path, line, row)
        self._first = self._first or (line, written)
        if self._first[1] != written:
            raise TraceError(
                f"{self._path}: line {line}: time is {row['time']!r}, {written}, but that of line "
                f"{self._first[0]} is {self._first[1]}; allowed: all in one way"
            )
        return at


def read_trace(
    path: str | Path,
    cells: CellMap,
    *,
    slot_s: float = 60.0,
    gap_s: float = 300.0,
    said: list[str] | None = None,
) -> NDArray[np.int64]:
    """Cell index (slots, users) of every user, ``OFF_DUTY`` where there is none.

    Either a ``.npz`` file with one array ``cell`` (slots, users) of 1-based places in the cell
    table, 0 = off duty; or a CSV file as :func:`read_recorded` takes it. Where it has times and no slots, a
    slot is ``slot_s`` long, and a user is taken to be where they were seen last until they are seen again,
    for ``gap_s`` at most.
    """
    if str(path).endswith(".npz"):
        return read_npz(path, cells)
    recorded = read_recorded(path, cells, prefer="slot", said=said)
    unit = 1.0 if recorded.slots else slot_s
    slots = int((recorded.moments[-1][0] - recorded.first) // unit) + 1
    if slots * len(recorded.users) > MAX_ENTRIES:
        raise TraceError(f"{path}: {_too_long(recorded, slots)}")
    if said is not None:
        said.extend(brevity(recorded, slot_s))
    trace = np.full((slots, len(recorded.users)), OFF_DUTY, dtype=np.int64)
    for column, seen in enumerate(recorded.users.values()):
        slot = np.floor((np.array(seen.at) - recorded.first) / unit).astype(np.int64)
        if not recorded.slots:
            for index in range(1, len(slot)):
                if seen.at[index] - seen.at[index - 1] <= gap_s:
                    trace[slot[index - 1] : slot[index], column] = seen.cell[index - 1]
        # Of several sightings in a slot the last one stays.
        trace[slot, column] = seen.cell
    return trace


def brevity(recorded: Recorded, slot_s: float) -> list[str]:
    """A sentence where all that was recorded is within one slot, as where times count days or minutes."""
    length_s = recorded.moments[-1][0] - recorded.first
    if recorded.slots or not 0 < length_s < slot_s:
        return []
    return [
        f"{recorded.path}: the whole trace is {length_s:.3g} s long, less than a slot of {slot_s:g} s; do "
        "its times count seconds?"
    ]


def _too_long(recorded: Recorded, slots: int) -> str:
    before, after = max(pairwise(recorded.moments), key=lambda pair: pair[1][0] - pair[0][0])
    unit = "slots" if recorded.slots else "s"
    return (
        f"the trace is {slots:.4g} slots long with {len(recorded.users)} users, more than can be learned "
        f"from; between line {before[1]} and line {after[1]} there are {after[0] - before[0]:.0f} {unit} in "
        "which nobody is seen. Is the moment of one of them wrong, or does slot count seconds?"
    )


def check_learnable(path: str | Path, trace: NDArray[np.int64], said: list[str] | None = None) -> None:
    """Whether movement can be learned from *trace* (slots, users).

    :raises TraceError: no one's next cell is known.
    :param said: gets a sentence where little can be learned.
    """
    on = trace != OFF_DUTY
    seen, pairs = int(on.sum()), int((on[1:] & on[:-1]).sum())
    if not pairs:
        raise TraceError(
            f"{path}: no user is seen in two slots in a row, so nothing can be learned of how users "
            f"move{_step_of(on)}"
        )
    if said is None:
        return
    if pairs < 0.5 * seen:
        said.append(
            f"{path}: only {pairs} of {seen} sightings have one of the same user in the next slot; the "
            f"others teach nothing{_step_of(on)}"
        )
    if not ((trace[1:] != trace[:-1]) & on[1:] & on[:-1]).any():
        said.append(f"{path}: no user ever changes cell; what is learned is that users stay where they are")


def _step_of(on: NDArray[np.bool_]) -> str:
    """What the slots of users go up in, where that is not 1."""
    step = 0
    for column in on.T:
        step = math.gcd(step, *np.diff(np.flatnonzero(column)).tolist())
    return (
        f"; slots go up by {step}: does slot count seconds, or time milliseconds? "
        "Slots must count 0, 1, 2, ..."
        if step > 1
        else ""
    )


def sessions_of(trace: NDArray[np.int64], users: Iterable[int] | None = None) -> list[Session]:
    """The sessions of a trace (slots, users): a gap ends one; a service does not outlive it."""
    found = []
    for user in range(trace.shape[1]) if users is None else users:
        column = trace[:, user]
        edges = np.flatnonzero(np.diff(np.r_[False, column != OFF_DUTY, False].astype(np.int8)))
        for start, end in edges.reshape(-1, 2):
            found.append(Session(int(user), int(start), column[start:end]))
    return found


def place_of(path: str | Path, line: int, row: Mapping[str, str], cells: CellMap) -> int:
    """The cell of a row: that of its column ``cell``, else the one nearest to ``lat`` and ``lon``."""
    name = row.get("cell")
    if name is not None:
        index = cells.index(name)
        if index is None:
            raise TraceError(f"{path}: line {line}: cell {name!r} is not in the cell table")
        return index
    latitude = degrees_of(path, line, row, "lat", 90.0)
    longitude = degrees_of(path, line, row, "lon", 180.0)
    try:
        index, distance_m = cells.nearest(cells.project(latitude, longitude))
    except ModelError as error:
        raise TraceError(f"{path}: line {line}: {error}") from error
    if distance_m > cells.reach_m():
        raise TraceError(
            f"{path}: line {line}: ({latitude}, {longitude}) is {distance_m:.0f} m from the nearest "
            f"cell, off the map"
        )
    return index


def read_npz(path: str | Path, cells: CellMap) -> NDArray[np.int64]:
    """The array ``cell`` of a ``.npz`` file as :func:`read_trace` returns it."""
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAX_FILE_BYTES:
            raise TraceError(f"{path}: it unpacks to {unpacked} bytes; allowed: {MAX_FILE_BYTES}")
        with np.load(path, allow_pickle=False) as loaded:
            trace = loaded["cell"]
    except (
        OSError,
        KeyError,
        ValueError,
        EOFError,
        OverflowError,
        MemoryError,
        SyntaxError,
        TypeError,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise TraceError(f"{path}: not a trace: {error or type(error).__name__}") from error
    if trace.ndim != 2 or not np.issubdtype(trace.dtype, np.integer):
        raise TraceError(
            f"{path}: array 'cell' is {trace.dtype} {trace.shape}, not whole numbers (slots, users)"
        )
    if trace.size > MAX_ENTRIES or not trace.size:
        raise TraceError(f"{path}: array 'cell' is {trace.shape}; allowed: 1 to {MAX_ENTRIES} entries")
    if trace.min() < 0 or trace.max() > len(cells):
        raise TraceError(
            f"{path}: cells {int(trace.min())} to {int(trace.max())}; the cell table has 1 to {len(cells)}"
        )
    trace = trace.astype(np.int64) - 1
    if (trace == OFF_DUTY).all():
        raise TraceError(f"{path}: no user is ever there, all entries are 0")
    return trace
