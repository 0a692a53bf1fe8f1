# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deciding for all services together saves on an hour of taxis, with hosts that are nearly full."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.evaluation.evaluation import spread_hosts
from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import check, read_policy
from ansible_collections.mec.migration.plugins.plugin_utils.loop.joint_plan import decide_jointly
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.mobility import encode_path
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.model import (
    build_map,
    build_mobility,
    build_world,
)
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.solver import solve
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.strategies import World
from ansible_collections.mec.migration.plugins.plugin_utils.mdp.trace import read_trace, sessions_of
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
SERVICES, HOSTS, ROOM, SLOTS = 200, 50, 210, 60
Array = NDArray[Any]


@dataclass
class Hour:
    """``cell`` and ``state`` (slots, services), -1 where nobody knows where the user is."""

    world: World
    continuation: Array
    cell: Array
    state: Array
    capacity: Array

    def placed(self) -> Array:
        """Where services are at first: the nearest host with room to where their user is seen first."""
        held, host = np.zeros(HOSTS, dtype=int), np.empty(SERVICES, dtype=int)
        by_distance = self.world.distance_m.argsort(axis=1, kind="stable")
        for service, path in enumerate(self.cell.T):
            seen = path[path >= 0]
            order = by_distance[seen[0] if seen.size else 0]
            host[service] = next(one for one in order if held[one] < self.capacity[one])
            held[host[service]] += 1
        return host


@pytest.fixture(name="world", scope="module")
def world_(trace_dir: Path) -> tuple[World, Array, Array, Any]:
    policy = check(read_policy(ROOT / "policies" / "taxi.yml", trace_dir))
    cells = build_map(policy)
    trace = read_trace(str(trace_dir / "trace.npz"), cells)
    world = build_world(policy, cells, spread_hosts(cells, HOSTS), build_mobility(policy, cells))
    return world, solve(world.problem(world.mobility)).continuation, trace, cells


def hour_of(world: tuple[World, Array, Array, Any], start: int) -> Hour:
    model, continuation, trace, cells = world
    seen = (trace[start : start + SLOTS] >= 0).sum(axis=0)
    users = np.argsort(-seen, kind="stable")[:SERVICES]
    state = np.full((len(trace), SERVICES), -1)
    for service, user in enumerate(users.tolist()):
        for session in sessions_of(trace, [user]):
            part = slice(session.start, session.start + len(session.cells))
            state[part, service] = encode_path(cells, model.mobility.space, session.cells)
    capacity = np.full(HOSTS, ROOM // HOSTS)
    capacity[: ROOM % HOSTS] += 1
    part = slice(start, start + SLOTS)
    return Hour(model, continuation, trace[part][:, users], state[part], capacity)


def one_by_one(hour: Hour, slot: int, host: Array) -> list[dict[str, Any]]:
    """The entries of a round, each service to the best host with room, as :func:`plan` makes them."""
    names = [str(one) for one in range(HOSTS)]
    held = np.bincount(host, minlength=HOSTS)
    entries: list[dict[str, Any]] = []
    for service, here in enumerate(host.tolist()):
        entry = {"service": service, "current_host": names[here], "action": "skip", "reason": ""}
        entries.append(entry)
        if hour.cell[slot, service] < 0:
            continue
        expected = hour.world.migration_cost[here] + hour.continuation[hour.state[slot, service]]
        use = hour.world.transmission_cost[hour.cell[slot, service]]
        allowed = np.where((held < hour.capacity) | (np.arange(HOSTS) == here), expected, np.inf)
        target = int(allowed.argmin())
        entry["decision"] = {
            "expected_costs": dict(zip(names, expected.tolist(), strict=True)),
            "slot_costs": dict(zip(names, use.tolist(), strict=True)),
        }
        entry["action"] = "stay"
        if expected[target] < expected[here] - 1e-9:
            entry.update(action="move", target=names[target])
            held[target] += 1
            held[here] -= 1
    return entries


def cost_of(hour: Hour, *, joint: bool) -> float:
    names = [str(one) for one in range(HOSTS)]
    host, cost = hour.placed(), 0.0
    for slot in range(SLOTS):
        entries = one_by_one(hour, slot, host)
        if joint:
            held = dict(zip(names, np.bincount(host, minlength=HOSTS).tolist(), strict=True))
            capacities = dict(zip(names, hour.capacity.tolist(), strict=True))
            _order, report = decide_jointly(entries, held, capacities, [])
            assert report["cost"] <= report["one_by_one"] + 1e-6
            assert report["gap"] <= 0.01 * report["cost"]
        target = host.copy()
        for service, entry in enumerate(entries):
            if entry["action"] == "move":
                target[service] = int(entry["target"])
        assert (np.bincount(target, minlength=HOSTS) <= hour.capacity).all()
        on = hour.cell[slot] >= 0
        cost += hour.world.migration_cost[host, target].sum()
        cost += hour.world.transmission_cost[hour.cell[slot, on], target[on]].sum()
        host = target
    return float(cost)


@pytest.mark.parametrize(("start", "saved"), [(100, 0.025), (600, 0.015), (1100, 0.002)])
def test_deciding_together_saves_what_the_documentation_says(
    world: tuple[World, Array, Array, Any], start: int, saved: float
) -> None:
    hour = hour_of(world, start)
    alone, together = cost_of(hour, joint=False), cost_of(hour, joint=True)
    assert together <= (1 - saved) * alone
