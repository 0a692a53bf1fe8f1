"""Two people move one service, some seconds apart: one does it, the other is told so, and one copy runs.

Ten times for each gap between them; on a testbed of three hosts, for the second may want another target.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import StartService
from .edge import ROOT, Host, Lab, Watch, wait_for

pytestmark = pytest.mark.operators
TIMES = 10
REFUSED = ("is being moved already", "Nothing of it was touched")


class Operator:
    """A playbook that somebody starts."""

    def __init__(self, lab: Lab, playbook: str, **variables: str) -> None:
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(lab.inventory)]
        command += [f"playbooks/{playbook}.yml", "-e", json.dumps(variables)]
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
        ends = [first.ended(), second.ended()]
        assert any(went_well for went_well, _ in ends), ends
        for went_well, said in ends:
            if not went_well:
                refused += 1
                assert all(words in said for words in REFUSED), said
        (now,) = runs_on(lab)
        assert now.name != here.name
        # Who was refused has left nothing, nor has who moved it.
        wait_for("nothing is left", lambda: not any(host.leftovers() for host in lab.hosts))
    watch.at_most_one()
    # After eight seconds the first one may be done, and the second has nothing to do, or moves it on.
    print(f"gap {gap_s} s, {'same' if same else 'other'} target: {refused} of {TIMES} refused")
    assert refused or gap_s >= 3
