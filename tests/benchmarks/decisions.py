#!/usr/bin/env python3
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long decisions take whose policy is solved already, in milliseconds of this machine.

Prints medians of ``--runs`` fresh processes: a first answer, an answer over a route of ten slots
among 100 hosts, 1,000 services in one process, and 1,000 services with routes of ten slots in one task
of a play, which takes as long as a task without them, and so much more. The unit tests of the same things
only bound them generously, since a machine that tests run on may be busy.

    python tests/benchmarks/decisions.py
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "collections"))
SLOTS = 10
SERVICES = 1_000


def warm(cache: str) -> dict[str, float]:
    """Seconds of each, in this process; imports of the decision's code count for the first."""
    start = time.perf_counter()
    from ansible_collections.mec.migration.plugins.plugin_utils.decision.decision import User, decide
    from ansible_collections.mec.migration.plugins.plugin_utils.decision.setting import Setting
    from ansible_collections.mec.migration.plugins.plugin_utils.inputs.hosts import Host
    from ansible_collections.mec.migration.plugins.plugin_utils.inputs.policy import (
        DEFAULT_DIRECTORY,
        read_policy,
    )

    imported = time.perf_counter()
    hosts = [Host(f"h{cell}", str(cell)) for cell in range(91)] + [
        Host(f"i{cell}", str(cell)) for cell in range(9)
    ]
    setting = Setting(read_policy(DEFAULT_DIRECTORY / "default.yml"), hosts, cache_directory=cache)
    decide(setting, "s", "h0", User(cell="41"))
    answered = time.perf_counter()

    from ansible_collections.mec.migration.plugins.plugin_utils.decision.user import Trust
    from ansible_collections.mec.migration.plugins.plugin_utils.inputs.route import route_of

    cells = [1, 7, 19, 37, 61, 62, 63, 64, 65, 66]
    route = [{"in_seconds": 60 * (place + 1), "cell": cell} for place, cell in enumerate(cells)]
    trust = Trust(((0.9, 0.8),) * 4, (1.0,))
    for host in ("h0", "h1"):  # the second finds what the first has read of the map
        routed = time.perf_counter()
        user = User(cell="0", route=route_of(route), route_trust=trust)
        found: dict[str, Any] = decide(setting, "s", host, user)
        planned = time.perf_counter()
        assert found["route"]["slots"] == SLOTS
    for place in range(SERVICES):
        decide(setting, f"s-{place}", "h0", User(cell=str(place % 91)))
    return {
        "imports": imported - start,
        "first answer, 100 hosts": answered - imported,
        f"answer over {SLOTS} slots, 100 hosts": planned - routed,
        f"{SERVICES:,} services": time.perf_counter() - planned,
    }


def task_s(directory: Path, terms: list[dict[str, Any]], cache: str) -> float:
    """Seconds that a task takes which decides for all *terms*."""
    hosts = {f"h{place}": {"mec_cell": str(place % 91)} for place in range(100)}
    inventory = {"all": {"hosts": hosts}}
    (directory / "hosts.json").write_text(json.dumps(inventory))
    query = "query('mec.migration.mdp_decision', *terms, candidates=groups['all'], cache_dir=cache)"
    clock = "{{ lookup('ansible.builtin.pipe', 'date +%s.%N') }}"
    tasks = [
        {"ansible.builtin.set_fact": {"begun": clock}},
        {"ansible.builtin.set_fact": {"told": f"{{{{ {query} | sum(attribute='route.slots') }}}}"}},
        {"ansible.builtin.set_fact": {"ended": clock}},
        {"ansible.builtin.copy": {"content": "{{ begun }} {{ ended }} {{ told }}", "dest": "took"}},
    ]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    (directory / "play.json").write_text(json.dumps([{**play, "vars": {"terms": terms, "cache": cache}}]))
    paths = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "ANSIBLE_LOCALHOST_WARNING": "false"}
    subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts.json", "play.json"],
        cwd=directory,
        env={**os.environ, **paths},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    begun, ended, told = (directory / "took").read_text().split()
    assert int(told) == SLOTS * len(terms)
    return float(ended) - float(begun)


def walks(count: int) -> list[dict[str, Any]]:
    """Terms of services whose users tell where they go in the next slots."""
    from ansible_collections.mec.migration.plugins.plugin_utils.mdp.cells import hexagon_grid

    neighbours = hexagon_grid(5).neighbours.tolist()
    rng = random.Random(1)
    terms: list[dict[str, Any]] = []
    for place in range(count):
        cell = first = place % 91
        route = []
        for slot in range(SLOTS):
            cell = rng.choice([one for one in neighbours[cell] if one >= 0])
            route.append({"in_seconds": 60 * (slot + 1), "cell": str(cell)})
        terms.append(
            {
                "name": f"s-{place}",
                "user_cell": str(first),
                "current_host": f"h{rng.randrange(100)}",
                "route": route,
                "route_trust": [0.9, 0.8],
            }
        )
    return terms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--cache", help="measure once, with the solved policies of this directory")
    options = parser.parse_args()
    if options.cache:
        print(json.dumps(warm(options.cache)))
        return
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, __file__, "--cache", cache]
        runs = [
            json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            for _run in range(options.runs + 1)
        ][1:]  # the first one solves
        directory, terms = Path(cache), walks(SERVICES)
        task_s(directory, terms[:1], cache)
        for run in runs:
            alone_s = task_s(directory, terms[:1], cache)
            run[f"{SERVICES:,} services with routes, a task"] = task_s(directory, terms, cache)
            run["a task for one of them"] = alone_s
    for name in runs[0]:
        times_ms = [1000 * run[name] for run in runs]
        print(f"{name:36} {statistics.median(times_ms):8.1f} ms ({min(times_ms):.1f} to {max(times_ms):.1f})")


if __name__ == "__main__":
    main()
