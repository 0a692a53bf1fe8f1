"""The role in somebody else's play: another directory, only the built collection, hosts of other names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import StartService
from .edge import COLLECTION, PLAYBOOK_TIMEOUT_S, RECAP, Client, Host, Lab, Play

BIN = Path(sys.executable).parent
# What a user installs: plugins, roles and what describes them; nothing that only its developers need.
SHIPPED = {
    *("CHANGELOG.rst", "COPYING", "FILES.json", "MANIFEST.json", "README.md"),
    *("CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSES", "MAINTAINERS", "REUSE.toml"),
    *("changelogs", "docs", "extensions", "meta", "playbooks", "plugins", "roles"),
}
# Someone who may log in, but not do much: root only by its password.
LOGIN, PASSWORD = "porter", "a-password-of-the-tests"
# A service moves from the first host to the second, which is in no play.
SOURCE, TARGET = "shop-1.example.org", "spare_2"


class Elsewhere:
    """A directory of someone else's: its own ansible.cfg, inventory, plays and collections."""

    def __init__(self, directory: Path, lab: Lab) -> None:
        self.directory = directory
        theirs = yaml.safe_load((lab.inventory / "hosts.yml").read_text())["edge_hosts"]["vars"]
        known = str(lab.inventory.resolve())
        keys = ("ansible_ssh_private_key_file", "ansible_ssh_common_args", "ansible_python_interpreter")
        variables = {key: theirs[key].replace("{{ inventory_dir }}", known) for key in keys}
        variables["ansible_user"] = LOGIN
        variables |= {"ansible_become_method": "su", "ansible_become_password": PASSWORD}
        addresses = [{"ansible_host": host.address} for host in lab.hosts[:2]]
        hosts = dict(zip((SOURCE, TARGET), addresses, strict=True))
        self.write("hosts.yml", {"shops": {"hosts": hosts, "vars": variables}})
        (directory / "ansible.cfg").write_text(
            "[defaults]\n"
            f"collections_path = {directory}/collections\n"
            "inventory = hosts.yml\n"
            # Not where Ansible keeps its files by default, and not in a home.
            "remote_tmp = /var/tmp/of-${USER}/ansible\n"
        )
        # Theirs alone: nothing that this repository's environment says.
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
        self._environment |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(directory / ".ansible")}

    def write(self, name: str, content: Any) -> None:
        (self.directory / name).write_text(yaml.safe_dump(content, sort_keys=False))

    def call(self, program: str, *words: str) -> Play:
        done = subprocess.run(
            [BIN / program, *words],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PLAYBOOK_TIMEOUT_S,
            check=False,
        )
        changed = sum(int(counts[2]) for counts in RECAP.findall(done.stdout))
        return Play(done.returncode, done.stdout, changed, 0.0)

    def play(self, *options: str) -> Play:
        return self.call("ansible-playbook", "site.yml", *options)


@pytest.fixture
def elsewhere(lab: Lab, tarball: Path, tmp_path: Path) -> Iterator[Elsewhere]:
    """Somebody's directory, with the collection installed into it, and their login on the hosts."""
    made = Elsewhere(tmp_path, lab)
    made.call("ansible-galaxy", "collection", "install", str(tarball), "-p", "collections", "--offline").ok()
    for host in lab.hosts[:2]:
        host.run(
            f"! id {LOGIN} 2>/dev/null || userdel --force --remove {LOGIN}; "
            f"useradd --create-home --shell /bin/sh {LOGIN} && "
            f"install -d -m 0700 -o {LOGIN} ~{LOGIN}/.ssh && "
            f"install -m 0600 -o {LOGIN} ~/.ssh/authorized_keys ~{LOGIN}/.ssh/ && chpasswd",
            stdin=f"root:{PASSWORD}\n{LOGIN}:{PASSWORD}\n",
        )
    yield made
    for host in lab.hosts[:2]:
        host.run(f"userdel --force --remove {LOGIN}; usermod --password '*' root", check=False)


