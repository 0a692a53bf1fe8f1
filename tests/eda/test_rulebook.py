"""A real ansible-rulebook moves a service when its user's position changes, and only then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.edge import ROOT, Client, Lab, docker_run, kill_group, wait_for

BIN = Path(sys.executable).parent
DEBOUNCE_S = 8.0


class Rulebook:
    """ansible-rulebook with the collection's rulebook, and a user who is put somewhere."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self._positions = directory / "positions.json"
        self._log = directory / "rulebook.log"
        self._reports = directory / "follow"
        self.stand_in("0")
        # Moves cost next to nothing, so that each change of cell is worth one.
        policy = yaml.safe_load((ROOT / "policies/lab.yml").read_text())
        policy["map"]["file"] = str(ROOT / "policies/lab_cells.csv")
        policy["costs"]["migration"]["scale"] = 0.01
        (directory / "policy.yml").write_text(yaml.safe_dump(policy))
        variables = {
            "positions_file": str(self._positions),
            "policy": str(directory / "policy.yml"),
            "debounce_seconds": DEBOUNCE_S,
            "poll_seconds": 0.2,
            "costs_file": str(directory / "costs.jsonl"),
            "follow_report_dir": str(self._reports),
            "edge_hosts_pattern": ":".join(host.name for host in lab.hosts[:2]),
            "mec_services": [{"name": "redis", "user": "anna"}],
        }
        (directory / "eda.yml").write_text(yaml.safe_dump(variables))
        command = [str(BIN / "ansible-rulebook"), "-r", "mec.migration.follow_users", "--verbose"]
        command += ["-i", str(lab.inventory), "--vars", str(directory / "eda.yml")]
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
        environment["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.says("watching file")

    def stand_in(self, cell: str) -> None:
        """The user is in *cell* from now on."""
        self.write(json.dumps({"format": 1, "users": {"anna": {"cell": cell}}}))

    def write(self, text: str) -> None:
        self._positions.write_text(text)

    def says(self, words: str) -> None:
        """Wait until *words* are in its log."""

        def said() -> bool:
            assert self._process.poll() is None, f"ansible-rulebook ended:\n{self.log()[-6000:]}"
            return words in self.log()

        wait_for(f"{words!r} in the log of ansible-rulebook", said, timeout_s=120)

    def log(self) -> str:
        return self._log.read_text()

    def report(self) -> dict[str, Any]:
        """Wait for the end of its first run of the playbook."""
        try:
            wait_for("a run of the playbook", lambda: list(self._reports.glob("*.json")), timeout_s=300)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-8000:]}") from None
        (path,) = self._reports.glob("*.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            kill_group(self._process)
            self._process.wait()


@pytest.fixture
def redis_here(lab: Lab) -> Iterator[None]:
    """Redis on the first host, and nothing of it anywhere afterwards."""
    lab.hosts[0].docker(*docker_run("redis", [], {}))
    yield
    for host in lab.hosts[:2]:
        host.wipe(["redis"])


@pytest.mark.usefixtures("redis_here")
def test_a_service_follows_its_user_who_has_settled(lab: Lab, tmp_path: Path) -> None:
    first, second = lab.hosts[:2]
    client = Client(lab, "redis", tmp_path, ["--preload-mib=16"])
    rulebook = Rulebook(lab, tmp_path)
    try:
        # To and fro at a border, never long enough; and a file that is half written.
        for cell in ("1", "0", "1", "0"):
            rulebook.stand_in(cell)
            time.sleep(DEBOUNCE_S / 2)
        rulebook.write('{"format": 1, "users": {"an')
        rulebook.says("users are taken to be where they were")
        rulebook.stand_in("0")
        rulebook.says("positions can be read again")
        time.sleep(DEBOUNCE_S)

        # Two quick changes, and one move, to where the user has ended up.
        rulebook.stand_in("2")
        time.sleep(DEBOUNCE_S / 4)
        rulebook.stand_in("1")
        ((move,),) = [one["moves"] for one in rulebook.report()["rounds"]]
        assert (move["service"], move["source"], move["target"]) == ("redis", first.name, second.name)
        assert move["outcome"] == "moved", move
        assert (first.state("redis"), second.state("redis")) == ("absent", "running")

        # Nothing else was started, and nothing is to come.
        time.sleep(2 * DEBOUNCE_S)
        assert rulebook.log().count("PLAY [Follow the users]") == 1, rulebook.log()
        client.lost_nothing()
    finally:
        rulebook.end()
        client.end()
    assert first.leftovers() + second.leftovers() == []
