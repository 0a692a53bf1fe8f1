#!/usr/bin/env python3
"""Moves services of different sizes and rates round a ring of three hosts with different links; compares what
each was predicted to cost, from what had been recorded until then, with what it cost.

  tests/loop/predictions.py --inventory inventories/lab --output reports/loop/predictions
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.moves.measure import shape
from tests.e2e.edge import Lab, docker_run, wait_for

SERVICE, PORT = "load", 9090
# What each host of the ring sends.
MBIT = (20, 100, 1000)
# MiB, and pages a second that change.
LOADS = ((16, 0), (16, 5000), (64, 0), (64, 2000), (128, 500), (256, 0), (256, 1000))
SEED = 1


def measure(lab: Lab, costs: Path, loads: Sequence[tuple[int, int]]) -> None:
    """A move over each link for each of *loads*; the records go to *costs*."""
    ring = lab.hosts[:3]
    for host in ring:
        host.wipe([SERVICE])
    try:
        for memory_mib, dirty_pages in loads:
            env = {"MEMORY_MIB": str(memory_mib), "DIRTY_PAGES": str(dirty_pages)}
            ring[0].docker(*docker_run(SERVICE, [], env))
            wait_for("it listens", lambda: ring[0].run(f"ss -Hltn sport = {PORT}", check=False))
            for host, mbit in zip(ring, MBIT, strict=True):
                shape(host, mbit)
            for number, target in enumerate([*ring[1:], ring[0]]):
                limit = ["--limit", ",".join(host.name for host in ring)]
                given = {"costs_file": str(costs), "service": SERVICE, "target": target.name}
                before = os.getloadavg()[0]
                lab.play("migrate", *limit, timeout_s=3600.0, **given).ok()
                line = costs.read_text().splitlines()[-1]
                print(row(json.loads(line), memory_mib, dirty_pages, MBIT[number], before), flush=True)
            for host in ring:
                shape(host, 1000)
            ring[0].docker("rm", "--force", SERVICE)
    finally:
        for host in ring:
            shape(host, 1000)
            host.wipe([SERVICE])


def row(record: dict[str, Any], memory_mib: int, dirty_pages: int, mbit: int, load: float) -> str:
    """A line of the table."""
    told, errors = record["predicted"], record["errors"]
    return (
        f"| {memory_mib} | {dirty_pages} | {mbit} | {told['total_bytes'] / 1e6:.1f} | "
        f"{record['total_bytes'] / 1e6:.1f} | {errors['total_bytes']:+.0%} | {told['seconds']:.1f} | "
        f"{record['seconds']:.1f} | {errors['seconds']:+.0%} | {told['frozen_ms']:.0f} | "
        f"{record['frozen_ms']:.0f} | {errors['frozen_ms']:+.0%} | {load:.1f} |"
    )


def summary(records: Sequence[dict[str, Any]]) -> str:
    sizes = {key: median(abs(one["errors"][key]) for one in records) for key in records[0]["errors"]}
    return f"median error of {len(records)} predictions: " + ", ".join(
        f"{key} {size:.0%}" for key, size in sizes.items()
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--inventory", type=Path, required=True, help="directory of a testbed with three hosts"
    )
    options.add_argument("--output", type=Path, required=True, help="directory to write")
    given = options.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    costs = given.output.resolve() / "costs.jsonl"
    costs.unlink(missing_ok=True)
    loads = random.Random(SEED).sample(LOADS, len(LOADS))
    print("| MiB | pages/s | Mbit/s | MB told | MB | | s told | s | | ms frozen told | ms | | load |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    # Sockets of SSH have short names only in a short directory.
    with tempfile.TemporaryDirectory(prefix="predictions-") as scratch:
        measure(Lab(given.inventory.resolve(), Path(scratch)), costs, loads)
    print(summary([json.loads(line) for line in costs.read_text().splitlines()]))


if __name__ == "__main__":
    main()
