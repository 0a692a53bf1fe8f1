# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One decision: from a policy, hosts and a user to a dictionary of native types.

A warm decision reads two rows of a file and imports neither numpy nor jsonschema; only solving
does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from ..base.errors import DecisionError, ModelError, PlaceError
from ..inputs.earth import sector_of_heading
from ..inputs.policy import check
from .route import nearest_cell
from .routed import Planned, planned_for
from .setting import Setting
from .solved_policy import (
    NotCached,
    SolvedPolicy,
    StateRow,
    load_or_solve,
)
from .user import User

__all__ = ["User", "decide", "solved_policy", "state_of"]

# Two places that differ by rounding alone must not make a service move.
TIE = 1e-9


def solved_policy(setting: Setting) -> SolvedPolicy:
    """The solved policy of *setting*, from the cache or solved now."""
    key = setting.key()

    def write(stream: BinaryIO) -> None:
        check(setting.policy)
        # Importing numpy costs more than twenty warm decisions.
        from .solved_world import solve_to_file  # noqa: PLC0415

        try:
            solve_to_file(stream, key, setting)
        except ModelError as error:
            raise ModelError(f"policy {setting.policy.path}: {error}") from error

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
            slot_costs = solved.transmission(solved.header["cells"].index(cell))
            planned = planned_for(setting, solved, user, solved.header["cells"].index(cell), state)
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
            slot_costs=slot_costs,
            cell=cell,
            planned=planned,
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
    slot_costs: Sequence[float],
    cell: str,
    planned: Planned | None,
) -> dict[str, Any]:
    hosts = setting.hosts
    continuation = planned.continuation if planned and planned.continuation else row.continuation
    expected = [paid + ahead for paid, ahead in zip(migration_costs, continuation, strict=True)]
    full = [
        place
        for place, host in enumerate(hosts)
        if place != here and host.capacity is not None and setting.services.get(host.name, 0) >= host.capacity
    ]
    wanted = row.action[here]
    if planned and planned.continuation:
        wanted = min(range(len(hosts)), key=lambda place: (expected[place], place != here))
    target = _with_room(wanted, expected, here, full, solved)
    names = [host.name for host in hosts]
    advantage = expected[here] - expected[target]
    decision = {
        "service": service,
        "current_host": names[here],
        "migrate": target != here,
        "target": names[target],
        "current_cost": expected[here],
        "expected_costs": dict(zip(names, expected, strict=True)),
        "migration_costs": dict(zip(names, migration_costs, strict=True)),
        "slot_costs": dict(zip(names, slot_costs, strict=True)),
        "advantage": advantage,
        "reason": _reason(
            names,
            here,
            wanted,
            target,
            expected=expected,
            migration_costs=migration_costs,
            header=solved.header,
            full=full,
        ),
        "user_cell": cell,
        "full_hosts": [names[place] for place in full],
        "strategy": solved.header["strategy"],
        "policy_hash": solved.key,
        "error_bound": solved.header["error_bound"],
    }
    if planned:
        told = planned.told(names, here, target, without=_without(row, migration_costs, here, full, solved))
        decision["reason"] += told.pop("words")
        decision["route"] = told
    return decision


def _without(
    row: StateRow, migration_costs: Sequence[float], here: int, full: Sequence[int], solved: SolvedPolicy
) -> int:
    """The host that would be decided for without the route."""
    expected = [paid + ahead for paid, ahead in zip(migration_costs, row.continuation, strict=True)]
    return _with_room(row.action[here], expected, here, full, solved)


def _with_room(
    wanted: int, expected: Sequence[float], here: int, full: Sequence[int], solved: SolvedPolicy
) -> int:
    """The host *wanted* or, where that is full, the best one with room; *here* where a move gains nothing."""
    target = wanted
    if wanted in full:
        room = [place for place in range(len(expected)) if place not in full]
        target = min(room, key=lambda place: (expected[place], place != here))
    return here if expected[target] > expected[here] - TIE and solved.header["greedy"] else target


def _reason(
    names: Sequence[str],
    here: int,
    wanted: int,
    target: int,
    *,
    expected: Sequence[float],
    migration_costs: Sequence[float],
    header: Mapping[str, Any],
    full: Sequence[int],
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
    room = [place for place in others if place not in full]
    if not room:
        return f"{header['strategy']}: {stay}; all other hosts are full{blocked}"
    best = min(room, key=lambda place: expected[place])
    return (
        f"{header['strategy']}: {stay}; the best move, to {names[best]}, {expected[best]:.3f}, "
        f"{migration_costs[best]:.3f} of it for the move{blocked}"
    )


def state_of(header: Mapping[str, Any], user: User) -> tuple[int, str]:
    """(user state, cell name) of a user under a solved policy.

    :raises PlaceError: the user is off the map.
    """
    cells = header["cells"]
    if user.cell is not None:
        try:
            cell = cells.index(user.cell)
        except ValueError:
            raise PlaceError(
                f"user_cell is {user.cell!r}; the map has {len(cells)} cells, {cells[0]} to {cells[-1]}"
            ) from None
    elif user.latitude is not None and user.longitude is not None:
        cell, distance_m = nearest_cell(header, user.latitude, user.longitude)
        if distance_m > header["reach_m"]:
            raise PlaceError(
                f"the user at ({user.latitude}, {user.longitude}) is outside the map: {distance_m:.0f} m "
                f"from the nearest cell, {cells[cell]}; allowed: {header['reach_m']:.0f} m"
            )
    else:
        raise DecisionError("where is the user? give user_cell, or user_position with latitude and longitude")
    directions, levels = header["directions"], header["dwell_levels"]
    direction = directions - 1
    if user.heading_degrees is not None and directions > 1:
        direction = sector_of_heading(user.heading_degrees, directions - 1)
    dwell = min(user.dwell_slots, levels - 1)
    return (cell * directions + direction) * levels + dwell, cells[cell]
