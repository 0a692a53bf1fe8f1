# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fig. 8 of Wang et al. (ToN 2019): what a service costs through a day of real taxis.

The settings are those of the authors' published code. Distances are in degrees over their cell size of 0.01
degrees, rounded up; hosts are in 100 of the 209 cells and hold 50 services each; a service is at most 20
rings from its user; the discount is 0.9. Costs depend on the load: with n of at most m users in a slot, G
is 1 / (1 - n / (1.5 m)), a move over distance x costs 2 G - G 0.8^x, and a slot of use G - G 0.8^x. To
start a service costs G. Each slot solves the distance chain anew; the share of users who leave their cell
in it is all that it knows of how they move. One thing is not as in that code: a service for which a host
has no room goes to the best host that has some, not to the first one of the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..base.errors import DecisionError, TraceError
from ..base.requirements import require_numpy
from ..inputs.table import check_file, degrees_of, table_rows
from ..mdp.cells import RING_SLACK
from ..mdp.costs import ConstantPlusExponential, load_dependent_migration, load_dependent_transmission
from ..mdp.distance_chain import distance_chain
from ..mdp.solver import Improvement
from ..mdp.trace import OFF_DUTY, read_cells, read_trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()

CELL_DEGREES = 0.01
HOSTS, ROOM, RINGS = 100, 50, 20
DISCOUNT, BASE, RESOURCE_RATIO = 0.9, 0.8, 1.5
NEVER, ALWAYS, MYOPIC, CHAIN = "never", "always", "myopic", "mdp_distance"
RULES = (NEVER, ALWAYS, MYOPIC, CHAIN)
OFFLINE = "offline_optimum"
# The authors' file, by its name in their repository.
PUBLISHED = "traceRealCellLocations.mat"


@dataclass(frozen=True)
class Day:
    """A day of users.

    ``degrees``: (N, 2) latitude and longitude of the cells. ``cell``: (slots, users) in the order of time,
    ``OFF_DUTY`` where a user is not there. ``start_s``: the first slot in seconds since 1970, UTC, if it is
    known.
    """

    degrees: NDArray[np.float64]
    cell: NDArray[np.int64]
    start_s: float | None
    slot_s: float


def read_day(path: str, cells_file: str | None = None, slot_s: float = 60.0) -> Day:
    """The authors' published file (``.mat``), or any other trace with its cell table."""
    if not path.endswith(".mat"):
        if cells_file is None:
            raise TraceError(f"{path}: figure_8 needs the cell table of this trace (cells.csv beside it)")
        trace = read_trace(path, read_cells(cells_file, 500.0), slot_s=slot_s)
        return Day(_degrees_of(cells_file), trace, None, slot_s)
    check_file(path)
    try:
        from scipy.io import loadmat  # noqa: PLC0415
    except ImportError as error:
        raise DecisionError(
            f"{path}: reading a MATLAB file needs scipy on the controller: python3 -m pip install "
            "'scipy>=1.11'"
        ) from error
    names = ("cellOfUsers", "coordinatesCells2D", "timeMin", "updateTimeStep")
    try:
        held: Mapping[str, Any] = loadmat(path, variable_names=names)
        seen, degrees = held[names[0]], np.asarray(held[names[1]], dtype=float)
        start_s, step_s = (float(held[name].item()) for name in names[2:])
    except Exception as error:
        # scipy raises of everything for a file that is none.
        raise TraceError(
            f"{path}: not {PUBLISHED} of Wang et al.: {error or type(error).__name__}; it holds "
            f"{', '.join(names)}"
        ) from error
    if (
        seen.ndim != 2
        or degrees.ndim != 2
        or degrees.shape[1] != 2
        or seen.max() > len(degrees)
        or step_s <= 0
    ):
        raise TraceError(
            f"{path}: {names[0]} is {seen.shape} with cells up to {seen.max()}, {names[1]} "
            f"{degrees.shape}; needed: (slots, users) with numbers of the cells, and (cells, 2)"
        )
    # It has the last slot first, and 0 for users who are not there.
    return Day(degrees, seen[::-1].astype(np.int64) - 1, start_s, step_s)


