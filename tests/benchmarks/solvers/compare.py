#!/usr/bin/env python3
# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The factored solver beside quantecon, mdpsolver and pymdptoolbox, on one instance, to one proven error.

Each solver runs in a process of its own, with one thread, under the same limits of memory and
time. Set-up (building
what the solver takes as input from the same map and costs) counts. What does not count:
interpreter start, imports,
and compiling numba code, which a run on seven cells does beforehand.

Instance: hexagon grid, every cell with a host, random walk with move probability 0.6, costs of
Wang et al. with x = 1.
Stop: the greedy policy loses at most ``--error-bound`` against the optimum. All four have this stopping rule
(gamma / (1 - gamma) * span of the last change, or a stricter one in mdpsolver).

    python tests/benchmarks/solvers/compare.py --python /path/to/venv/bin/python --rings 4 10 18
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "collections"))
MOVE_PROBABILITY = 0.6
X = 1.0
SOLVERS = ("factored", "quantecon", "mdpsolver", "pymdptoolbox")
GIB = 2**30


def instance(rings: int, discount: float) -> Any:
    """The problem all solvers get; a factored :class:`Problem`."""
    from ansible_collections.mec.migration.plugins.plugin_utils.mdp import cells, costs, mobility, solver

    grid = cells.hexagon_grid(rings)
    distance = cells.rings_between(grid.xy_m, grid.xy_m, grid.cell_size_m)
    return solver.Problem(
        costs.migration_family(X)(distance),
        costs.transmission_family()(distance),
        mobility.random_walk(grid, MOVE_PROBABILITY),
        discount,
    )


def run_factored(problem: Any, error_bound: float) -> tuple[Any, dict[str, Any]]:
    from ansible_collections.mec.migration.plugins.plugin_utils.mdp import solver

    solution = solver.solve(problem, error_bound)
    return solution.value.ravel(), {
        "proven_error": solution.policy_error_bound,
        "setup_s": 0.0,
        "solve_s": solution.duration_ms / 1e3,
    }


def run_quantecon(problem: Any, error_bound: float) -> tuple[Any, dict[str, Any]]:
    """State-action pairs with a sparse transition matrix: the one form that fits in memory."""
    import numpy as np
    from quantecon.markov import DiscreteDP
    from scipy.sparse import csr_matrix

    start = time.perf_counter()
    users, hosts = problem.transmission_cost.shape
    width = problem.mobility.next_state.shape[1]
    states, pairs = users * hosts, users * hosts * hosts
    columns = np.empty((users, hosts, hosts, width), dtype=np.int32)
    columns[...] = (
        problem.mobility.next_state[:, None, None, :] * hosts + np.arange(hosts)[None, None, :, None]
    )
    data = np.empty((users, hosts, hosts, width))
    data[...] = problem.mobility.probability[:, None, None, :]
    transition = csr_matrix(
        (
            data.reshape(-1),
            columns.reshape(-1),
            np.arange(0, pairs * width + 1, width, dtype=np.int32),
        ),
        shape=(pairs, states),
        copy=False,
    )
    reward = -(problem.migration_cost[None] + problem.transmission_cost[:, None]).reshape(-1)
    state = np.repeat(np.arange(states), hosts)
    action = np.tile(np.arange(hosts), states)
    model = DiscreteDP(reward, transition, problem.discount, state, action)
    ready = time.perf_counter()
    result = model.solve(method="modified_policy_iteration", epsilon=error_bound, max_iter=100_000)
    done = time.perf_counter()
    return -result.v, {"setup_s": ready - start, "solve_s": done - ready}


def run_mdpsolver(problem: Any, error_bound: float) -> tuple[Any, dict[str, Any]]:
    """Lists of lists; rows that are equal for all current hosts are one object, built once."""
    import mdpsolver
    import numpy as np

    start = time.perf_counter()
    users, hosts = problem.transmission_cost.shape
    probabilities, columns, rewards = [], [], []
    for user in range(users):
        keep = problem.mobility.probability[user] > 0
        row = problem.mobility.probability[user][keep].tolist()
        following = problem.mobility.next_state[user][keep] * hosts
        by_action = [(following + host).tolist() for host in range(hosts)]
        by_probability = [row] * hosts
        cost = -(problem.migration_cost + problem.transmission_cost[user])
        for host in range(hosts):
            probabilities.append(by_probability)
            columns.append(by_action)
            rewards.append(cost[host].tolist())
    model = mdpsolver.model()
    model.mdp(
        discount=problem.discount,
        rewards=rewards,
        tranMatProbs=probabilities,
        tranMatColumns=columns,
    )
    ready = time.perf_counter()
    model.solve(algorithm="mpi", tolerance=error_bound, parallel=False)
    done = time.perf_counter()
    return -np.array(model.getValueVector()), {"setup_s": ready - start, "solve_s": done - ready}


