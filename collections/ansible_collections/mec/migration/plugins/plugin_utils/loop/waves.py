# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which moves may be made at the same time, and in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import DecisionError


@dataclass(frozen=True)
class Limits:
    """How many moves of a wave a host takes part in, how many there are between two hosts, in whatever
    direction, and how many leave a host: more than one only where the play acts more than once for it.

    :raises DecisionError: one of them is below 1.
    """

    per_host: int = 2
    per_link: int = 1
    per_source: int = 1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise DecisionError(f"{name} is {value}; allowed: at least 1")


def waves(moves: Sequence[Mapping[str, Any]], limits: Limits) -> list[list[dict[str, Any]]]:
    """Moves that may be made at the same time, in the order of the waves.

    Tasks of a play wait for all hosts, so a wave takes as long as its longest move: long ones come
    together, first.
    """
    made: list[list[dict[str, Any]]] = []
    for move in sorted(moves, key=lambda one: -one.get("prediction", {}).get("seconds", 0.0)):
        short = short_of(move)
        for wave in made:
            if fits(short, wave, limits):
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


def fits(move: Mapping[str, Any], wave: Sequence[Mapping[str, Any]], limits: Limits) -> bool:
    """Whether *move* may be made at the same time as those of *wave*."""
    ends = {move["source"], move["target"]}
    busy = Counter(end for other in wave for end in (other["source"], other["target"]))
    return (
        sum(other["source"] == move["source"] for other in wave) < limits.per_source
        and all(busy[end] < limits.per_host for end in ends)
        and sum({other["source"], other["target"]} == ends for other in wave) < limits.per_link
    )


def ordered_waves(
    entries: Sequence[Mapping[str, Any]],
    order: Sequence[str],
    held: Mapping[str, int],
    capacities: Mapping[str, float],
    limits: Limits,
) -> list[list[dict[str, Any]]]:
    """Waves of moves whose *order* makes room: a host that is full has room in the waves after a service
    left it.

    Where only full hosts that exchange services are left, one of them holds one more for a wave. Each move
    names in ``after`` the services that must have left its target before; where one of them failed, it must
    not be made.

    :param held: services that each host holds before the first wave.
    """
    by_name = {str(entry["service"]): entry for entry in entries}
    left = [short_of(by_name[name]) for name in order]
    now = Counter(held)
    gone: dict[str, list[str]] = {}
    made: list[list[dict[str, Any]]] = []
    while left:
        wave: list[dict[str, Any]] = []
        for move in sorted(left, key=lambda one: -one["prediction"].get("seconds", 0.0)):
            target = move["target"]
            if now[target] < capacities.get(target, 1e9) and fits(move, wave, limits):
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