def _degrees_of(path: str) -> NDArray[np.float64]:
    """Latitude and longitude of the cells of a table."""
    return np.array(
        [
            (degrees_of(path, line, row, "lat", 90.0), degrees_of(path, line, row, "lon", 180.0))
            for line, row in table_rows(path, ("cell", "lat", "lon"))
        ]
    )


def figure_8(day: Day) -> dict[str, Any]:
    """Cost of a user by slot under each rule, in the order of time, its mean over the day, and moves an
    hour."""
    if len(day.degrees) < HOSTS:
        raise DecisionError(f"figure_8 puts hosts in {HOSTS} cells; the trace has {len(day.degrees)}")
    world = _World(day)
    series: dict[str, list[float]] = {}
    moves: dict[str, float] = {}
    for name in RULES:
        series[name], moves[name] = world.run(name)
    series[OFFLINE], moves[OFFLINE] = world.offline()
    users = [int(count) for count in world.users]
    mean = {name: float(np.mean(line)) for name, line in series.items()}
    best = min((NEVER, ALWAYS, MYOPIC), key=mean.__getitem__)
    gap = mean[best] - mean[OFFLINE]
    return {
        "users": users,
        "start_s": day.start_s,
        "slot_s": day.slot_s,
        "cost": series,
        "mean": mean,
        "best_simple": best,
        "gap_closed": {name: (mean[best] - cost) / gap if gap else 0.0 for name, cost in mean.items()},
        "moves_an_hour": moves,
    }


