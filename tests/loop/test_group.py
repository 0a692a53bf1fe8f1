"""Services that move together: copied at the same time, handed over one after the other, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.edge import Lab

from .fleet import Fleet, Tenant, moves, outcomes
from .test_loop import take_port

PLACES = {
    host: {"mec_cell": cell, "mec_capacity": 4} for host, cell in (("edge-a", "here"), ("edge-b", "far"))
}
TENANTS = [Tenant(f"group-{i}", "redis", 9400 + i, "", "edge-a") for i in range(3)]
SERVICES = [tenant.name for tenant in TENANTS]


@pytest.fixture
def fleet(lab: Lab, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(lab, tmp_path, TENANTS, PLACES)
    made.wipe()
    made.begin()
    yield made
    made.end()


def test_all_or_none(fleet: Fleet) -> None:
    # Something else has the port of the last one on the target.
    squatter = take_port(fleet.hosts["edge-b"], 9402)
    try:
        refused = fleet.run("migrate_group", "none", services=SERVICES, target="edge-b")
    finally:
        squatter.kill()
        squatter.wait()
    refused.refused(
        "of the 3 services that move together could not be copied, so none of them is handed over"
    )
    assert set(outcomes(fleet.report("none")).values()) == {"failed"}
    assert fleet.where() == {key: ["edge-a"] for key in SERVICES}

    fleet.run("migrate_group", "all", services=SERVICES, target="edge-b").ok()
    report = fleet.report("all")
    assert outcomes(report) == dict.fromkeys(SERVICES, "moved")
    assert fleet.where() == {key: ["edge-b"] for key in SERVICES}
    windows = sorted(
        (window["started"], window["started"] + window["frozen_ms"] / 1000)
        for window in (move["report"]["window"] for move in moves(report))
    )
    assert all(one[1] <= next_one[0] for one, next_one in zip(windows, windows[1:], strict=False))
    copied = [
        next(phase["ended"] for phase in move["report"]["phases"] if phase["phase"] == "pre-copy")
        for move in moves(report)
    ]
    assert max(copied) <= windows[0][0], "none is frozen before all were copied"
    fleet.lost_nothing()


def test_what_does_not_run_together_is_refused(fleet: Fleet) -> None:
    refused = fleet.run("migrate_group", "elsewhere", services=[*SERVICES, "nobody"], target="edge-b")
    refused.refused("must run on one host")
    fleet.run("migrate_group", "there", services=SERVICES, target="edge-a").refused("another than edge-a")
    assert fleet.where() == {key: ["edge-a"] for key in SERVICES}
