# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From where users are to which services move when: positions, one decision a service, waves of moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import DecisionError, PlaceError
from ..inputs.hosts import cell_name, degrees, heading_degrees, slots
from ..inputs.route import moment_s, route_of
from ..prediction.cost_model import CostModel, current_host, measured_costs, predictions
from ..prediction.cost_store import CostError
from .joint_plan import MOVE, SKIP, STAY, decide_jointly
from .waves import Limits, ordered_waves, waves

POSITION_KEYS = {
    "cell": "user_cell",
    "heading": "heading",
    "dwell_slots": "dwell_slots",
}
# A move that was so long ago needs no word.
RECENT_S = 3600.0

# What decides for one service: a term of the lookup mdp_decision, the services that each host holds, the
# measured costs where the policy wants them.
Decide = Callable[[dict[str, Any], dict[str, int], "dict[str, dict[str, float]] | None"], dict[str, Any]]


def positions_of(document: Any) -> dict[str, dict[str, Any]]:
    """Where each user is, as the lookup ``mdp_decision`` takes it.

    :param document: ``{"format": 1, "users": {name: {"cell"} or {"latitude", "longitude"}, and optionally
        "heading", "dwell_slots" and "route"}}``. ``time`` beside ``users`` is for people. Routes count from
        ``now``, else from ``time`` where it is a moment, else from the clock. ``partial``: of users who are
        not in it nothing is told; else they are not there.
    :raises DecisionError: it is something else.
    """
    if not isinstance(document, Mapping) or document.get("format") != 1:
        found_format = (
            f"format is {document.get('format')!r}" if isinstance(document, Mapping) else "no object"
        )
        raise DecisionError(
            f'positions: {found_format}; allowed: {{"format": 1, "users": {{name: position}}}}'
        )
    users = document.get("users")
    unknown = sorted(str(key) for key in set(document) - {"format", "time", "now", "partial", "users"})
    if not isinstance(users, Mapping) or unknown:
        wrong = f"unknown key {unknown[0]}" if unknown else "no users"
        raise DecisionError(
            f"positions: {wrong}; allowed: format, time, now, partial, and users by their names"
        )
    if document.get("partial") not in (None, True, False):
        raise DecisionError(f"positions: partial is {document['partial']!r}; allowed: true or false")
    now_s = moment_of(document)
    found: dict[str, dict[str, Any]] = {}
    for key, place in users.items():
        name = str(key).strip()
        if not name or name in found:
            raise DecisionError(f"positions: user {key!r} {'is there twice' if name else 'has no name'}")
        found[name] = _position(name, place)
        if isinstance(place, Mapping) and place.get("route") is not None:
            route_of(place["route"], f"positions: users.{name}.route", now_s)
            found[name]["route"] = place["route"]
            if now_s is not None:
                found[name]["now"] = now_s
    return found


def moment_of(document: Mapping[str, Any]) -> float | None:
    """Seconds since the epoch of positions: their ``now``, else their ``time``, or None where that is words
    for people.

    :raises DecisionError: ``now`` is no moment, or ``time`` a number that is none.
    """
    if document.get("now") is not None:
        return moment_s(document["now"], "positions: now")
    time = document.get("time")
    try:
        return moment_s(time, "positions: time")
    except DecisionError:
        if isinstance(time, (int, float)):
            raise
        return None


def _position(name: str, place: Any) -> dict[str, Any]:
    if not isinstance(place, Mapping):
        raise DecisionError(
            f"positions: users.{name} is {place!r}; allowed: a cell, or latitude and longitude"
        )
    keys = set(place)
    unknown = sorted(str(key) for key in keys - {*POSITION_KEYS, "latitude", "longitude", "route"})
    if unknown:
        raise DecisionError(
            f"positions: users.{name}: unknown key {unknown[0]}; allowed: {', '.join(POSITION_KEYS)}, "
            "latitude, longitude, route"
        )
    # None, which JSON has for what is not known, is as if the key were not there.
    found = {POSITION_KEYS[key]: place[key] for key in POSITION_KEYS if place.get(key) is not None}
    for key, checked in (("heading", heading_degrees), ("dwell_slots", slots)):
        if key in found:
            checked(found[key], f"positions: users.{name}.{key}")
    if place.get("cell") is not None:
        found["user_cell"] = cell_name(place["cell"], f"positions: users.{name}.cell")
    if {"latitude", "longitude"} <= keys and "user_cell" not in found:
        where = {
            key: degrees(place[key], f"positions: users.{name}.{key}", limit)
            for key, limit in (("latitude", 90), ("longitude", 180))
        }
        if None in where.values():
            raise DecisionError(f"positions: users.{name}: latitude or longitude is null; allowed: a number")
        return {**found, "user_position": where}
    if "user_cell" in found and place.get("latitude") is None and place.get("longitude") is None:
        return found
    raise DecisionError(f"positions: users.{name}: give either cell, or latitude and longitude")


