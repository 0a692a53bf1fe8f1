"""A day of taxis as users: who is learned from, who is served, where hosts stand, what each rule costs."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation.hindsight import (
    RUN,
    Slot,
    strategies_of,
)
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.hosts import Host
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import Policy, check, read_policy
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.cells import CellMap
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.mobility import encode_path
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.model import (
    build_map,
    build_mobility,
    build_world,
)
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.strategies import World, mdp_direction
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.trace import OFF_DUTY, read_trace, sessions_of
from numpy.typing import NDArray

HERE = Path(__file__).parent
SLOT_MINUTES, HOUR_MINUTES = 5, 60
SLOTS = HOUR_MINUTES // SLOT_MINUTES
USERS = 12
HOSTS = ("edge-a", "edge-b", "edge-c")
# Of an hour, for a taxi to count as one that drives.
LEAST_MINUTES = 30


@dataclass(frozen=True)
class Day:
    """The day, halved: every second taxi is learned from, the others are served."""

    cells: CellMap
    policy: Policy
    learned: NDArray[np.int64]
    served: NDArray[np.int64]

    def hosts(self) -> list[Host]:
        """Where hosts stand: the three cells from which the half that is learned from is nearest on average.

        The usual exchange search for the p-median (Teitz and Bart, 1968), from a greedy start.
        """
        seen = np.bincount(self.learned[self.learned != OFF_DUTY], minlength=len(self.cells))
        delta = self.cells.xy_m[:, None] - self.cells.xy_m[None]
        distance_m = np.hypot(delta[..., 0], delta[..., 1])

        def best_with(chosen: list[int]) -> int:
            kept = distance_m[:, chosen].min(axis=1, initial=np.inf)
            return int((seen @ np.minimum(kept[:, None], distance_m)).argmin())

        chosen: list[int] = []
        for _host in HOSTS:
            chosen.append(best_with(chosen))
        while True:
            before = list(chosen)
            for place in range(len(HOSTS)):
                chosen[place] = best_with(chosen[:place] + chosen[place + 1 :])
            if chosen == before:
                return [Host(name, self.cells.ids[cell]) for name, cell in zip(HOSTS, chosen, strict=True)]

    def groups(self) -> Iterator[tuple[int, list[int]]]:
        """(hour, taxis): in each hour groups of twelve, those on the road the longest first."""
        for hour in range(24):
            part = self.served[hour * HOUR_MINUTES : (hour + 1) * HOUR_MINUTES]
            on_road = (part != OFF_DUTY).sum(axis=0)
            order = np.argsort(-on_road, kind="stable")
            order = order[on_road[order] >= LEAST_MINUTES]
            for first in range(0, len(order) - USERS + 1, USERS):
                yield hour, order[first : first + USERS].tolist()

    def path(self, hour: int, taxi: int) -> NDArray[np.int64]:
        """Cell in each slot of the hour, OFF_DUTY where the taxi was not seen."""
        return self.served[hour * HOUR_MINUTES : (hour + 1) * HOUR_MINUTES : SLOT_MINUTES, taxi]


def read_day(trace_dir: Path, work: Path) -> Day:
    """The day; *work* becomes the data directory of the policy."""
    shutil.copy(trace_dir / "cells.csv", work / "cells.csv")
    policy = check(read_policy(HERE / "taxis.yml", work))
    cells = build_map(policy)
    trace = read_trace(trace_dir / "trace.npz", cells)
    learned, served = trace[:, 0::2], trace[:, 1::2]
    # Five beginnings of slots of five minutes: each is as good a way to see the same taxi.
    length = len(learned) // SLOT_MINUTES
    seen = np.concatenate([learned[first::SLOT_MINUTES][:length] for first in range(SLOT_MINUTES)], axis=1)
    np.savez_compressed(work / "learned.npz", cell=(seen + 1).astype(np.uint8))
    return Day(cells, policy, learned, served)


def write_trace(day: Day, hour: int, taxis: list[int], path: Path) -> None:
    """The hour of these taxis as a CSV file with a row a minute."""
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["user", "slot", "cell"])
        for taxi in taxis:
            for minute in range(HOUR_MINUTES):
                cell = day.served[hour * HOUR_MINUTES + minute, taxi]
                if cell != OFF_DUTY:
                    rows.writerow([f"taxi-{taxi}", minute, day.cells.ids[cell]])


class Simulation:
    """Hours in which each move takes the same time."""

    def __init__(self, day: Day) -> None:
        self._day = day
        self._world = build_world(
            day.policy,
            day.cells,
            day.hosts(),
            build_mobility(day.policy, day.cells),
            measured_costs=table(1.0),
        )

    def hour(self, world: World, action: NDArray[np.int32], hour: int, taxis: list[int]) -> dict[str, float]:
        """Cost by strategy of one hour with these taxis; a service begins where its user is first seen."""
        total: dict[str, float] = {}
        for taxi in taxis:
            start, slots = self._slots(world, action, self._day.path(hour, taxi))
            for strategy, (migration, transmission, _moves) in strategies_of(start, slots).items():
                total[strategy] = total.get(strategy, 0.0) + migration + transmission
        return total

    def _slots(
        self, world: World, action: NDArray[np.int32], path: NDArray[np.int64]
    ) -> tuple[int, list[Slot]]:
        state = np.full(len(path), -1)
        for session in sessions_of(path[:, None]):
            part = slice(session.start, session.start + len(session.cells))
            state[part] = encode_path(self._day.cells, world.mobility.space, session.cells)
        start = here = int(world.nearest_host[path[path != OFF_DUTY][0]])
        slots = []
        for cell, at in zip(path.tolist(), state.tolist(), strict=True):
            if cell == OFF_DUTY:
                slots.append(Slot(None, world.migration_cost, 0, here))
                continue
            here = int(action[at, here])
            nearest = int(world.nearest_host[cell])
            slots.append(Slot(world.transmission_cost[cell], world.migration_cost, nearest, here))
        return start, slots

    def day(self, move_seconds: float) -> list[dict[str, float]]:
        """Each hour and group of the day where a move takes *move_seconds*."""
        world = replace(self._world, migration_cost=self._world.migration_cost * move_seconds)
        action = mdp_direction(world)
        return [self.hour(world, action, hour, taxis) for hour, taxis in self._day.groups()]


def table(seconds: float) -> dict[str, dict[str, float]]:
    return {source: {target: seconds for target in HOSTS if target != source} for source in HOSTS}


def summary(seconds: float, hours: list[dict[str, float]]) -> str:
    """A line of the table."""
    best = [min(cost["never"], cost["always, nearest"]) for cost in hours]
    below = sum(cost[RUN] < least for cost, least in zip(hours, best, strict=True))
    means = {name: sum(cost[name] for cost in hours) / len(hours) for name in hours[0]}
    return (
        f"{seconds:4.0f} s a move: policy {means[RUN]:5.1f}, never {means['never']:5.1f}, nearest "
        f"{means['always, nearest']:5.1f}, offline {means['offline optimum']:5.1f}; below both in {below} of "
        f"{len(hours)}"
    )
