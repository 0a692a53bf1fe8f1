# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a policy and the hosts of an inventory to the world that strategies decide in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..base.errors import DecisionError
from ..base.requirements import require_numpy
from ..inputs.hosts import LATITUDE_VARIABLE, LONGITUDE_VARIABLE, Host
from ..inputs.policy import Policy
from . import costs
from .cells import CellMap, hexagon_grid, rings_between, square_grid
from .mobility import Mobility, StateSpace, best_dwell_levels, learned, random_walk
from .strategies import Weights, World
from .trace import Session, check_learnable, read_cells, read_trace, sessions_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = require_numpy()


def build_map(policy: Policy, said: list[str] | None = None) -> CellMap:
    """The map of a checked policy.

    :param said: gets a sentence for what is accepted and may still be a mistake; likewise below.
    """
    section = policy.document["map"]
    origin = section.get("origin")
    at = (float(origin["latitude"]), float(origin["longitude"])) if origin else None
    size_m = float(section["cell_size_m"])
    # To JSON Schema 5.0 is an integer, too.
    if section["kind"] == "hexagon":
        return hexagon_grid(int(section["rings"]), size_m, at)
    if section["kind"] == "square":
        return square_grid(int(section["rows"]), int(section["columns"]), size_m, at)
    return read_cells(policy.data_file(section["file"]), size_m, section.get("neighbour_radius_m"), said)


def build_mobility(
    policy: Policy,
    cells: CellMap,
    sessions: Sequence[Session] | None = None,
    said: list[str] | None = None,
) -> tuple[Mobility, Mobility]:
    """(with direction, by cell only) of a checked policy.

    :param sessions: learn from these in place of the policy's trace (the training half of an
        evaluation).
    """
    section = policy.document["mobility"]
    if section["kind"] == "random_walk":
        persistence = float(section.get("persistence", 0.0))
        move = float(section["move_probability"])
        drift = section.get("drift")
        if drift is not None and len(drift) != cells.directions:
            raise policy.wrong(
                "mobility.drift",
                f"{len(drift)} weights",
                f"{cells.directions}, one a direction, counter-clockwise from east",
            )
        # Without memory the same walk has no persistence: the direction is not known, not absent.
        blind = random_walk(cells, move, 0.0, drift)
        return (random_walk(cells, move, persistence, drift) if persistence else blind), blind
    if section["kind"] == "transitions":
        table = transitions(policy, cells)
        return table, table
    if sessions is None:
        path = policy.data_file(section["trace"])
        slot_s = float(policy.document.get("slot_seconds", 60))
        trace = read_trace(path, cells, slot_s=slot_s, said=said)
        check_learnable(path, trace, said)
        sessions = sessions_of(trace)
    paths = [session.cells for session in sessions]
    smoothing = float(section.get("smoothing", 5.0))
    memory = bool(section.get("direction_memory", True))
    levels = section.get("dwell_levels", 1)
    if levels == "auto":
        levels = best_dwell_levels(cells, paths, direction_memory=memory, smoothing=smoothing)
    levels = int(levels)
    blind = learned(cells, paths, direction_memory=False, smoothing=smoothing)
    if not memory and levels == 1:
        return blind, blind
    aware = learned(cells, paths, direction_memory=memory, dwell_levels=levels, smoothing=smoothing)
    return aware, blind


def transitions(policy: Policy, cells: CellMap) -> Mobility:
    """The chain that ``mobility.rows`` gives cell by cell."""
    rows: list[list[tuple[int, float]]] = [[(cell, 1.0)] for cell in range(len(cells))]
    for name, row in policy.document["mobility"]["rows"].items():
        cell = cells.index(name)
        if cell is None:
            raise policy.wrong(f"mobility.rows.{name}", name, "a cell of the map")
        rows[cell] = []
        for following, probability in row.items():
            target = cells.index(following)
            if target is None:
                raise policy.wrong(f"mobility.rows.{name}.{following}", following, "a cell of the map")
            rows[cell].append((target, float(probability)))
    width = max(len(row) for row in rows)
    next_state = np.zeros((len(cells), width), dtype=np.int64)
    probability = np.zeros((len(cells), width))
    for cell, row in enumerate(rows):
        next_state[cell, : len(row)] = [target for target, _weight in row]
        probability[cell, : len(row)] = [weight for _target, weight in row]
    return Mobility(StateSpace(len(cells)), next_state, probability)


def host_positions(cells: CellMap, hosts: Sequence[Host]) -> NDArray[np.float64]:
    """(H, 2) in metres.

    :raises DecisionError: a host is in a cell that the map has not, or nowhere.
    """
    if not hosts:
        raise DecisionError("there is no candidate host")
    xy_m = np.empty((len(hosts), 2))
    for row, host in enumerate(hosts):
        if host.cell is not None:
            cell = cells.index(host.cell)
            if cell is None:
                raise DecisionError(
                    f"host {host.name}: mec_cell is {host.cell!r}; the map has {describe_cells(cells.ids)}"
                )
            xy_m[row] = cells.xy_m[cell]
        elif host.latitude is not None and host.longitude is not None:
            xy_m[row] = cells.project(host.latitude, host.longitude)
        else:
            raise DecisionError(
                f"host {host.name} has no place: set mec_cell, or mec_latitude and mec_longitude, "
                f"in the inventory"
            )
    return xy_m


