# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the decisions for services one by one to those for all together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .joint import EXACT, Joint, solve_joint

MOVE, STAY, SKIP = "move", "stay", "skip"
# So many more slots of use count where services want more places than there are. Expected costs take it that
# hosts have room whenever a service would like to move there later; where hosts are full a service keeps its
# place for longer, so places are worth more. Replayed hours of taxis cost least with 1 or 2.
CONTESTED_SLOTS = 1.0


def decide_jointly(
    entries: Sequence[dict[str, Any]],
    held: Mapping[str, int],
    capacities: Mapping[str, float],
    leave: Sequence[str],
) -> tuple[list[str], dict[str, Any]]:
    """Change *entries*, decided one by one, to the best plan for all of them; (order of moves, what to
    report).

    Services without a decision (nobody knows their user) keep what was decided for them. A move to a host
    with room for it comes first; one to a host that another service leaves comes after that.

    :param held: services that each host holds before the round.
    """
    hosts = list(held)
    place = {host: index for index, host in enumerate(hosts)}
    members = [entry for entry in entries if "decision" in entry]
    others = [entry for entry in entries if "decision" not in entry and entry["action"] == MOVE]
    # A host's other services, and those that come to it anyway, take room.
    room = [capacities.get(host, math.inf) for host in hosts]
    for host, count in held.items():
        own = sum(entry["current_host"] == host for entry in members)
        room[place[host]] -= count - own
    for entry in others:
        room[place[entry["target"]]] -= 1
    extra = CONTESTED_SLOTS if _contested(members, hosts, room, leave) else 0.0
    costs = [[_cost(entry, host, leave, extra) for host in hosts] for entry in members]
    here = [place[entry["current_host"]] for entry in members]
    before = [
        place[entry["target"]] if entry["action"] == MOVE else at
        for entry, at in zip(members, here, strict=True)
    ]
    found = solve_joint(
        costs, here, room, [_expected(entry, entry["current_host"], extra) for entry in members]
    )
    alone = _total(members, hosts, before, extra)
    together = _total(members, hosts, found.target, extra)
    staying = sum(
        at == to and not math.isfinite(row[at]) for row, at, to in zip(costs, here, found.target, strict=True)
    )
    stayed = sum(
        at == to and not math.isfinite(row[at]) for row, at, to in zip(costs, here, before, strict=True)
    )
    if (staying, together) > (stayed, alone):
        # Only an answer that was not solved exactly can be worse.
        found = Joint(
            tuple(before),
            tuple(i for i, to in enumerate(before) if to != here[i]),
            alone + stayed * found.penalty,
            found.bound,
            "one by one",
        )
        together = alone
    for index, entry in enumerate(members):
        _apply(entry, hosts[found.target[index]], leave, proven=found.method == EXACT)
    order = [
        *(str(entry["service"]) for entry in others),
        *(str(members[index]["service"]) for index in found.order),
    ]
    gap = found.cost - found.bound
    report = {
        "cost": together,
        "one_by_one": alone,
        "bound": together - gap,
        "gap": gap,
        "method": found.method,
        "contested": extra > 0,
    }
    return order, report


def _contested(
    members: Sequence[Mapping[str, Any]], hosts: Sequence[str], room: Sequence[float], leave: Sequence[str]
) -> bool:
    """Whether services want more places on a host than it has."""
    wanted = Counter(min(hosts, key=lambda host: _cost(entry, host, leave, 0.0)) for entry in members)
    return any(wanted[host] > limit for host, limit in zip(hosts, room, strict=True))


def _cost(entry: Mapping[str, Any], host: str, leave: Sequence[str], extra: float) -> float:
    if host in leave or host not in entry["decision"]["expected_costs"]:
        return math.inf
    return _expected(entry, host, extra)


def _expected(entry: Mapping[str, Any], host: str, extra: float) -> float:
    """What a host is expected to cost, with *extra* slots of use."""
    decision = entry["decision"]
    expected = float(decision["expected_costs"][host])
    return expected + extra * float(decision["slot_costs"][host]) if extra else expected


def _total(
    members: Sequence[Mapping[str, Any]], hosts: Sequence[str], target: Sequence[int], extra: float
) -> float:
    return math.fsum(_expected(entry, hosts[to], extra) for entry, to in zip(members, target, strict=True))


def _apply(entry: dict[str, Any], host: str, leave: Sequence[str], *, proven: bool) -> None:
    """Say in *entry* that the service is to be on *host*, and why where that is another than alone.

    :param proven: no plan costs less.
    """
    here, expected = entry["current_host"], entry["decision"]["expected_costs"]
    alone = entry["target"] if entry["action"] == MOVE else here
    if host == alone:
        return
    entry["action"] = STAY if host == here else MOVE
    entry.pop("target", None)
    entry.pop("prediction", None)
    does = "staying" if host == here else f"moving to {host}"
    was = "staying" if alone == here else f"moving to {alone}"
    least = "least" if proven else "less"
    emptied = f"{here} is emptied; " if here in leave else ""
    if host == here and here in leave:
        entry["action"] = SKIP
        entry["reason"] = f"{emptied}no other host has room for all its services"
        return
    if host != here:
        entry["target"] = host
    entry["reason"] = (
        f"{emptied}{does} is expected to cost {expected[host]:.3f}, {was} {expected[alone]:.3f}; with all "
        f"services together this costs {least}, since hosts have room for so many only"
    )
