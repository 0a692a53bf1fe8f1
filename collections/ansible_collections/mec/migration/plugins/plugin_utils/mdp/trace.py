# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading traces of user movement and tables of cells."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import TraceError
from ..base.requirements import require_numpy
from .cells import CellMap, graph_map

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

OFF_DUTY = -1


@dataclass(frozen=True)
class Session:
    """One user on duty without a gap: ``cells`` (T,) indices, one a slot, from slot ``start`` on."""

    user: int
    start: int
    cells: NDArray[np.int64]


def read_cells(path: str | Path, cell_size_m: float, neighbour_radius_m: float | None = None) -> CellMap:
    """The cell table: a CSV file with the columns ``cell``, ``lat``, ``lon`` (degrees)."""
    rows = list(table_rows(path, ("cell", "lat", "lon")))
    if not rows:
        raise TraceError(f"{path}: no cell in the table")
    ids, degrees = [], []
    for line, row in rows:
        ids.append(row["cell"].strip())
        degrees.append((_number(path, line, "lat", row, 90.0), _number(path, line, "lon", row, 180.0)))
    return graph_map(ids, np.array(degrees), cell_size_m, neighbour_radius_m)


def read_trace(path: str | Path, cells: CellMap) -> NDArray[np.int64]:
    """Cell index (slots, users) of every user, ``OFF_DUTY`` where there is none.

    Either a ``.npz`` file with one array ``cell`` (slots, users) of 1-based places in the cell
    table, 0 = off duty; or a CSV file with the columns ``slot``, ``user`` and ``cell`` (or ``lat``,
    ``lon``, taken to the nearest cell).
    """
    if str(path).endswith(".npz"):
        return read_npz(path, cells)
    rows = list(table_rows(path, ("slot", "user")))
    if not rows:
        raise TraceError(f"{path}: no row in the trace")
    slots, users, where = [], [], []
    for line, row in rows:
        try:
            slots.append(int(row["slot"]))
        except ValueError:
            raise TraceError(f"{path}: line {line}: slot is {row['slot']!r}, not a whole number") from None
        users.append(row["user"])
        where.append(place_of(path, line, row, cells))
    first = min(slots)
    names = {name: column for column, name in enumerate(dict.fromkeys(users))}
    trace = np.full((max(slots) - first + 1, len(names)), OFF_DUTY, dtype=np.int64)
    for slot, user, cell in zip(slots, users, where, strict=True):
        trace[slot - first, names[user]] = cell
    return trace


def sessions_of(trace: NDArray[np.int64], users: Iterable[int] | None = None) -> list[Session]:
    """The sessions of a trace (slots, users): a gap ends one; a service does not outlive it."""
    found = []
    for user in range(trace.shape[1]) if users is None else users:
        column = trace[:, user]
        edges = np.flatnonzero(np.diff(np.r_[False, column != OFF_DUTY, False].astype(np.int8)))
        for start, end in edges.reshape(-1, 2):
            found.append(Session(int(user), int(start), column[start:end]))
    return found


def table_rows(path: str | Path, needed: tuple[str, ...]) -> Iterable[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV file whose head must name the *needed* columns."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in needed if name not in (reader.fieldnames or [])]
            if missing:
                found = ", ".join(reader.fieldnames or ["nothing"])
                raise TraceError(f"{path}: column {missing[0]!r} is missing; found: {found}")
            for row in reader:
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from error


def _number(path: str | Path, line: int, column: str, row: dict[str, str], limit: float) -> float:
    text = row.get(column) or ""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) <= limit:
        raise TraceError(f"{path}: line {line}: {column} is {text!r}; allowed: -{limit:g} to {limit:g}")
    return value


def place_of(path: str | Path, line: int, row: dict[str, str], cells: CellMap) -> int:
    """The cell of a row: that of its column ``cell``, else the one nearest to ``lat`` and ``lon``."""
    name = row.get("cell")
    if name is not None:
        index = cells.index(name.strip())
        if index is None:
            raise TraceError(f"{path}: line {line}: cell {name!r} is not in the cell table")
        return index
    latitude = _number(path, line, "lat", row, 90.0)
    longitude = _number(path, line, "lon", row, 180.0)
    index, distance_m = cells.nearest(cells.project(latitude, longitude))
    if distance_m > cells.reach_m():
        raise TraceError(
            f"{path}: line {line}: ({latitude}, {longitude}) is {distance_m:.0f} m from the nearest "
            f"cell, off the map"
        )
    return index


def read_npz(path: str | Path, cells: CellMap) -> NDArray[np.int64]:
    """The array ``cell`` of a ``.npz`` file as :func:`read_trace` returns it."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            trace = archive["cell"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise TraceError(f"{path}: not a trace: {error}") from error
    if trace.ndim != 2 or not np.issubdtype(trace.dtype, np.integer):
        raise TraceError(
            f"{path}: array 'cell' is {trace.dtype} {trace.shape}, not whole numbers (slots, users)"
        )
    trace = trace.astype(np.int64) - 1
    if trace.min() < OFF_DUTY or trace.max() >= len(cells):
        raise TraceError(
            f"{path}: cells {int(trace.min()) + 1} to {int(trace.max()) + 1}; the cell table has 1 "
            f"to {len(cells)}"
        )
    return trace
