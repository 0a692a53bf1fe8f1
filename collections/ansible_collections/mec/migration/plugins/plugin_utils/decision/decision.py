# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One decision: from a policy, hosts and a user to a dictionary of native types.

A warm decision reads two rows of a file and imports neither numpy nor jsonschema; only solving
does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..base.errors import DecisionError
from ..inputs.earth import offset_m
from ..inputs.policy import check
from .setting import Setting
from .solved_policy import (
    NotCached,
    SolvedPolicy,
    StateRow,
    load_or_solve,
)

# Two places that differ by rounding alone must not make a service move.
TIE = 1e-9


@dataclass(frozen=True)
class User:
    """Where a service's user is: a cell, or latitude and longitude in degrees; and what is known of
    the movement.

    ``heading_degrees``: clockwise from north. ``dwell_slots``: slots already spent in the cell.
    """

    cell: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    heading_degrees: float | None = None
    dwell_slots: int = 0


def solved_policy(setting: Setting) -> SolvedPolicy:
    """The solved policy of *setting*, from the cache or solved now."""
    key = setting.key()

    def write(stream: BinaryIO) -> None:
        check(setting.policy)
        # Importing numpy costs more than twenty warm decisions.
        from .solved_world import solve_to_file  # noqa: PLC0415

        solve_to_file(stream, key, setting)

    return load_or_solve(setting.cache_directory, key, write)


def decide(
    setting: Setting,
    service: str,
    current_host: str,
    user: User,
    solved: SolvedPolicy | None = None,
) -> dict[str, Any]:
    """Whether and where to move ``service``; see the RETURN section of the lookup for the keys.

    :param solved: what ``solved_policy(setting)`` gave, to ask for it once for many services.
    """
    names = [host.name for host in setting.hosts]
    if current_host not in names:
        raise DecisionError(f"current_host is {current_host!r}; the hosts known here are {', '.join(names)}")
    here = names.index(current_host)
    for _turn in range(2):
        solved = solved or solved_policy(setting)
        state, cell = state_of(solved.header, user)
        try:
            row, migration_costs = solved.rows(state, here)
        except NotCached:
            # Damaged or replaced under our feet: away with it, and once more from the start.
            solved.path.unlink(missing_ok=True)
            solved = None
            continue
        return _decision(
            setting,
            service,
            here,
            solved=solved,
            row=row,
            migration_costs=migration_costs,
            cell=cell,
        )
    raise DecisionError(f"cache directory {setting.cache_directory}: what is written breaks as it is read")


def _decision(
    setting: Setting,
    service: str,
    here: int,
    *,
    solved: SolvedPolicy,
    row: StateRow,
    migration_costs: Sequence[float],
    cell: str,
) -> dict[str, Any]:
    hosts = setting.hosts
    expected = [paid + ahead for paid, ahead in zip(migration_costs, row.continuation, strict=True)]
    full = [
        place
        for place, host in enumerate(hosts)
        if place != here and host.capacity is not None and setting.services.get(host.name, 0) >= host.capacity
    ]
    wanted = row.action[here]
    target = wanted
    if wanted in full:
        room = [place for place in range(len(hosts)) if place not in full]
        target = min(room, key=lambda place: (expected[place], place != here))
    if expected[target] > expected[here] - TIE and solved.header["greedy"]:
        target = here
    names = [host.name for host in hosts]
    advantage = expected[here] - expected[target]
    return {
        "service": service,
        "current_host": names[here],
        "migrate": target != here,
        "target": names[target],
        "current_cost": expected[here],
        "expected_costs": dict(zip(names, expected, strict=True)),
        "migration_costs": dict(zip(names, migration_costs, strict=True)),
        "advantage": advantage,
        "reason": _reason(
            names,
            here,
            wanted,
            target,
            expected=expected,
            migration_costs=migration_costs,
            header=solved.header,
        ),
        "user_cell": cell,
        "full_hosts": [names[place] for place in full],
        "strategy": solved.header["strategy"],
        "policy_hash": solved.key,
        "error_bound": solved.header["error_bound"],
    }


def _reason(
    names: Sequence[str],
    here: int,
    wanted: int,
    target: int,
    *,
    expected: Sequence[float],
    migration_costs: Sequence[float],
    header: Mapping[str, Any],
) -> str:
    blocked = f"; {names[wanted]} would be better and is full" if wanted not in (here, target) else ""
    stay = f"staying on {names[here]} is expected to cost {expected[here]:.3f}"
    if target != here:
        paid = migration_costs[target]
        return (
            f"{header['strategy']}: moving to {names[target]} is expected to cost {expected[target]:.3f}, "
            f"{paid:.3f} of it for the move; {stay}{blocked}"
        )
    others = [place for place in range(len(names)) if place != here]
    if not others:
        return f"{header['strategy']}: {stay} and there is no other host"
    best = min(others, key=lambda place: expected[place])
    return (
        f"{header['strategy']}: {stay}; the best move, to {names[best]}, {expected[best]:.3f}, "
        f"{migration_costs[best]:.3f} of it for the move{blocked}"
    )


def state_of(header: Mapping[str, Any], user: User) -> tuple[int, str]:
    """(user state, cell name) of a user under a solved policy; a user off the map is a
    :class:`DecisionError`.
    """
    cells = header["cells"]
    if user.cell is not None:
        try:
            cell = cells.index(user.cell)
        except ValueError:
            raise DecisionError(
                f"user_cell is {user.cell!r}; the map has {len(cells)} cells, {cells[0]} to {cells[-1]}"
            ) from None
    elif user.latitude is not None and user.longitude is not None:
        cell = _nearest_cell(header, user.latitude, user.longitude)
    else:
        raise DecisionError("where is the user? give user_cell, or user_position with latitude and longitude")
    directions, levels = header["directions"], header["dwell_levels"]
    direction = directions - 1
    if user.heading_degrees is not None and directions > 1:
        width = 2 * math.pi / (directions - 1)
        angle = math.radians(90.0 - user.heading_degrees)
        direction = math.floor(angle / width + 0.5) % (directions - 1)
    dwell = min(user.dwell_slots, levels - 1)
    return (cell * directions + direction) * levels + dwell, cells[cell]


def _nearest_cell(header: Mapping[str, Any], latitude: float, longitude: float) -> int:
    if header["origin"] is None:
        raise DecisionError(
            "user_position is given, but the policy's map has no origin in latitude and longitude: "
            "give user_cell, or set map.origin in the policy"
        )
    x_m, y_m = offset_m(latitude, longitude, header["origin"])
    distance_m = [math.hypot(x_m - x, y_m - y) for x, y in header["xy_m"]]
    cell = min(range(len(distance_m)), key=distance_m.__getitem__)
    if distance_m[cell] > header["reach_m"]:
        raise DecisionError(
            f"the user at ({latitude}, {longitude}) is outside the map: {distance_m[cell]:.0f} m from the "
            f"nearest cell, {header['cells'][cell]}; allowed: {header['reach_m']:.0f} m"
        )
    return cell
