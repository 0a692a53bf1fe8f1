"""Two people move one service, some seconds apart: one does it, the other is told so, and one copy runs.

Likewise where one of the two is a round of follow_users. Ten times for each gap between them; on a testbed of
three hosts, for the second may want another target.
"""

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

from .conftest import StartService
from .edge import COLLECTION, ROOT, Host, Lab, Watch, wait_for

pytestmark = pytest.mark.operators
TIMES = int(os.environ.get("MEC_OPERATORS_TIMES", "10"))
UNDER_WAY = ("is being moved already", "Nothing of it was touched")
# Whoever comes to the source when it has just been removed there.
GONE = ("is absent on this host", "Nothing was touched", "another migration has moved it")
# Whoever sees one host before and another after the move.
SEEN_APART = ("must run on exactly one host", "run this playbook again")
POLICIES = COLLECTION / "plugins/plugin_utils/inputs/policies"


class Operator:
    """A playbook that somebody starts: one of ours by its name, or one at a path."""

    def __init__(self, lab: Lab, playbook: str | Path, **variables: Any) -> None:
        path = f"playbooks/{playbook}.yml" if isinstance(playbook, str) else str(playbook)
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(lab.inventory)]
        command += [path, "-e", json.dumps(variables)]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self) -> tuple[bool, str]:
        """Whether it went well, and what it said."""
        said, _ = self._process.communicate(timeout=600)
        return self._process.returncode == 0, " ".join(said.split())


@pytest.fixture
def watch(lab: Lab) -> Iterator[Watch]:
    assert len(lab.hosts) > 2, "make operators brings up a testbed of three hosts"
    made = Watch(lab.hosts)
    yield made
    made.end()
    # The others are wiped after each test anyway.
    for host in lab.hosts[2:]:
        host.wipe(["redis"])


def runs_on(lab: Lab) -> list[Host]:
    return [host for host in lab.hosts if host.running()]


def told(said: str) -> bool:
    """Whether somebody was told that another one moves the service, or has just moved it."""
    return any(all(words in said for words in one) for one in (UNDER_WAY, GONE, SEEN_APART))


def one_of_both(lab: Lab, here: Host, operators: list[Operator]) -> int:
    """Wait for both: the service has left *here* and runs once. Returns how many were refused."""
    ends = [operator.ended() for operator in operators]
    assert any(went_well for went_well, _ in ends), "\n".join(said for _, said in ends)
    refused = [said for went_well, said in ends if not went_well]
    for said in refused:
        assert told(said), said
    (now,) = runs_on(lab)
    assert now.name != here.name
    # Who was refused has left nothing, nor has who moved it.
    wait_for("nothing is left", lambda: not any(host.leftovers() for host in lab.hosts))
    return len(refused)


@pytest.mark.parametrize("gap_s", [0, 0.5, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("same", [True, False], ids=["same", "other"])
def test_one_moves_it_and_the_other_is_told_so(
    same: bool, gap_s: float, lab: Lab, start: StartService, watch: Watch, tmp_path: Path
) -> None:
    start("redis", lab.hosts[0])
    reports = {"service": "redis", "reports_dir": str(tmp_path)}
    refused = 0
    for _ in range(TIMES):
        (here,) = runs_on(lab)
        one, other = [host for host in lab.hosts if host.name != here.name][:2]
        first = Operator(lab, "migrate", target=one.name, **reports)
        time.sleep(gap_s)
        second = Operator(lab, "migrate", target=(one if same else other).name, **reports)
        refused += one_of_both(lab, here, [first, second])
    watch.at_most_one()
    # The first one may be done when the second looks, which then has nothing to do, or moves it on.
    print(f"gap {gap_s} s, {'same' if same else 'other'} target: {refused} of {TIMES} refused")
    assert refused or gap_s >= 3


@pytest.fixture
def nearest(tmp_path: Path) -> str:
    """A policy by which a service goes to its user, whatever that costs."""
    policy = yaml.safe_load((POLICIES / "lab.yml").read_text())
    policy["strategy"] = "nearest"
    policy["map"]["file"] = str(POLICIES / policy["map"]["file"])
    place = tmp_path / "nearest.yml"
    place.write_text(yaml.safe_dump(policy))
    return str(place)


@pytest.mark.parametrize("gap_s", [0, 2, 5])
@pytest.mark.parametrize("follow_first", [True, False], ids=["follow-first", "migrate-first"])
def test_a_round_of_follow_users_beside_somebody_who_moves_it(
    follow_first: bool,
    gap_s: float,
    nearest: str,
    lab: Lab,
    start: StartService,
    watch: Watch,
    tmp_path: Path,
) -> None:
    start("redis", lab.hosts[0])
    refused = 0
    for _ in range(TIMES):
        (here,) = runs_on(lab)
        one, other = [host for host in lab.hosts if host.name != here.name][:2]
        # The testbed's hosts stand in cells 0, 1 and 2, in their order.
        user = {"anna": {"cell": str(lab.hosts.index(one))}}
        follow: dict[str, Any] = {
            "mec_services": [{"name": "redis", "user": "anna"}],
            "positions": {"format": 1, "users": user},
            "policy": nearest,
            "reports_dir": str(tmp_path),
        }
        migrate = {"service": "redis", "target": other.name, "reports_dir": str(tmp_path)}
        plays: list[tuple[str, dict[str, Any]]] = [("follow_users", follow), ("migrate", migrate)]
        operators: list[Operator] = []
        for playbook, variables in plays if follow_first else reversed(plays):
            if operators:
                time.sleep(gap_s)
            operators.append(Operator(lab, playbook, **variables))
        refused += one_of_both(lab, here, operators)
    watch.at_most_one()
    # A round that finds the service frozen skips it, which is no failure; one that comes late moves it on.
    print(
        f"gap {gap_s} s, {'follow_users' if follow_first else 'migrate'} first: {refused} of {TIMES} refused"
    )


CROSS = """
- name: Two services change places
  hosts: "{{ services | join(',') }}"
  gather_facts: false
  strategy: free
  tasks:
    - name: Move this host's
      ansible.builtin.include_role:
        name: mec.migration.migrate
      vars:
        migrate_service: "{{ services[inventory_hostname] }}"
        migrate_target: "{{ services | difference([inventory_hostname]) | first }}"
        migrate_report_dir: "{{ reports_dir }}"
        migrate_costs_file: "{{ reports_dir }}/costs.jsonl"
"""


def test_two_services_change_places_in_a_play_with_strategy_free(
    lab: Lab, start: StartService, tmp_path: Path
) -> None:
    here, there = lab.hosts[:2]
    (tmp_path / "cross.yml").write_text(CROSS)
    start("redis", here)
    lab.move("redis", there)
    here.docker("run", "--detach", "--name=other", "--entrypoint=sleep", "mec-demo/redis", "100000")
    try:
        services = {here.name: "other", there.name: "redis"}
        operator = Operator(lab, tmp_path / "cross.yml", services=services, reports_dir=str(tmp_path))
        went_well, said = operator.ended()
        assert went_well, said
        assert (here.state("redis"), there.state("redis")) == ("running", "absent")
        assert (here.state("other"), there.state("other")) == ("absent", "running")
        assert len((tmp_path / "costs.jsonl").read_text().splitlines()) == 2
    finally:
        for host in (here, there):
            host.wipe(["other"])
