"""The playbooks where only the built collection, ansible-core and what these need are installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .conftest import StartService
from .edge import (
    COLLECTION,
    PLAYBOOK_TIMEOUT_S,
    RECAP,
    Client,
    Host,
    Lab,
    Patience,
    Play,
    kill_group,
    wait_for,
)

# MEC_ANSIBLE_CORE="ansible-core~=2.19.0" takes another version, MEC_PYTHON=python3.13 another Python.
ANSIBLE_CORE = os.environ.get("MEC_ANSIBLE_CORE", "ansible-core")
PYTHON = os.environ.get("MEC_PYTHON", sys.executable)
REQUIREMENTS = COLLECTION / "meta/ee-requirements.txt"
# What Ansible says of a playbook beside its results; deprecations too.
WARNING = re.compile(r"^\[(?:DEPRECATION )?WARNING\].*(?:\n(?!\[|$).*)*", re.MULTILINE)


class Installed:
    """An empty directory with Ansible, the collection and an inventory of its own."""

    def __init__(self, directory: Path, lab: Lab, tarball: Path) -> None:
        self.directory = directory
        self.warnings: list[str] = []
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "PYTHON"))}
        self._environment |= {
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "1",
            "ANSIBLE_HOME": str(directory / ".ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(directory / "collections"),
        }
        self._run(PYTHON, "-m", "venv", "venv")
        words = ["install", "--quiet", "--disable-pip-version-check", ANSIBLE_CORE, "-r", str(REQUIREMENTS)]
        self._run("venv/bin/pip", *words)
        words = ["collection", "install", str(tarball), "-p", "collections", "--offline"]
        self._run("venv/bin/ansible-galaxy", *words)
        group = yaml.safe_load((lab.inventory / "hosts.yml").read_text())["edge_hosts"]
        known = str(lab.inventory.resolve())
        group["vars"] = {k: v.replace("{{ inventory_dir }}", known) for k, v in group["vars"].items()}
        group["hosts"] = {host.name: group["hosts"][host.name] for host in lab.hosts[:2]}
        (directory / "hosts.yml").write_text(yaml.safe_dump({"edge_hosts": group}))

    def _run(self, *words: str) -> None:
        subprocess.run(words, cwd=self.directory, env=self._environment, check=True)

    def start(self, name: str, *words: str) -> subprocess.Popen[str]:
        """A playbook of the collection, in the background."""
        return subprocess.Popen(
            ["venv/bin/ansible-playbook", "-i", "hosts.yml", f"mec.migration.{name}", *words],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end(self, started: subprocess.Popen[str]) -> Play:
        """Wait for a playbook."""
        try:
            output, _ = started.communicate(timeout=Patience.of(PLAYBOOK_TIMEOUT_S))
        except subprocess.TimeoutExpired:
            kill_group(started)
            raise
        self.warnings += WARNING.findall(output)
        changed = sum(int(counts[2]) for counts in RECAP.findall(output))
        return Play(started.returncode, output, changed, 0.0)

    def play(self, name: str, *words: str) -> Play:
        """A playbook of the collection, to its end."""
        return self.end(self.start(name, *words))

    def reports(self, directory: str) -> list[str]:
        """Kinds of the files in a directory of reports."""
        return sorted(path.suffix for path in (self.directory / directory).iterdir() if path.is_file())


@pytest.fixture
def installed(lab: Lab, tarball: Path, tmp_path: Path) -> Installed:
    return Installed(tmp_path, lab, tarball)


@pytest.fixture
def client(lab: Lab, start: StartService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Redis on the first host, and a client that never stops writing."""
    start("redis", lab.hosts[0])
    made = Client(lab, "redis", tmp_path_factory.mktemp("client"), ["--preload-mib=8"])
    yield made
    made.end()


def test_the_playbooks_of_an_installed_collection(
    installed: Installed, client: Client, source: Host, target: Host
) -> None:
    installed.play("prepare").ok()

    # One that takes its time: a second start is refused and named, then it is cancelled.
    move = ("-e", f"service=redis target={target.name}")
    first = installed.start("migrate", *move, "-e", "migrate_bandwidth_limit_mbit=1")
    wait_for("the first migration", lambda: "source" in source.run("ls /var/lib/mec-migration"))
    installed.play("migrate", *move).refused("is being moved already", "mec.migration.cancel")
    installed.play("cancel", "-e", "service=redis").ok()
    installed.end(first).refused("cancelled")
    assert (source.state("redis"), target.state("redis")) == ("running", "absent")

    installed.play("migrate", *move).ok()
    assert (source.state("redis"), target.state("redis")) == ("absent", "running")
    # The one that was cancelled has a page that says so, and no figures.
    assert installed.reports("reports") == [".html", ".html", ".json"]
    assert len((installed.directory / "reports/costs/hosts.yml.jsonl").read_text().splitlines()) == 1

    # A sample policy, made one's own; the user is beside the first host.
    shipped = (
        installed.directory / "collections/ansible_collections/mec/migration/plugins/plugin_utils/inputs"
    )
    policy = yaml.safe_load((shipped / "policies/lab.yml").read_text())
    policy["costs"]["migration"]["scale"] = 0.001
    policy["map"]["file"] = str(shipped / "policies/lab_cells.csv")
    (installed.directory / "policies").mkdir()
    (installed.directory / "policies/site.yml").write_text(yaml.safe_dump(policy))
    positions = {"format": 1, "users": {"anna": {"cell": "0"}}}
    (installed.directory / "positions.json").write_text(json.dumps(positions))
    services = {"mec_services": [{"name": "redis", "user": "anna"}]}
    follow = ["-e", json.dumps(services), "-e", "positions_file=positions.json policy=site"]
    installed.play("follow_users", *follow).ok()
    assert (source.state("redis"), target.state("redis")) == ("running", "absent")
    assert installed.reports("reports/follow") == [".html", ".json"]

    installed.play("drain", "-e", f"drain={source.name}").ok()
    assert (source.state("redis"), target.state("redis")) == ("absent", "running")
    assert installed.reports("reports/drain") == [".html", ".json"]

    assert "median error of 3 predictions" in installed.play("costs").ok().text
    # Nothing was left open, and it says so by doing nothing.
    assert installed.play("resolve", "-e", "service=redis").ok().changed == 0
    client.lost_nothing()
    assert "\n".join(installed.warnings) == ""
