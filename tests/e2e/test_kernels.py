"""Hosts whose kernels are releases apart, each with a vdso of its own: `make e2e-kernels`."""

from __future__ import annotations

import pytest

from .conftest import Serve
from .edge import Host

pytestmark = pytest.mark.kernels


def vdso_of(host: Host) -> str:
    read = (
        "import re; maps = open('/proc/self/maps').read(); "
        r"start, end = (int(word, 16) for word in re.search(r'(\S+)-(\S+) .*\[vdso\]', maps).groups()); "
        "memory = open('/proc/self/mem', 'rb'); memory.seek(start); "
        "import hashlib; print(hashlib.sha256(memory.read(end - start)).hexdigest())"
    )
    return host.run(f'python3 -c "{read}"').strip()


def test_a_service_moves_to_an_older_kernel_and_back(serve: Serve, source: Host, target: Host) -> None:
    """The way back restores what a restore on another kernel has made of it."""
    newer, older = (
        tuple(int(number) for number in host.run("uname -r").split(".")[:2]) for host in (source, target)
    )
    assert newer > older
    assert vdso_of(source) != vdso_of(target)
    load = serve("load", MEMORY_MIB="16", DIRTY_PAGES="20")
    load.move(target)
    load.move(source)
    assert load.lab.runs_on() == [source.name]
    load.lost_nothing()
