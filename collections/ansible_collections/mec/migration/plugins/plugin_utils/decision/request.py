# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a play passes to what a decision needs: plain types, checked, with errors that name the
option.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..base.errors import DecisionError
from ..base.plain import plain
from ..inputs.hosts import Host, cell_name, degrees, heading_degrees, hosts_from_inventory, number, slots
from ..inputs.policy import Policy, policy_for
from ..inputs.route import moment_s, route_of
from ..inputs.route_trust import CLASSES
from .user import Trust, User


def policy_of_lookup(lookup: Any, name: str, variables: Mapping[str, Any]) -> Policy:
    """The policy *name* as a lookup ``mec.migration.mdp_decision`` finds it; not yet checked.

    :raises PolicyError: there is none of that name.
    """
    lookup.set_options(var_options=variables, direct={"policy": name, "candidates": []})
    policy_path, data_dir = (plain(lookup.get_option(key)) for key in ("policy_path", "data_dir"))
    return policy_for(name, plain(variables.get("playbook_dir")), policy_path, data_dir)


def hosts_for(
    candidates: Iterable[str],
    current_hosts: Iterable[str | None],
    hostvars: Mapping[str, Mapping[str, Any]],
) -> list[Host]:
    """The candidates, and the current hosts where they are none, with their places."""
    names = [str(name) for name in candidates]
    if not names:
        raise DecisionError("candidates is empty; give at least one inventory host")
    for current in current_hosts:
        if not current:
            raise DecisionError("current_host is missing: name the host that the service runs on")
        names.append(str(current))
    # A worker runs one task, in which no inventory variable changes; reading the variables of a host
    # costs Ansible half a millisecond each time. The main process lives on, so it reads them anew.
    if multiprocessing.parent_process() is None:
        return hosts_from_inventory(names, hostvars)
    unique = tuple(dict.fromkeys(names))
    if _read.get("hostvars") is not hostvars:
        _read.clear()
        _read["hostvars"] = hostvars
    if unique not in _read:
        _read[unique] = hosts_from_inventory(unique, hostvars)
    hosts: list[Host] = _read[unique]
    return hosts


_read: dict[Any, Any] = {}


def services_of(services: Mapping[str, Any], hosts: Sequence[Host]) -> dict[str, int]:
    """Services by host as whole numbers; a host that is no candidate is passed over."""
    known = {host.name for host in hosts}
    counted = {}
    for name, value in services.items():
        held = number(value, f"services of {name}")
        if held < 0 or held != int(held):
            raise DecisionError(f"services of {name} is {value!r}; allowed: a whole number, at least 0")
        if name in known:
            counted[str(name)] = int(held)
    return counted


def measured_costs_for(policy: Policy, table: Mapping[str, Any] | None) -> dict[str, dict[str, float]] | None:
    """A table of measured costs as plain numbers, or None where none was given."""
    if table is None:
        return None
    costs = policy.document.get("costs")
    migration = costs.get("migration") if isinstance(costs, dict) else None
    family = migration.get("family") if isinstance(migration, dict) else None
    if family != "measured":
        raise DecisionError(
            f"measured_costs is given, but costs.migration.family in {policy.path} is {family!r}; "
            f"allowed: measured"
        )
    checked: dict[str, dict[str, float]] = {}
    for source, row in table.items():
        if not isinstance(row, Mapping):
            raise DecisionError(f"measured_costs.{source} is {row!r}; allowed: {{target host: cost}}")
        checked[str(source)] = {}
        for target, value in row.items():
            cost = number(value, f"measured_costs.{source}.{target}")
            if cost < 0:
                raise DecisionError(f"measured_costs.{source}.{target} is {cost}; allowed: at least 0")
            checked[str(source)][str(target)] = cost
    return checked


def active_users_of(value: Any) -> float:
    """How many users there are, at least 0."""
    found = number(value, "active_users")
    if found < 0:
        raise DecisionError(f"active_users is {found:g}; allowed: at least 0")
    return found


def user_of(request: Mapping[str, Any]) -> User:
    """The user of one request with the keys user_cell, user_position, heading, dwell_slots, and, where they
    are there, route, route_trust and now.
    """
    heading = request["heading"]
    common: dict[str, Any] = {
        "heading_degrees": None if heading is None else heading_degrees(heading, "heading"),
        "dwell_slots": int(slots(request["dwell_slots"], "dwell_slots")),
    }
    now = request.get("now")
    if request.get("route") is not None:
        now_s = None if now is None else moment_s(now, "now")
        common["route"] = route_of(request["route"], now_s=now_s)
        common["route_trust"] = _trust(request.get("route_trust"))
    cell = request["user_cell"]
    if cell is not None:
        return User(cell=cell_name(cell, "user_cell"), **common)
    position = request["user_position"]
    if position is None:
        return User(**common)
    if not isinstance(position, Mapping) or set(position) != {"latitude", "longitude"}:
        raise DecisionError(f"user_position is {position!r}; allowed: latitude and longitude in degrees")
    return User(
        latitude=degrees(position["latitude"], "user_position.latitude", 90),
        longitude=degrees(position["longitude"], "user_position.longitude", 180),
        **common,
    )


def _trust(value: Any) -> Trust | None:
    """``route_trust`` as plain shares, or None where there is none."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        rates = _rates(value)
        return Trust((rates,) * CLASSES, rates)
    steps = value.get("steps")
    if set(value) != {"steps", "leaves"} or not isinstance(steps, list) or len(steps) != CLASSES:
        raise DecisionError(
            f"route_trust is {value!r}; allowed: a list, or {CLASSES} lists as steps and one as leaves"
        )
    return Trust(tuple(_rates(one) for one in steps), _rates(value["leaves"]))


def _rates(value: Any) -> tuple[float, ...]:
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        value = [value]
    found = tuple(number(one, "route_trust") for one in value)
    if not found or not all(0 <= one <= 1 for one in found):
        raise DecisionError(
            f"route_trust is {value!r}; allowed: shares from 0 to 1, by the age of an announcement in slots"
        )
    return found
