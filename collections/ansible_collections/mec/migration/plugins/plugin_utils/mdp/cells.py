# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cells on a plane, their neighbours by direction, and the distances that costs depend on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..base.errors import ModelError
from ..base.requirements import require_numpy
from ..inputs.earth import middle, offset_m

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

# Distances between grid cells are whole multiples of the cell size up to rounding; without the slack
# ceil() would count a neighbour at 1 + 1e-16 cells as two rings away.
RING_SLACK = 1e-8
NO_CELL = -1


@dataclass(frozen=True)
class CellMap:
    """The cells a user can be in.

    ``ids``: N names, as strings. ``xy_m``: (N, 2) centres in metres, x east and y north of
    ``origin``. ``neighbours``: (N, D) index of the neighbour in each of D directions, ``NO_CELL``
    where there is none. ``origin``: latitude and longitude in degrees of xy (0, 0), or None where
    the map is not on the earth.
    """

    kind: str
    ids: tuple[str, ...]
    xy_m: NDArray[np.float64]
    neighbours: NDArray[np.int64]
    cell_size_m: float
    origin: tuple[float, float] | None = None
    _index: dict[str, int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not np.isfinite(self.xy_m).all():
            raise ModelError("the map has a cell whose coordinates are not finite numbers")
        self._index.update({name: position for position, name in enumerate(self.ids)})
        if len(self._index) != len(self.ids):
            raise ModelError("the map names the same cell twice")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def directions(self) -> int:
        """How many directions of movement the map tells apart."""
        return int(self.neighbours.shape[1])

    def index(self, cell: object) -> int | None:
        """Position of the cell named ``cell``, or None where the map has no such cell."""
        return self._index.get(str(cell))

    def project(self, latitude: float, longitude: float) -> NDArray[np.float64]:
        """Position (2,) in metres of a point in degrees."""
        if self.origin is None:
            raise ModelError(
                "the map has no origin in latitude and longitude, so a position in degrees means nothing on "
                "it; give user_cell and mec_cell, or map.origin in the policy"
            )
        return project(np.array([[latitude, longitude]], dtype=float), self.origin)[0]

    def nearest(self, xy_m: NDArray[np.float64]) -> tuple[int, float]:
        """Nearest cell to a point (2,), and how far its centre is in metres."""
        distance_m = np.hypot(*(self.xy_m - xy_m).T)
        cell = int(distance_m.argmin())
        return cell, float(distance_m[cell])

    def reach_m(self) -> float:
        """How far from the nearest centre a user can be and still be on the map: three cells.

        Real cells are uneven; a user farther out than this would be decided for at a made-up place.
        """
        return 3.0 * max(self.cell_size_m, self.spacing_m())

    def spacing_m(self) -> float:
        """Largest distance in metres from a cell to its nearest other cell."""
        return self.cell_size_m if len(self) == 1 else float(self.nearest_m().max())

    def usual_spacing_m(self) -> float:
        """Distance in metres from a cell to its nearest other one, in the middle of all cells."""
        return self.cell_size_m if len(self) == 1 else float(np.median(self.nearest_m()))

    def nearest_m(self) -> NDArray[np.float64]:
        """(N,) distance in metres from each cell to its nearest other one; infinite for a single cell."""
        nearest = np.empty(len(self))
        for start in range(0, len(self), 256):
            block = self.xy_m[start : start + 256]
            distance_m = np.hypot(*(block[:, None] - self.xy_m[None]).transpose(2, 0, 1))
            distance_m[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
            nearest[start : start + 256] = distance_m.min(axis=1)
        return nearest

    def direction_between(self, source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.int64]:
        """Direction index of each move ``source`` to ``target``: the sector its bearing falls in."""
        delta = self.xy_m[target] - self.xy_m[source]
        return sector(np.arctan2(delta[..., 1], delta[..., 0]), self.directions)


def sector(angle: NDArray[np.float64], directions: int) -> NDArray[np.int64]:
    """Which of ``directions`` equal sectors, the first centred on east, an angle in radians falls in."""
    width = 2 * math.pi / directions
    return np.floor(angle / width + 0.5).astype(np.int64) % directions


def project(degrees: NDArray[np.float64], origin: tuple[float, float]) -> NDArray[np.float64]:
    """Projection of (N, 2) latitude, longitude in degrees to (N, 2) x, y in metres; see :func:`offset_m`."""
    return np.array([offset_m(latitude, longitude, origin) for latitude, longitude in degrees.tolist()])


def hexagon_grid(rings: int, cell_size_m: float = 1.0, origin: tuple[float, float] | None = None) -> CellMap:
    """A hexagon of 1 + 3 N (N + 1) cells around cell "0", numbered ring by ring from the east
    corner.

    :param rings: N of Wang et al. (ToN 2019, Section V), the rings around the centre.
    """
    steps = [(math.cos(math.pi / 3 * d), math.sin(math.pi / 3 * d)) for d in range(6)]
    axial_steps = [(1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)]
    axial = [(0, 0)]
    for ring in range(1, rings + 1):
        place = (ring, 0)
        for side in range(6):
            turn = axial_steps[(side + 2) % 6]
            for _turn in range(ring):
                axial.append(place)
                place = (place[0] + turn[0], place[1] + turn[1])
    at = {place: index for index, place in enumerate(axial)}
    neighbours = [[at.get((q + dq, r + dr), NO_CELL) for dq, dr in axial_steps] for q, r in axial]
    xy = [(q * steps[0][0] + r * steps[1][0], q * steps[0][1] + r * steps[1][1]) for q, r in axial]
    return CellMap(
        "hexagon",
        tuple(str(i) for i in range(len(axial))),
        np.array(xy) * cell_size_m,
        np.array(neighbours, dtype=np.int64),
        cell_size_m,
        origin,
    )


def square_grid(
    rows: int, columns: int, cell_size_m: float = 1.0, origin: tuple[float, float] | None = None
) -> CellMap:
    """``rows`` x ``columns`` cells, numbered row by row from the south-west corner at xy (0, 0)."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    neighbours = np.full((rows * columns, 4), NO_CELL, dtype=np.int64)
    for direction, (d_column, d_row) in enumerate([(1, 0), (0, 1), (-1, 0), (0, -1)]):
        inside = (
            (column + d_column >= 0)
            & (column + d_column < columns)
            & (row + d_row >= 0)
            & (row + d_row < rows)
        )
        target = (row + d_row) * columns + column + d_column
        neighbours[inside, direction] = target[inside]
    return CellMap(
        "square",
        tuple(str(i) for i in range(rows * columns)),
        np.stack([column, row], axis=1) * float(cell_size_m),
        neighbours,
        cell_size_m,
        origin,
    )


def graph_map(
    ids: Sequence[object],
    degrees: NDArray[np.float64],
    cell_size_m: float,
    neighbour_radius_m: float | None = None,
) -> CellMap:
    """Cells anywhere, with latitude and longitude in degrees (N, 2).

    Two cells are neighbours where they are no farther apart than ``neighbour_radius_m`` (default:
    twice the largest distance to a nearest cell) and each is the other's nearest within one of six
    sectors; so the random walk has at most six ways out, as on the hexagon grid.
    """
    degrees = np.asarray(degrees, dtype=float)
    origin = middle(degrees.tolist())
    xy_m = project(degrees, origin)
    count = len(xy_m)
    delta = xy_m[None] - xy_m[:, None]
    distance_m = np.hypot(delta[..., 0], delta[..., 1])
    np.fill_diagonal(distance_m, np.inf)
    radius_m = neighbour_radius_m
    if radius_m is None:
        radius_m = 2 * float(distance_m.min(axis=1).max()) if count > 1 else cell_size_m
    sectors = sector(np.arctan2(delta[..., 1], delta[..., 0]), 6)
    neighbours = np.full((count, 6), NO_CELL, dtype=np.int64)
    for direction in range(6):
        reach = np.where((sectors == direction) & (distance_m <= radius_m), distance_m, np.inf)
        nearest = reach.argmin(axis=1)
        found = np.isfinite(reach[np.arange(count), nearest])
        neighbours[found, direction] = nearest[found]
    return CellMap("cells", tuple(str(i) for i in ids), xy_m, neighbours, cell_size_m, origin)


def rings_between(
    source_m: NDArray[np.float64], target_m: NDArray[np.float64], cell_size_m: float
) -> NDArray[np.float64]:
    """Distance in rings, (S, T), between points (S, 2) and (T, 2) in metres.

    ceil(Euclidean / cell size), the distance of Wang et al. (their published code); not hexagon
    hops.
    """
    # In place: on the largest maps this array is a gibibyte, and each temporary another one.
    rings = np.subtract.outer(source_m[:, 0], target_m[:, 0])
    np.hypot(rings, np.subtract.outer(source_m[:, 1], target_m[:, 1]), out=rings)
    rings /= cell_size_m
    rings -= RING_SLACK
    np.ceil(rings, out=rings)
    rings += 0.0
    return rings
