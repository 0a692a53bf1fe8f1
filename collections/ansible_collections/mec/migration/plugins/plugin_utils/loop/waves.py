# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which moves may be made at the same time, and in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..base.errors import DecisionError


def waves(moves: Sequence[Mapping[str, Any]], per_host: int, per_link: int) -> list[list[dict[str, Any]]]:
    """Moves that may be made at the same time, in the order of the waves.

    Tasks of a play wait for all hosts, so a wave takes as long as its longest move: long ones come
    together, first.
    In a wave each host is source of one move at most (a play acts once a host), takes part in *per_host*
    at most, and each two hosts have *per_link* moves between them at most, in whatever direction.
    """
    if per_host < 1 or per_link < 1:
        raise DecisionError(f"per_host is {per_host} and per_link {per_link}; allowed: at least 1")
    made: list[list[dict[str, Any]]] = []
    for move in sorted(moves, key=lambda one: -one.get("prediction", {}).get("seconds", 0.0)):
        short = short_of(move)
        for wave in made:
            if fits(short, wave, per_host, per_link):
                wave.append(short)
                break
        else:
            made.append([short])
    return made


def short_of(move: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "service": move["service"],
        "source": move["current_host"],
        "target": move["target"],
        "reason": move["reason"],
        "prediction": move.get("prediction", {}),
    }


def fits(move: Mapping[str, Any], wave: Sequence[Mapping[str, Any]], per_host: int, per_link: int) -> bool:
    ends = {move["source"], move["target"]}
    busy = Counter(end for other in wave for end in (other["source"], other["target"]))
    return (
        all(other["source"] != move["source"] for other in wave)
        and all(busy[end] < per_host for end in ends)
        and sum({other["source"], other["target"]} == ends for other in wave) < per_link
    )


def ordered_waves(
    entries: Sequence[Mapping[str, Any]],
    order: Sequence[str],
    held: Mapping[str, int],
    capacities: Mapping[str, float],
    per_host: int,
    per_link: int,
) -> list[list[dict[str, Any]]]:
    """Waves of moves whose *order* makes room: a host that is full has room in the waves after a service
    left it.

    Where only full hosts that exchange services are left, one of them holds one more for a wave.
    Each move names in ``after`` the services that must have left its target before; where one of them
    failed, it
    must not be made.

    :param held: services that each host holds before the first wave.
    """
    if per_host < 1 or per_link < 1:
        raise DecisionError(f"per_host is {per_host} and per_link {per_link}; allowed: at least 1")
    by_name = {str(entry["service"]): entry for entry in entries}
    left = [short_of(by_name[name]) for name in order]
    now = Counter(held)
    gone: dict[str, list[str]] = {}
    made: list[list[dict[str, Any]]] = []
    while left:
        wave: list[dict[str, Any]] = []
        for move in sorted(left, key=lambda one: -one["prediction"].get("seconds", 0.0)):
            target = move["target"]
            if now[target] < capacities.get(target, 1e9) and fits(move, wave, per_host, per_link):
                # Without those that left it, would it be full?
                short = now[target] + len(gone.get(target, ())) >= capacities.get(target, 1e9)
                move["after"] = list(gone.get(target, ())) if short else []
                now[target] += 1
                wave.append(move)
        if not wave:
            # Full hosts exchange services: one of them holds one more until its own has left.
            leaving = {move["source"] for move in left}
            swap = next((move for move in left if move["target"] in leaving), left[0])
            swap["after"] = []
            now[swap["target"]] += 1
            wave.append(swap)
        for move in wave:
            left.remove(move)
            now[move["source"]] -= 1
            gone.setdefault(move["source"], []).append(move["service"])
        made.append(wave)
    return made