@pytest.fixture
def two_clients(lab: Lab, start: StartService, tmp_path: Path) -> Iterator[list[Client]]:
    """Two services on the first host, and a client of each."""
    start("redis", lab.hosts[0])
    start("load", lab.hosts[0], MEMORY_MIB="32")
    clients = [Client(lab, "redis", tmp_path, ["--preload-mib=16"]), Client(lab, "load", tmp_path, [])]
    yield clients
    for client in clients:
        client.end()


def test_the_tarball_holds_what_is_needed_and_nothing_else(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert {name.split("/")[0] for name in names} == SHIPPED
    caches = [name for name in names if any(part.strip("_").endswith("cache") for part in name.split("/"))]
    assert caches + [name for name in names if name.endswith((".pyc", ".tar.gz"))] == []
    here = [
        path
        for part in ("extensions", "meta", "playbooks", "plugins", "roles")
        for path in (COLLECTION / part).rglob("*")
    ]
    wanted = {str(path.relative_to(COLLECTION)) for path in here if "__pycache__" not in path.parts}
    assert wanted <= set(names)


# What they do with a service: their own tasks around the role, and its results after it.
MOVE = [
    {
        "name": "Note what runs here",
        "ansible.builtin.command": {"argv": ["docker", "ps", "--format", "{{ '{{.Names}}' }}"]},
        "register": "runs_here",
        "changed_when": False,
        "check_mode": False,
    },
    {
        "name": "Move it, alive",
        "ansible.builtin.include_role": {"name": "mec.migration.migrate"},
        "vars": {
            "migrate_service": "{{ service }}",
            "migrate_target": TARGET,
            "migrate_downtime_ms": 200,
            "migrate_report_dir": "{{ playbook_dir }}/moves",
            "migrate_costs_file": "{{ playbook_dir }}/costs.jsonl",
        },
        "when": "service in runs_here.stdout_lines",
    },
    {
        "name": "Keep what came of it",
        "ansible.builtin.set_fact": {
            "summaries": "{{ summaries | default({}) | combine({service: what}) }}",
        },
        "vars": {"what": "{{ migrate_report.json | default('none') }}"},
    },
]
SITE = [
    {
        "name": "Make the hosts ready",
        "hosts": "shops",
        "gather_facts": False,
        "become": True,
        "roles": ["mec.migration.edge_host"],
    },
    {
        "name": "Empty the shop",
        "hosts": SOURCE,
        "gather_facts": False,
        "become": True,
        "serial": 1,
        "tasks": [
            {
                "name": "One service after the other",
                "ansible.builtin.include_tasks": "move.yml",
                "loop": ["redis", "load"],
                "loop_control": {"loop_var": "service"},
            },
            {
                "name": "Write down what came of it",
                "ansible.builtin.copy": {
                    "content": "{{ summaries | to_json }}",
                    "dest": "{{ playbook_dir }}/summaries.json",
                    "mode": "0644",
                },
                "delegate_to": "localhost",
                "become": False,
                "check_mode": False,
            },
        ],
    },
]


def test_role_in_a_play_of_someone_else(
    lab: Lab, elsewhere: Elsewhere, two_clients: list[Client], source: Host, target: Host
) -> None:
    elsewhere.write("move.yml", MOVE)
    elsewhere.write("site.yml", SITE)
    summaries = elsewhere.directory / "summaries.json"

    # Only the plan: nothing is touched, and their own tasks go on.
    before = [host.fingerprint() for host in (source, target)]
    plan = elsewhere.play("--check").ok()
    assert plan.text.count(f"would move from {SOURCE} to {TARGET}") == 2, plan.output
    assert json.loads(summaries.read_text()) == {"redis": "none", "load": "none"}
    assert [host.fingerprint() for host in (source, target)] == before

    elsewhere.play().ok()
    told = json.loads(summaries.read_text())
    assert {name: (one["source"], one["target"]) for name, one in told.items()} == {
        "redis": (SOURCE, TARGET),
        "load": (SOURCE, TARGET),
    }
    written = [json.loads(path.read_text()) for path in (elsewhere.directory / "moves").glob("*.json")]
    assert {one["service"]: one for one in written} == told
    assert len((elsewhere.directory / "costs.jsonl").read_text().splitlines()) == 2
    for service in ("redis", "load"):
        assert (source.state(service), target.state(service)) == ("absent", "running")
    for client in two_clients:
        client.lost_nothing()
