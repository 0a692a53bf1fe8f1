# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host each of many services should be on, so that the sum of expected costs is least.

Hosts hold so many services each. A host that is full has room as soon as a service has left it, so moves come
in an order. Full hosts that only exchange services hold one more for as long as the exchange takes. The
assignment of services to places is solved exactly (scipy's linear_sum_assignment, Crouse 2016). Without scipy
moves are taken one after the other, the one that saves most first. Either way a lower bound of the sum is
known, so it can be said how far from the best the answer is at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Costs = Sequence[Sequence[float]]
TIE = 1e-9
# The method that finds the best of all plans.
EXACT = "assignment"


@dataclass(frozen=True)
class Joint:
    """``target`` host of each service, and the services that move, in an order in which room is made.

    ``cost``: the sum of expected costs, and a ``penalty`` for each service that stays where it must not.
    ``bound``: no assignment costs less. ``method``: in words.
    """

    target: tuple[int, ...]
    order: tuple[int, ...]
    cost: float
    bound: float
    method: str
    penalty: float = 0.0


def solve_joint(
    costs: Costs, here: Sequence[int], room: Sequence[float], stay: Sequence[float] | None = None
) -> Joint:
    """The best hosts for all services.

    :param costs: of each service on each host, its move included; infinite where it must not be. Where it is
        now may be infinite (a host to be emptied): it stays there all the same if there is no other room.
    :param here: the host of each service now.
    :param room: how many of these services each host may hold, infinite for no limit. A host that holds more
        takes none.
    :param stay: what it costs a service to stay on a host to be emptied; nothing if it is None. It decides
        who leaves where not all can.
    """
    services, hosts = len(here), len(room)
    if not services:
        return Joint((), (), 0.0, 0.0, "nothing to decide")
    held = [0] * hosts
    for host in here:
        held[host] += 1
    # To stay must be possible, and be the last resort where a host is to be emptied.
    stay = stay or [0.0] * services
    finite = [cost for row in (*costs, stay) for cost in row if math.isfinite(cost)]
    last_resort = (max(finite, default=1.0) - min(finite, default=0.0) + 1.0) * (services + 1)
    table = [list(row) for row in costs]
    for service, host in enumerate(here):
        if not math.isfinite(table[service][host]):
            table[service][host] = last_resort + stay[service]
    # A host that holds more than it may takes none, whoever leaves it.
    places = [max(limit, now) for limit, now in zip(room, held, strict=True)]
    for host, limit in enumerate(room):
        if held[host] > limit:
            for service, row in enumerate(table):
                if here[service] != host:
                    row[host] = math.inf
    greedy = _greedy(table, here, room, held)
    try:
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415
    except ImportError:
        bound = sum(min(row) for row in table)
        return _joint(greedy, table, bound, "greedy, since scipy is not there", last_resort)
    target = _assigned(table, here, places, linear_sum_assignment)
    exact = (target, ordered(target, here, room))
    bound = _sum(table, target)
    return _joint(
        exact if _sum(table, exact[0]) <= _sum(table, greedy[0]) else greedy,
        table,
        bound,
        EXACT,
        last_resort,
    )


Placed = tuple[list[int], list[int]]


def _joint(placed: Placed, table: Costs, bound: float, method: str, penalty: float) -> Joint:
    target, order = placed
    cost = _sum(table, target)
    return Joint(tuple(target), tuple(order), cost, min(bound, cost), method, penalty)


def _sum(table: Costs, target: Sequence[int]) -> float:
    return math.fsum(row[host] for row, host in zip(table, target, strict=True))


def _greedy(table: Costs, here: Sequence[int], room: Sequence[float], held: Sequence[int]) -> Placed:
    """One move after the other, always the one that saves most of those for which there is room."""
    target, now, order = list(here), list(held), []
    gains = [
        (row[here[service]] - cost, service, host)
        for service, row in enumerate(table)
        for host, cost in enumerate(row)
        if row[here[service]] - cost > TIE
    ]
    gains.sort(key=lambda one: (-one[0], one[1], one[2]))
    while True:
        for _gain, service, host in gains:
            # A service moves once in a round.
            if target[service] == here[service] and now[host] < room[host]:
                now[host] += 1
                now[here[service]] -= 1
                target[service] = host
                order.append(service)
                break
        else:
            return target, order


def _assigned(
    table: Sequence[list[float]],
    here: Sequence[int],
    places: Sequence[float],
    assign: Any,
) -> list[int]:
    """The host of each service by the cheapest assignment to places; a tie is a stay."""
    services = len(here)
    limited = [host for host, limit in enumerate(places) if limit < services]
    free = [host for host, limit in enumerate(places) if limit >= services]
    columns = [host for host in limited for _place in range(int(places[host]))]
    matrix, best_free = [], []
    for service, row in enumerate(table):
        costs = [cost - (TIE if host == here[service] else 0.0) for host, cost in enumerate(row)]
        # Hosts without a limit never run out: a place for each service, on the one that is best for it.
        host = min(free, key=costs.__getitem__) if free else -1
        best_free.append(host)
        own = [costs[host] if host >= 0 and other == service else math.inf for other in range(services)]
        matrix.append([costs[column] for column in columns] + (own if free else []))
    most = max(cost for row in matrix for cost in row if math.isfinite(cost))
    least = min(cost for row in matrix for cost in row if math.isfinite(cost))
    never = (abs(most) + abs(least) + 1.0) * (services + 1) * 4
    bounded = [[cost if math.isfinite(cost) else never for cost in row] for row in matrix]
    _rows, chosen = assign(bounded)
    return [
        columns[column] if column < len(columns) else best_free[service]
        for service, column in enumerate(chosen.tolist())
    ]


def ordered(target: Sequence[int], here: Sequence[int], room: Sequence[float]) -> list[int]:
    """The services that move, in an order in which there is room wherever that is possible.

    Where only full hosts that exchange services are left, one move is made to a host that another one of them
    will leave.
    """
    now = [0] * len(room)
    for host in here:
        now[host] += 1
    left = [service for service, host in enumerate(target) if host != here[service]]
    order: list[int] = []
    while left:
        ready = [one for one in left if now[target[one]] < room[target[one]]]
        if not ready:
            leaving = {here[one] for one in left}
            ready = [next((one for one in left if target[one] in leaving), left[0])]
            order.append(ready[0])
            now[target[ready[0]]] += 1
            now[here[ready[0]]] -= 1
            left.remove(ready[0])
            continue
        for service in ready:
            if now[target[service]] < room[target[service]]:
                now[target[service]] += 1
                now[here[service]] -= 1
                order.append(service)
                left.remove(service)
    return order
