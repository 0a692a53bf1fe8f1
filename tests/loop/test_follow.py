"""Services follow their users on real edge hosts: decided, moved at the same time, written down, drained."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.edge import ROOT, Client, Host, Lab, Play, docker_run

INVENTORY = Path(os.environ.get("LOOP_INVENTORY", ROOT / "inventories" / "loop"))
SERVICES = [{"name": "redis", "user": "anna"}, {"name": "load", "user": "bo"}]
LOCKS = "/var/lib/mec-migration/locks"


class World:
    """Three hosts, two services, and users that are put somewhere."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.a, self.b, self.c = lab.hosts[:3]
        self.costs = directory / "costs.jsonl"
        self._positions = directory / "positions.json"
        self._directory = directory
        self._runs = 0

    def run(self, playbook: str, *options: str, where: dict[str, Any], **variables: Any) -> Play:
        self._runs += 1
        self._positions.write_text(json.dumps({"format": 1, "users": where}))
        return self.lab.play(
            playbook,
            "--limit",
            "edge_hosts",
            *options,
            mec_services=SERVICES,
            positions_file=str(self._positions),
            policy=str(Path(__file__).with_name("eager.yml")),
            costs_file=str(self.costs),
            follow_report_dir=str(self._directory / f"run-{self._runs}"),
            **variables,
        )

    def report(self) -> dict[str, Any]:
        (path,) = (self._directory / f"run-{self._runs}").glob("*.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def moves(self) -> dict[str, str]:
        """Of the last run: outcome by service."""
        return {move["service"]: move["outcome"] for one in self.report()["rounds"] for move in one["moves"]}

    def where(self, service: str) -> list[str]:
        return [host.name for host in (self.a, self.b, self.c) if host.state(service) == "running"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="loop-") as scratch:
        lab = Lab(INVENTORY, Path(scratch))
        if len(lab.hosts) < 3:
            pytest.skip("needs three hosts")
        made = World(lab, tmp_path)
        hosts: list[Host] = [made.a, made.b, made.c]
        for host in hosts:
            host.wipe(["redis", "load"])
        yield made
        for host in hosts:
            host.wipe(["redis", "load"])


def test_services_follow_their_users(world: World, tmp_path: Path) -> None:
    world.a.docker(*docker_run("redis", [], {}))
    world.c.docker(*docker_run("load", [], {"MEMORY_MIB": "32"}))
    client = Client(world.lab, "redis", tmp_path, ["--preload-mib=16"])
    try:
        # Both users left: both services move, at the same time.
        away = {"anna": {"cell": "1"}, "bo": {"latitude": 59.9139, "longitude": 10.7522}}
        world.run("follow_users", where=away).ok()
        assert (world.where("redis"), world.where("load")) == (["edge-b"], ["edge-a"])
        assert world.moves() == {"redis": "moved", "load": "moved"}
        (round_one,) = world.report()["rounds"]
        for service in round_one["services"]:
            assert service["decision"]["migrate"]
            assert service["decision"]["target"] == service["target"]
        records = [json.loads(line) for line in world.costs.read_text().splitlines()]
        assert {record["service"] for record in records} == {"redis", "load"}
        assert all(record["predicted"]["seconds"] > 0 and record["errors"] for record in records)

        # Another run moves redis already: this one leaves it alone, and says who it is.
        lock = {"owner": "another-run", "ttl_s": 600, "expires": 4e9}
        world.b.run(f"cat > {LOCKS}/redis.lock", stdin=json.dumps(lock))
        back = {"anna": {"cell": "0"}, "bo": {"cell": "0"}}
        world.run("follow_users", where=back).ok()
        assert world.moves() == {"redis": "skipped"}
        assert world.report()["rounds"][0]["moves"][0]["why"] == "another-run has its lock"
        assert world.where("redis") == ["edge-b"]
        world.b.run(f"rm {LOCKS}/redis.lock")

        # The host is emptied; where the service goes is the policy's choice.
        world.run("drain", where=back, drain="edge-b").ok()
        assert world.moves() == {"redis": "moved"}
        assert world.where("redis") == ["edge-a"]
        assert "edge-b is emptied" in world.report()["rounds"][0]["moves"][0]["reason"]
        client.lost_nothing()
    finally:
        client.end()
    for host in (world.a, world.b, world.c):
        assert host.run(f"ls {LOCKS} 2>/dev/null", check=False) == ""
        assert host.leftovers() == []