def rings(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of differences (..., 2) in degrees, as the authors count it."""
    found: NDArray[np.float64] = np.ceil(
        np.hypot(degrees[..., 0], degrees[..., 1]) / CELL_DEGREES - RING_SLACK
    )
    return found + 0.0


class _World:
    """What all rules have in common: distances, costs and users by slot."""

    def __init__(self, day: Day) -> None:
        self.cell = day.cell
        self.slot_s = day.slot_s
        self.there = day.cell != OFF_DUTY
        self.users = self.there.sum(axis=1)
        if not self.users.all():
            slot = int(self.users.argmin())
            raise DecisionError(
                f"figure_8: no user is there in slot {slot}; a mean cost of nobody has no value"
            )
        # The placement of spread_hosts, which is theirs.
        step = len(day.degrees) / HOSTS
        self.host_cell = np.array([int(i * step + 0.5) - 1 for i in range(1, HOSTS + 1)])
        places = day.degrees[self.host_cell]
        away = day.degrees[:, None] - places[None]
        self.to_host = rings(away)
        # Of several nearest hosts the first one, as in MATLAB.
        self.nearest = (away**2).sum(axis=2).argmin(axis=1)
        self.between = rings(places[:, None] - places[None])
        self.costs = [self._cost(int(count)) for count in self.users]

    def _cost(self, count: int) -> tuple[ConstantPlusExponential, ConstantPlusExponential]:
        """(migration, transmission) with so many users in the system."""
        most = int(self.users.max())
        return (
            load_dependent_migration(count, most, RESOURCE_RATIO, BASE),
            load_dependent_transmission(count, most, RESOURCE_RATIO, BASE),
        )

    def _ahead(self, slot: int) -> NDArray[np.float64]:
        """(N, H) what follows a slot in which the service is on a host, by the distance chain of this
        slot."""
        migration, transmission = self.costs[slot]
        leave = 0.0
        if slot + 1 < len(self.cell):
            moved = self.there[slot] & (self.cell[slot + 1] != self.cell[slot])
            leave = float(moved.sum() / self.users[slot])
        chain = distance_chain(RINGS, leave / 6, migration, transmission, DISCOUNT)
        value, _action = chain.solve()
        by_ring = DISCOUNT * (chain.transition @ value)
        found: NDArray[np.float64] = by_ring[np.minimum(self.to_host, RINGS).astype(np.int64)]
        return found

    def _score(
        self, name: str, slot: int, user_cell: NDArray[np.int64], host: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(users, H) what each host costs by a rule, which takes the least; *host* is -1 for a new
        service."""
        away = self.to_host[user_cell]
        migration, transmission = self.costs[slot]
        moving = np.where(host[:, None] >= 0, migration(self.between[host]), 0.0)
        if name == ALWAYS:
            return away
        if name == NEVER:
            stays = (host >= 0) & (away[np.arange(len(host)), host] < RINGS)
            # A service that stays is not compared with others.
            return np.where(stays[:, None], np.where(np.arange(HOSTS) == host[:, None], -1.0, away), away)
        if name == MYOPIC:
            return np.where(away < RINGS, moving + transmission(away), np.inf)
        return moving + transmission(np.minimum(away, RINGS)) + self._ahead(slot)[user_cell]

    def run(self, name: str) -> tuple[list[float], float]:
        """Cost of a user in each slot, and moves of a user in an hour."""
        slots, users = self.cell.shape
        host = np.full(users, -1, dtype=np.int64)
        found, moves = [], 0
        for slot in range(slots):
            active = np.flatnonzero(self.there[slot])
            host[~self.there[slot]] = -1
            at, before = self.cell[slot, active], host[active]
            score = self._score(name, slot, at, before)
            target = score.argmin(axis=1)
            follows = (before < 0) | (name == ALWAYS)
            if name == NEVER:
                follows |= self.to_host[at, before] >= RINGS
            target[follows] = self.nearest[at[follows]]
            self._make_room(target, score)
            migration, transmission = self.costs[slot]
            # Starting a service costs what a move over no distance would: so do the authors count it.
            start = migration.constant + migration.proportional
            paid = np.where(before < 0, start, migration(self.between[before, target]))
            used = transmission(self.to_host[at, target])
            found.append(float((paid + used).sum() / len(active)))
            moves += int(((before >= 0) & (before != target)).sum())
            host[active] = target
        return found, moves / float(self.users.sum()) * 3600 / self.slot_s

    @staticmethod
    def _make_room(target: NDArray[np.int64], score: NDArray[np.float64]) -> None:
        """Services that are too many on a host, those that cost most there, go to the best host with room."""
        count = np.bincount(target, minlength=HOSTS)
        for full in np.flatnonzero(count > ROOM).tolist():
            here = np.flatnonzero(target == full)
            order = here[np.argsort(-score[here, full], kind="stable")]
            for one in order[: count[full] - ROOM].tolist():
                choices = score[one].argsort(kind="stable")
                room = choices[count[choices] < ROOM]
                if not room.size:
                    raise DecisionError(
                        f"figure_8: {len(target)} users, and {HOSTS} hosts of {ROOM} services each"
                    )
                target[one] = room[0]
                count[room[0]] += 1
                count[full] -= 1

    def offline(self) -> tuple[list[float], float]:
        """The least cost of a user in each slot for who knows the day; as if hosts were never full: a
        bound."""
        slots, users = self.cell.shape
        value = np.zeros((users, HOSTS))
        choice: list[NDArray[np.int32]] = []
        for slot in range(slots - 1, -1, -1):
            active = np.flatnonzero(self.there[slot])
            value[~self.there[slot]] = 0.0
            migration, transmission = self.costs[slot]
            ahead = value[active] + transmission(self.to_host[self.cell[slot, active]])
            best, target = Improvement(migration(self.between))(ahead)
            value[active] = best
            choice.append(target)
        choice.reverse()
        host = np.full(users, -1, dtype=np.int64)
        found, moves = [], 0
        for slot in range(slots):
            active = np.flatnonzero(self.there[slot])
            host[~self.there[slot]] = -1
            at, before = self.cell[slot, active], host[active]
            target = np.where(before < 0, self.nearest[at], choice[slot][np.arange(len(active)), before])
            migration, transmission = self.costs[slot]
            start = migration.constant + migration.proportional
            paid = np.where(before < 0, start, migration(self.between[before, target]))
            found.append(float((paid + transmission(self.to_host[at, target])).sum() / len(active)))
            moves += int(((before >= 0) & (before != target)).sum())
            host[active] = target
        return found, moves / float(self.users.sum()) * 3600 / self.slot_s
