"""The collection's unit tests, run on a host: for what only its kernel, or its processor, can show."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from typing import NamedTuple

from .edge import ROOT, Host, Patience

COLLECTION = "ansible_collections/mec/migration"
UNITS = f"{COLLECTION}/tests/unit/plugins/module_utils"


class Counts(NamedTuple):
    passed: int
    skipped: int


def run_units(host: Host, tests: Iterable[str], timeout_s: float = 60) -> Counts:
    """Run the files ``test_NAME.py`` on *host*; none may fail.

    :param tests: their NAMEs.
    """
    packed = ["tar", "--create", "--exclude=__pycache__", f"{COLLECTION}/plugins/module_utils", UNITS]
    packed.append(f"{COLLECTION}/roles/edge_host/files")
    archive = subprocess.run(packed, cwd=ROOT / "collections", stdout=subprocess.PIPE, check=True).stdout
    names = [f"{UNITS}/test_{name}.py" for name in tests]
    pytest_there = (
        f"python3 -m pytest -q -p no:cacheprovider -p no:warnings -c /dev/null --rootdir . {' '.join(names)}"
    )
    command = f"d=$(mktemp -d) && cd $d && tar x && PYTHONPATH=. {pytest_there}; rm -rf $d"
    words = [*host.ssh, command]
    done = subprocess.run(
        words, input=archive, capture_output=True, timeout=Patience.of(timeout_s), check=False
    )
    output = done.stdout.decode()
    said = re.search(r"^([1-9][0-9]*) passed(?:, ([0-9]+) skipped)? in", output, re.MULTILINE)
    assert said, output[-6000:] + done.stderr.decode()
    return Counts(int(said.group(1)), int(said.group(2) or 0))
