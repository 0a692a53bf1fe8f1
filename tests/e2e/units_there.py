"""The collection's unit tests, run on a host: for what only its kernel, or its processor, can show."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from typing import NamedTuple

from .edge import ROOT, Host, Patience

COLLECTION = "collections/ansible_collections/mec/migration"
UNITS = f"{COLLECTION}/tests/unit/plugins/module_utils"


class Counts(NamedTuple):
    passed: int
    skipped: int


def run_units(host: Host, tests: Iterable[str], timeout_s: float = 60) -> Counts:
    """Run the files ``test_NAME.py`` on *host*; none may fail.

    :param tests: their NAMEs.
    """
    packed = [f"{COLLECTION}/plugins/module_utils", UNITS, f"{COLLECTION}/roles/edge_host/files"]
    return _run(host, packed, [f"{UNITS}/test_{name}.py" for name in tests], timeout_s)


def run_every_page(host: Host, timeout_s: float = 120) -> Counts:
    """`make uffd` on *host*, one run of each program but Redis, which hosts do not have."""
    packed = [f"{COLLECTION}/plugins/module_utils", UNITS, "tests/uffd"]
    words = ["tests/uffd", "--runs=10", "--slow", "-k", "'not redis'"]
    return _run(host, packed, words, timeout_s)


def _run(host: Host, packed: list[str], words: list[str], timeout_s: float) -> Counts:
    """Run pytest with *words* on *host*, in a directory with *packed*, paths in the repository."""
    command = ["tar", "--create", "--exclude=__pycache__", *packed]
    archive = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    pytest_there = (
        f"python3 -m pytest -q -p no:cacheprovider -p no:warnings -c /dev/null --rootdir . {' '.join(words)}"
    )
    there = f"d=$(mktemp -d) && cd $d && tar x && PYTHONPATH=collections {pytest_there}; rm -rf $d"
    done = subprocess.run(
        [*host.ssh, there], input=archive, capture_output=True, timeout=Patience.of(timeout_s), check=False
    )
    output = done.stdout.decode()
    said = re.search(
        r"^([1-9][0-9]*) passed(?:, ([0-9]+) skipped)?(?:, [0-9]+ deselected)? in", output, re.MULTILINE
    )
    assert said, output[-6000:] + done.stderr.decode()
    return Counts(int(said.group(1)), int(said.group(2) or 0))
