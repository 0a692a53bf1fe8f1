"""A kernel with soft-dirty pages, cgroup v2 and sch_netem: `make e2e-vm`.

What is asserted are pages, not seconds: the hosts may be emulated.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Serve
from .edge import ROOT, Host, Lab, Patience
from .test_faults import kill_receiver_while_armed
from .test_move import LIMITS, specification
from .units_there import run_units

pytestmark = pytest.mark.vm

PAGE_BYTES = 4096
HUGE_PAGE = 512


def is_soft_dirty(report: dict[str, Any]) -> None:
    assert report["tracker"] == "soft-dirty"
    assert report["tracker_reason"] == "the kernel tracks soft-dirty pages"


def later_rounds(report: dict[str, Any], key: str) -> int:
    """Of all rounds but those two in which pre-copy and hand-over, for the first time, look at every page."""
    rounds = sorted(report["rounds"], key=lambda done: int(done["pages_scanned"]))
    return sum(int(done[key]) for done in rounds[:-2])


def huge_pages_of(host: Host, container: str) -> int:
    """How many huge pages its first process has."""
    pid = host.inspect(container)["State"]["Pid"]
    shown = host.run(f"grep AnonHugePages /proc/{pid}/smaps_rollup").split()
    return int(shown[1]) * 1024 // PAGE_BYTES // HUGE_PAGE


def in_cgroup(host: Host, container: str) -> dict[str, str]:
    """What the kernel holds the container to."""
    group = f"/sys/fs/cgroup/docker/{host.inspect(container)['Id']}"
    names = ("memory.max", "cpu.weight", "cgroup.freeze")
    return {name: host.run(f"cat {group}/{name}").strip() for name in names}


def test_units_of_the_tracker(target: Host) -> None:
    """What only this kernel can show, of which the unit tests skip some elsewhere: none here."""
    assert run_units(target, ("soft_dirty_tracker", "memory_rounds")).skipped == 0


@pytest.mark.parametrize("huge_pages", ["never", "always"])
def test_pages_that_the_tracker_names(huge_pages: str, serve: Serve, source: Host, target: Host) -> None:
    for host in (source, target):
        host.set_huge_pages(huge_pages)
    load = serve("load", MEMORY_MIB="32", DIRTY_PAGES="20")
    pages = 32 << 8
    there = huge_pages_of(source, "load")
    assert there == 0 if huge_pages == "never" else there > 8
    report = load.move(target, migrate_max_rounds=4)
    is_soft_dirty(report)
    window = report["window"]
    looked_at = later_rounds(report, "pages_scanned"), window["pages_scanned"]
    changed = later_rounds(report, "pages_changed"), window["pages_changed"]
    if huge_pages == "never":
        assert max(looked_at) < pages / 4
    else:
        # One bit stands for a huge page; what changed in it is found by comparing. Of the window this says
        # nothing: a few writes, or none, have come since the last round.
        assert looked_at[0] > pages / 2
        assert changed[0] < looked_at[0] / 8
    assert changed[1] < pages / 20
    account = load.lost_nothing()
    assert account["wrong_pages"] == 0
    assert account["pages"] == pages


def test_redis_there_and_back(serve: Serve, source: Host, target: Host) -> None:
    """Under both settings; and cgroup v2 holds it to the same limits wherever it is."""
    source.set_huge_pages("never")
    redis = serve("redis", client=["--preload-mib=32"], docker=LIMITS)
    before, held = specification(source.inspect("redis")), in_cgroup(source, "redis")
    assert held["memory.max"] == str(512 << 20)
    assert held["cgroup.freeze"] == "0"
    here, there = source, target
    for huge_pages in ("never", "always"):
        there.set_huge_pages(huge_pages)
        report = redis.move(there)
        is_soft_dirty(report)
        pages = report["memory_bytes"] // PAGE_BYTES
        assert pages > 32 << 8
        # Redis wants no huge pages for itself, and takes that along.
        assert later_rounds(report, "pages_scanned") < pages / 4
        assert 0 < report["window"]["pages_scanned"] < pages / 10
        assert specification(there.inspect("redis")) == before
        assert in_cgroup(there, "redis") == held
        assert here.state("redis") == "absent"
        here, there = there, here
    account = redis.lost_nothing()
    assert account["same_process"], "Redis is another process than at the beginning"
    assert len(account["switches"]) == 2, account["switches"]


def test_several_processes(serve: Serve, target: Host) -> None:
    web = serve("web")
    is_soft_dirty(web.move(target))
    web.lost_nothing()


def test_receiver_killed_while_armed(serve: Serve, source: Host, target: Host) -> None:
    kill_receiver_while_armed(serve("redis", client=["--preload-mib=16"]), source, target)


@pytest.fixture
def far_apart(lab: Lab) -> Iterator[None]:
    """What a host sends arrives 20 ms later, or, one packet in a hundred, never."""

    def shape(**link: float) -> None:
        testbed = {"testbed_name": lab.inventory.name, "testbed_kind": "vm", "testbed_hosts": len(lab.hosts)}
        words = [word for key, value in {**testbed, **link}.items() for word in ("-e", f"{key}={value}")]
        play = [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "playbooks/testbed.yml",
            "--tags",
            "links",
        ]
        subprocess.run([*play, *words], cwd=ROOT, check=True, timeout=Patience.of(60))

    shape(testbed_delay_ms=20, testbed_loss_percent=1, testbed_bandwidth_mbit=100)
    yield
    shape()


def test_link_that_delays_and_loses(far_apart: None, serve: Serve, source: Host, target: Host) -> None:
    redis = serve("redis", client=["--preload-mib=8"])
    redis.move(target)
    redis.lost_nothing()
    (qdisc,) = re.findall(
        r"netem .*delay 20ms.* loss 1%.*?dropped (\d+)",
        source.run("tc -statistics qdisc show dev eth0 root"),
        re.DOTALL,
    )
    assert int(qdisc) > 0