def run_pymdptoolbox(problem: Any, error_bound: float) -> tuple[Any, dict[str, Any]]:
    """One sparse matrix an action."""
    import mdptoolbox.mdp
    import numpy as np
    from scipy.sparse import csr_matrix

    start = time.perf_counter()
    users, hosts = problem.transmission_cost.shape
    width = problem.mobility.next_state.shape[1]
    states = users * hosts
    data = np.repeat(problem.mobility.probability, hosts, axis=0).reshape(-1)
    target = np.repeat(problem.mobility.next_state * hosts, hosts, axis=0).reshape(-1)
    rows = np.arange(0, states * width + 1, width)
    transitions = [
        # A copy each: pymdptoolbox sums duplicates in place, which would spoil arrays that are shared.
        csr_matrix((data, target + host, rows), shape=(states, states), copy=True)
        for host in range(hosts)
    ]
    reward = -(problem.migration_cost[None] + problem.transmission_cost[:, None]).reshape(states, hosts)
    model = mdptoolbox.mdp.PolicyIterationModified(
        transitions, reward, problem.discount, epsilon=error_bound, max_iter=100_000
    )
    ready = time.perf_counter()
    model.run()
    done = time.perf_counter()
    # pymdptoolbox returns T V without the shift to the middle of the bound; the policy is what its
    # rule proves.
    from ansible_collections.mec.migration.plugins.plugin_utils.mdp import solver

    policy = np.array(model.policy, dtype=np.int32).reshape(users, hosts)
    value = solver.evaluate(problem, policy, error_bound * 1e-3).ravel()
    return value, {"setup_s": ready - start, "solve_s": done - ready}


def worker(arguments: argparse.Namespace) -> None:
    """One solver on one instance, in this process; a JSON line on stdout."""
    import numpy as np

    run = globals()[f"run_{arguments.worker}"]
    if arguments.memory_gib:
        limit = int(arguments.memory_gib * GIB)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    run(instance(1, arguments.discount), arguments.error_bound)
    start = time.perf_counter()
    problem = instance(arguments.rings[0], arguments.discount)
    shared_s = time.perf_counter() - start
    value, result = run(problem, arguments.error_bound)
    result["map_s"] = shared_s
    result["total_s"] = shared_s + result["setup_s"] + result["solve_s"]
    result["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    if arguments.reference:
        if arguments.worker == "factored":
            np.save(arguments.reference, value)
        elif Path(arguments.reference).exists():
            result["difference"] = float(np.abs(np.load(arguments.reference) - value).max())
    print(json.dumps(result))


def measure(name: str, rings: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run ``name`` in a child; an outcome always, with ``failed`` where there is no result."""
    row: dict[str, Any] = {"solver": name, "cells": 1 + 3 * rings * (rings + 1)}
    reference = Path(arguments.work_dir) / f"reference-{rings}.npy"
    command = [arguments.python, __file__, "--worker", name, "--rings", str(rings)]
    command += ["--discount", str(arguments.discount), "--error-bound", str(arguments.error_bound)]
    command += ["--memory-gib", str(arguments.memory_gib), "--reference", str(reference)]
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = dict(os.environ, **dict.fromkeys(threads, "1"))
    try:
        child = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=arguments.timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {**row, "failed": f"more than {arguments.timeout_s:.0f} s"}
    if child.returncode:
        last = (child.stderr.strip().splitlines() or [f"exit {child.returncode}"])[-1]
        return {**row, "failed": last[:160]}
    return {**row, **json.loads(child.stdout.strip().splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rings", type=int, nargs="+", default=[4, 10, 18])
    parser.add_argument("--solvers", nargs="+", default=list(SOLVERS), choices=SOLVERS)
    parser.add_argument("--discount", type=float, default=0.9)
    parser.add_argument("--error-bound", type=float, default=1e-3)
    parser.add_argument("--memory-gib", type=float, default=8.0)
    parser.add_argument("--timeout-s", type=float, default=600.0)
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the three solvers")
    parser.add_argument("--work-dir", default=".cache/benchmarks")
    parser.add_argument("--output", help="write the rows as JSON to this file")
    parser.add_argument("--worker", choices=SOLVERS, help=argparse.SUPPRESS)
    parser.add_argument("--reference", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments)
        return
    Path(arguments.work_dir).mkdir(parents=True, exist_ok=True)
    rows = []
    print(
        f"discount {arguments.discount}, error bound {arguments.error_bound}, one thread, at most "
        f"{arguments.memory_gib} GiB and {arguments.timeout_s:.0f} s a run"
    )
    for rings in arguments.rings:
        for name in arguments.solvers:
            row = measure(name, rings, arguments)
            rows.append(row)
            print(json.dumps(row), flush=True)
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
