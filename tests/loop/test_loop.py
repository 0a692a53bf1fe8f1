"""The loop in short, with real migrations: services follow a trace, two runs at once move nothing twice, a
host is drained with a failure in the middle, and drained again; nobody's write is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.edge import Host, Lab

from .fleet import Fleet, Tenant, costs_told, entry, explained, moves, outcomes

HERE = Path(__file__).parent
PLACES = {"edge-a": "here", "edge-b": "beside", "edge-c": "far"}
LOAD = {"MEMORY_MIB": "16", "DIRTY_PAGES": "100"}
# Anna and bo are not where their services are; cy and dan leave in the second minute.
TENANTS = [
    Tenant("anna-redis", "redis", 9201, "anna", "edge-a"),
    Tenant("bo-load", "load", 9202, "bo", "edge-c", LOAD),
    Tenant("cy-load", "load", 9203, "cy", "edge-a", LOAD),
    Tenant("dan-redis", "redis", 9204, "dan", "edge-b"),
]
POLICY = {"policy": str(HERE / "commuters.yml")}
ROUNDS = 5


def places(**capacities: int) -> dict[str, dict[str, Any]]:
    return {
        host: {"mec_cell": cell, "mec_capacity": capacities.get(host.replace("-", "_"), 4)}
        for host, cell in PLACES.items()
    }


@pytest.fixture
def fleet(lab: Lab, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(lab, tmp_path, TENANTS, places())
    made.wipe()
    made.begin()
    yield made
    made.end()


def test_the_loop(fleet: Fleet, tmp_path: Path) -> None:
    follow_a_trace(fleet)
    two_runs_at_once(fleet, tmp_path)
    drain_that_fails_and_goes_on(fleet, tmp_path)
    accounts = fleet.lost_nothing()
    assert all(account["switches"] for account in accounts.values())


def follow_a_trace(fleet: Fleet) -> None:
    trace = {"trace_file": str(HERE / "commuters.csv"), "trace_step_seconds": 60, "rounds": ROUNDS}
    play = fleet.run("follow_users", "trace", per_link=2, **POLICY, **trace).ok()
    report = fleet.report("trace")
    assert fleet.where() == {
        "anna-redis": ["edge-c"],
        "bo-load": ["edge-a"],
        "cy-load": ["edge-c"],
        "dan-redis": ["edge-c"],
    }
    assert [[move["service"] for move in done["moves"]] for done in report["rounds"][2:]] == [[], [], []]
    assert outcomes(report) == dict.fromkeys(["anna-redis", "bo-load", "cy-load", "dan-redis"], "moved")
    explained(report)

    # Two at a time, each predicted as such, with its own seconds in the store.
    assert [move["moves_at_once"] for move in moves(report)] == [2, 2, 2, 2]
    records = {record["service"]: record for record in fleet.records()}
    for move in moves(report):
        record = records[move["service"]]
        assert record["moves_at_once"] == record["predicted"]["moves_at_once"] == 2
        assert record["seconds"] <= move["report"]["total_seconds"]
        assert record["errors"]

    # Bo hops to and fro. The service that has just come stays, and says why.
    for number in range(2, ROUNDS + 1):
        decided = entry(report, number, "bo-load")
        assert decided["action"] == "stay"
        assert decided["last_move"]["source"] == "edge-c"
        assert "it came from edge-c" in decided["reason"]
        assert "to move back is expected to cost" in decided["reason"]

    costs = costs_told(play.output)
    assert costs["this run"] < min(costs["never"], costs["always, nearest"])
    assert costs["offline optimum"] <= costs["this run"] + 0.01


def two_runs_at_once(fleet: Fleet, tmp_path: Path) -> None:
    positions = tmp_path / "positions.json"
    users = {"anna": "here", "bo": "here", "cy": "far", "dan": "far"}
    document = {"format": 1, "users": {user: {"cell": cell} for user, cell in users.items()}}
    positions.write_text(json.dumps(document))
    before = len(fleet.records())
    started = [
        fleet.start("follow_users", name, positions_file=str(positions), **POLICY) for name in ("one", "two")
    ]
    for process in started:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output[-4000:]
    reports = [fleet.report("one"), fleet.report("two")]
    found = sorted((move["outcome"], move.get("why", "")) for report in reports for move in moves(report))
    assert [outcome for outcome, _ in found] == ["moved", "skipped"]
    winner = next(report["run"] for report in reports if moves(report)[0]["outcome"] == "moved")
    assert found[1][1] == f"{winner} has its lock"
    assert len(fleet.records()) == before + 1
    assert fleet.where()["anna-redis"] == ["edge-a"]


def drain_that_fails_and_goes_on(fleet: Fleet, tmp_path: Path) -> None:
    # The policy would have both on edge-a, which is full; on edge-b something else has the port of the first.
    fleet.place(places(edge_a=2))
    drain = {"drain": "edge-c", "positions_file": str(tmp_path / "positions.json"), **POLICY}
    squatter = take_port(fleet.hosts["edge-b"], 9203)
    try:
        fleet.run("drain", "stopped", per_source=1, **drain).refused("1 of the moves failed: cy-load", "9203")
        assert outcomes(fleet.report("stopped")) == {"cy-load": "failed"}
        assert fleet.where()["cy-load"] == fleet.where()["dan-redis"] == ["edge-c"]

        fleet.run("drain", "kept-going", keep_going=True, **drain).refused("1 of the moves failed: cy-load")
        assert outcomes(fleet.report("kept-going")) == {"cy-load": "failed", "dan-redis": "moved"}
        assert fleet.where()["dan-redis"] == ["edge-b"]
    finally:
        squatter.kill()
        squatter.wait()
    fleet.run("drain", "resumed", **drain).ok()
    report = fleet.report("resumed")
    assert outcomes(report) == {"cy-load": "moved"}
    expected = entry(report, 1, "cy-load")["decision"]["expected_costs"]
    assert expected["edge-a"] < expected["edge-b"]
    assert fleet.where()["cy-load"] == ["edge-b"]
    assert fleet.hosts["edge-c"].docker("ps", "--quiet") == ""


def take_port(host: Host, port: int) -> Any:
    listen = f"import socket, sys; s = socket.create_server(('0.0.0.0', {port}))"
    script = f"{listen}; print('taken', flush=True); sys.stdin.read()"
    process = host.spawn(f'python3 -c "{script}"')
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    return process