@dataclass
class Plan:
    """What each service does in a round, and the moves in the order in which they may be made."""

    services: list[dict[str, Any]] = field(default_factory=list)
    waves: list[list[dict[str, Any]]] = field(default_factory=list)
    joint: dict[str, Any] | None = None


def plan(
    services: Sequence[Mapping[str, Any]],
    positions: Mapping[str, Mapping[str, Any]],
    loads: Mapping[str, Mapping[str, Any]],
    model: CostModel,
    decide: Decide,
    *,
    measured: bool,
    leave: Sequence[str] = (),
    capacities: Mapping[str, float] | None = None,
    limits: Limits | None = None,
    records: Sequence[Mapping[str, Any]] = (),
    now_s: float = 0.0,
    joint: bool = False,
) -> Plan:
    """Decide for one service after the other; each counts on the hosts that the ones before chose.

    :param services: each with ``name`` and ``user``.
    :param loads: by host what ``migration_cost_info`` returned there.
    :param measured: whether the policy takes measured migration costs.
    :param leave: hosts to be emptied: only their services are looked at, and these move in any case.
    :param capacities: how many services a host may hold; no limit where it is not named.
    :param records: of ``migration_costs``, oldest first; they tell where services came from, and when.
    :param now_s: seconds since the epoch.
    :param joint: decide for all services together, so that the sum of expected costs is least, and not worse
        than one after the other.
    """
    names, cordoned = names_of(services), cordoned_hosts(loads)
    unknown = [host for host in leave if host not in loads]
    if unknown:
        raise DecisionError(
            f"leave: host {unknown[0]} is none of those that were measured, {', '.join(loads)}"
        )
    held = Counter({host: sum(name in names for name in load["running"]) for host, load in loads.items()})
    made, limits = Plan(), limits or Limits()
    now = dict(held)
    all_predicted: dict[str, Mapping[str, Mapping[str, Mapping[str, Any]]]] = {}
    for service in services:
        name, user = _name(service["name"], "name"), _name(service.get("user"), "user")
        entry: dict[str, Any] = {"service": name, "user": user, "action": SKIP}
        try:
            here = current_host(name, loads)
            if leave and here not in leave:
                continue
            predicted = predictions(name, loads, model)
            entry.update(current_host=here, move_seconds=measured_costs(predicted))
            came = last_move(name, here, records, now_s)
            if came:
                entry["last_move"] = came
            all_predicted[name] = predicted
            _decide(entry, predicted, positions, held, decide, measured, leave, capacities or {}, cordoned)
        except CostError as error:
            entry["reason"] = str(error)
        if entry["action"] == MOVE:
            # The source keeps its place until the service has left: it may have to stay.
            held[entry["target"]] += 1
            entry["prediction"] = predicted[here][entry["target"]]
        made.services.append(entry)
    if joint:
        order, made.joint = decide_jointly(made.services, now, capacities or {}, leave)
        for name in order:
            entry = next(one for one in made.services if one["service"] == name)
            entry["prediction"] = all_predicted[name][entry["current_host"]][entry["target"]]
        made.waves = ordered_waves(made.services, order, now, capacities or {}, limits)
    else:
        made.waves = waves([one for one in made.services if one["action"] == MOVE], limits)
    for wave in made.waves:
        for move in wave:
            ends = (move["service"], move["source"], move["target"])
            move["moves_at_once"] = len(wave)
            move["prediction"] = model.predict_beside(*ends, move["prediction"], len(wave))
    return made


