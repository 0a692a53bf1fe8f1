"""Services as Debian ships them, in default configuration where that listens at all, there and back.

A client writes all the while, follows, and reads back all that was acknowledged. `make services` runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from . import writers
from .edge import Lab, wait_for
from .real import SERVICES_MOVED, bring_image, run_words

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def images(lab: Lab) -> None:
    """The image on both hosts: what is tried here is the services, not the way of an image."""
    bring_image(lab.hosts[:2])


@pytest.fixture
def emptied(lab: Lab) -> Iterator[list[str]]:
    """Names of containers, which are removed afterwards."""
    names: list[str] = []
    yield names
    for host in lab.hosts[:2]:
        host.wipe(names)


@pytest.mark.parametrize("name", SERVICES_MOVED)
def test_there_and_back(
    name: str, lab: Lab, images: None, emptied: list[str], record_property: Callable[[str, object], None]
) -> None:
    real, (here, there) = SERVICES_MOVED[name], lab.hosts[:2]
    emptied.append(name)
    here.docker(*run_words(name))
    writer = writers.Writer(real.connect, [(host.address, real.port) for host in (here, there)])
    frozen_ms = []
    for target in (there, here):
        wait_for_writes(name, writer)
        frozen_ms.append(round(lab.move(name, target)["frozen_ms"]))
    wait_for_writes(name, writer)
    account = writer.stop()
    gap_ms = round(account.longest_gap_ms)
    print(f"{name}: frozen {frozen_ms} ms, client's gap {gap_ms} ms, {account.acknowledged} writes")
    record_property("frozen_ms", frozen_ms)
    record_property("gap_ms", gap_ms)
    assert account.lost == []


def wait_for_writes(name: str, writer: writers.Writer) -> None:
    """Until some more are acknowledged."""
    enough = writer.acknowledged + 50
    wait_for(f"writes to {name}", lambda: writer.acknowledged >= enough)
