"""A host is emptied of small services, several at once; nothing is lost."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

from e2e.edge import Lab

from .fleet import Fleet, Tenant, moves, outcomes

HERE = Path(__file__).parent
CELLS = {"edge-a": "here", "edge-b": "beside", "edge-c": "far"}
PLACES = {host: {"mec_cell": cell, "mec_capacity": 12} for host, cell in CELLS.items()}
# `make drain` takes twelve, and compares with one after the other.
FEW = 4
SERVICES = int(os.environ.get("MEC_DRAIN_SERVICES", str(FEW)))
TENANTS = [Tenant(f"small-{i}", "redis", 9300 + i, f"user-{i}", "edge-a") for i in range(SERVICES)]
# On two processors four moves at once hinder each other; what many hosts of their own would give is more.
LEAST_TIMES_QUICKER = 1.5


def drained(lab: Lab, directory: Path, **limits: int) -> float:
    """Seconds that it took, from all services on the first host to none."""
    directory.mkdir()
    fleet = Fleet(lab, directory, TENANTS, PLACES)
    fleet.wipe()
    try:
        # Of images nothing is to be sent, whichever run comes first.
        for host in fleet.hosts.values():
            fleet.provide_image("redis", host)
        fleet.begin()
        began = time.monotonic()
        drain = {"drain": "edge-a", "policy": str(HERE / "commuters.yml"), **limits}
        play = fleet.run("drain", "drain", **drain).ok()
        seconds = time.monotonic() - began
        report = fleet.report("drain")
        assert outcomes(report) == {tenant.name: "moved" for tenant in TENANTS}
        assert {move["source"] for move in moves(report)} == {"edge-a"}
        assert f"{SERVICES} of {SERVICES} services have left edge-a" in play.output
        most = limits["per_source"]
        at_once = Counter(move["moves_at_once"] for move in moves(report))
        assert at_once == {most: SERVICES}
        assert sorted(Counter(host for (host,) in fleet.where().values()).items()) == [
            ("edge-b", SERVICES // 2),
            ("edge-c", SERVICES // 2),
        ]
        fleet.lost_nothing()
        fleet.lab.play("uncordon", host="edge-a").ok()
    finally:
        fleet.end()
    return seconds


def test_all_services_leave_a_host(lab: Lab, tmp_path: Path) -> None:
    together = drained(lab, tmp_path / "together", per_source=4, per_target=2)
    if SERVICES <= FEW:
        return
    alone = drained(lab, tmp_path / "alone", per_source=1, per_target=1)
    print(f"one after the other {alone:.0f} s, four at once {together:.0f} s: {alone / together:.2f} times")
    assert alone / together >= LEAST_TIMES_QUICKER