def cordoned_hosts(loads: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The hosts that take no services by themselves; ``decide`` must not offer them as a target, either."""
    return [host for host, load in loads.items() if load.get("cordoned")]


def names_of(services: Sequence[Mapping[str, Any]]) -> list[str]:
    """The services' names.

    :raises DecisionError: one has none, or is listed twice: two decisions for one service would move it there
        and back.
    """
    found: list[str] = []
    for service in services:
        name = _name(service.get("name"), "a service's name")
        if not name:
            raise DecisionError(f"services: a service has no name; each needs name and user: {dict(service)}")
        _name(service.get("user"), f"the user of {name}")
        unknown = sorted(str(key) for key in set(service) - {"name", "user"})
        if unknown:
            raise DecisionError(f"services: {name} has the unknown key {unknown[0]}; allowed: name and user")
        if name in found:
            users = [str(one.get("user")) for one in services if _name(one.get("name"), "name") == name]
            raise DecisionError(
                f"services: {name} is listed {len(users)} times, for the users {', '.join(users)}; "
                "allowed: each service once"
            )
        found.append(name)
    return found


def _name(value: Any, what: str) -> str:
    """*value* as text, without spaces around it; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        hint = ". YAML takes on, off, yes and no for true and false, write them in quotes"
        raise DecisionError(
            f"services: {what} is {value!r}; allowed: text{hint if isinstance(value, bool) else ''}"
        )
    return str(value).strip()


def _decide(
    entry: dict[str, Any],
    predicted: Mapping[str, Mapping[str, Mapping[str, Any]]],
    positions: Mapping[str, Mapping[str, Any]],
    held: Counter[str],
    decide: Decide,
    measured: bool,
    leave: Sequence[str],
    capacities: Mapping[str, float],
    cordoned: Sequence[str],
) -> None:
    """Say in *entry* what the service does, and why."""
    here = entry["current_host"]
    room = [
        host
        for host in held
        if host != here
        and host not in leave
        and host not in cordoned
        and held[host] < capacities.get(host, 1e9)
    ]
    decision = None
    lost = f"nobody knows where user {entry['user']} is" if entry["user"] else "it has no user"
    if entry["user"] in positions:
        term = {"name": entry["service"], **positions[entry["user"]], "current_host": here}
        try:
            decision = decide(term, dict(held), entry["move_seconds"] if measured else None)
        except PlaceError as error:
            # That is nothing to the users of other services.
            lost = str(error)
    if decision is None:
        if not leave:
            entry["reason"] = lost
        elif room:
            target = min(room, key=lambda host: (held[host], predicted[here][host]["seconds"]))
            entry.update(
                action=MOVE,
                target=target,
                reason=f"{here} is emptied; {target} holds the fewest services; {lost}",
            )
        else:
            entry["reason"] = f"{here} is to be emptied, but no other host has room"
        return
    entry["decision"] = decision
    if leave:
        if not room:
            entry["reason"] = f"{here} is to be emptied, but no other host has room"
            return
        expected = decision["expected_costs"]
        target = min(room, key=lambda host: expected[host])
        entry.update(
            action=MOVE,
            target=target,
            reason=f"{here} is emptied; of the hosts with room {target} is expected to cost least, "
            f"{expected[target]:.3f}; staying would cost {expected[here]:.3f}",
        )
    elif decision["migrate"]:
        entry.update(action=MOVE, target=decision["target"])
        entry["reason"] = decision["reason"] + why_back(entry, decision)
    else:
        entry.update(action=STAY, reason=decision["reason"] + why_back(entry, decision))


def last_move(
    service: str, here: str, records: Sequence[Mapping[str, Any]], now_s: float
) -> dict[str, Any] | None:
    """The move that brought *service* to where it is, or None where another way did."""
    for record in reversed(records):
        if record["service"] == service:
            if record["target"] != here:
                return None
            ago = round(max(0.0, now_s - record["time"]), 1)
            return {"source": record["source"], "target": here, "seconds_ago": ago}
    return None


def why_back(entry: Mapping[str, Any], decision: Mapping[str, Any]) -> str:
    """Why a service that moved just now does, or does not, move back."""
    came = entry.get("last_move")
    if not came or came["seconds_ago"] > RECENT_S or came["source"] not in decision["expected_costs"]:
        return ""
    back = f"; it came from {came['source']} {came['seconds_ago']:.0f} s ago"
    if decision["migrate"]:
        return back
    return (
        f"{back}, and to move back is expected to cost {decision['expected_costs'][came['source']]:.3f}, "
        f"{decision['migration_costs'][came['source']]:.3f} of it for the move"
    )