def far_hosts(cells: CellMap, hosts: Sequence[Host]) -> list[str]:
    """Sentences about hosts that lie farther from the map than it is wide.

    One may be meant so (a data centre far away); latitude and longitude in each other's place look alike.
    """
    wide_m = float(np.hypot(*np.ptp(cells.xy_m, axis=0))) + cells.reach_m()
    said = []
    for host, xy_m in zip(hosts, host_positions(cells, hosts), strict=True):
        distance_m = cells.nearest(xy_m)[1]
        if distance_m > wide_m:
            said.append(
                f"host {host.name} lies {distance_m / 1000:.0f} km from the nearest cell of the map, "
                f"which is {wide_m / 1000:.0f} km wide; are {LATITUDE_VARIABLE} ({host.latitude}) and "
                f"{LONGITUDE_VARIABLE} ({host.longitude}) right?"
            )
    return said


def describe_cells(ids: Sequence[str]) -> str:
    """How error messages name the cells of a map."""
    return f"{len(ids)} cells, {ids[0]} to {ids[-1]}"


@dataclass(frozen=True)
class CostTables:
    """Costs in the policy's unit, weighted: ``migration`` (H, H), ``transmission`` (N, H) of a slot; and what
    they were computed from.
    """

    rings: NDArray[np.float64]
    distance_m: NDArray[np.float64]
    migration: NDArray[np.float64]
    transmission: NDArray[np.float64]
    migration_family: costs.ConstantPlusExponential | None
    transmission_family: costs.ConstantPlusExponential


def build_costs(
    policy: Policy,
    cells: CellMap,
    hosts: Sequence[Host],
    *,
    measured_costs: Mapping[str, Mapping[str, float]] | None = None,
    active_users: float = 0.0,
) -> CostTables:
    """The costs of a checked policy with these hosts.

    :param measured_costs: ``{source: {target: cost}}``; takes the place of the policy's own table.
    :param active_users: users in the system now, for the load-dependent family.
    """
    document = policy.document
    weights = Weights(**document.get("weights", {}))
    xy_m = host_positions(cells, hosts)
    size_m = cells.cell_size_m
    rings = rings_between(cells.xy_m, xy_m, size_m)
    between = rings_between(xy_m, xy_m, size_m)
    migration = document["costs"]["migration"]
    transmission_family = _family(document["costs"]["transmission"], "delta", active_users)
    if migration["family"] == "measured":
        names = [host.name for host in hosts]
        family = None
        fallback = migration.get("fallback")
        default = None
        if fallback:
            default = _family(fallback, "beta", active_users)(between)
        table = migration.get("table", {}) if measured_costs is None else measured_costs
        scale = float(migration.get("scale", 1.0))
        scaled = {
            source: {target: scale * float(value) for target, value in row.items()}
            for source, row in table.items()
        }
        migration_cost = costs.measured_migration(names, scaled, default)
    else:
        family = _family(migration, "beta", active_users)
        migration_cost = family(between)
    delta = cells.xy_m[:, None] - xy_m[None]
    return CostTables(
        rings=rings,
        distance_m=np.hypot(delta[..., 0], delta[..., 1]),
        migration=weights.migration * migration_cost,
        transmission=weights.transmission * transmission_family(rings),
        migration_family=_scaled(family, weights.migration) if family else None,
        transmission_family=_scaled(transmission_family, weights.transmission),
    )


def build_world(
    policy: Policy,
    cells: CellMap,
    hosts: Sequence[Host],
    mobility: tuple[Mobility, Mobility],
    *,
    measured_costs: Mapping[str, Mapping[str, float]] | None = None,
    active_users: float = 0.0,
) -> World:
    """The world of a checked policy with these hosts; for the costs see :func:`build_costs`."""
    document = policy.document
    tables = build_costs(policy, cells, hosts, measured_costs=measured_costs, active_users=active_users)
    return World(
        rings=tables.rings,
        distance_m=tables.distance_m,
        migration_cost=tables.migration,
        transmission_cost=tables.transmission,
        mobility=mobility[0],
        mobility_cell=mobility[1],
        discount=float(document["discount"]),
        error_bound=float(document.get("error_bound", 1e-3)),
        weights=Weights(**document.get("weights", {})),
        hysteresis_margin=float(document.get("hysteresis_margin", 0.5)),
        migration_family=tables.migration_family,
        transmission_family=tables.transmission_family,
    )


def _family(section: Mapping[str, Any], prefix: str, active_users: float) -> costs.ConstantPlusExponential:
    base = "mu" if prefix == "beta" else "theta"
    if section["family"] == "constant_plus_exponential":
        return costs.ConstantPlusExponential(
            float(section[f"{prefix}_c"]), float(section[f"{prefix}_l"]), float(section[base])
        )
    load = (active_users, float(section["max_users"]), float(section.get("resource_ratio", 1.5)))
    if prefix == "beta":
        return costs.load_dependent_migration(*load, float(section[base]))
    return costs.load_dependent_transmission(*load, float(section[base]))


def _scaled(family: costs.ConstantPlusExponential, weight: float) -> costs.ConstantPlusExponential:
    return costs.ConstantPlusExponential(weight * family.constant, weight * family.proportional, family.base)
