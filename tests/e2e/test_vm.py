"""A kernel with soft-dirty pages, cgroup v2 and sch_netem: `make e2e-vm`. What is asserted are pages, not seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Serve
from .edge import ROOT, Host, Lab, Patience
from .test_faults import KILL_RECEIVER, RUNS_ON
from .test_move import LIMITS, specification

pytestmark = pytest.mark.vm
HUGE_PAGE = 512


@pytest.fixture(params=["never", "always"])
def huge_pages(request: pytest.FixtureRequest, source: Host, target: Host) -> str:
    """Transparent huge pages on both hosts, before the service starts."""
    set_huge_pages(request.param, source, target)
    return str(request.param)


def set_huge_pages(word: str, *hosts: Host) -> None:
    for host in hosts:
        host.run(f"echo {word} > /sys/kernel/mm/transparent_hugepage/enabled")


def huge_bytes(host: Host, container: str) -> int:
    """Of the first process's private memory, what lies in huge pages."""
    pid = host.inspect(container)["State"]["Pid"]
    words = host.run(f"grep AnonHugePages /proc/{pid}/smaps_rollup").split()
    return int(words[1]) << 10


def in_cgroup(host: Host, container: str) -> dict[str, str]:
    """What the kernel holds the container to."""
    group = f"/sys/fs/cgroup/docker/{host.inspect(container)['Id']}"
    names = ("memory.max", "cpu.weight", "pids.max", "cgroup.freeze")
    return {name: host.run(f"cat {group}/{name}").strip() for name in names}


def middle(report: dict[str, Any], key: str) -> int:
    """Of all rounds but the first of each of the two modules, which look at everything."""
    first = {1, next((done["number"] for done in report["rounds"] if done["phase"] == "handover"), 1)}
    return sum(done[key] for done in report["rounds"] if done["number"] not in first)


def test_redis_there_and_back(serve: Serve, source: Host, target: Host) -> None:
    set_huge_pages("never", source, target)
    redis = serve("redis", client=["--preload-mib=32"], docker=LIMITS)
    before, held = specification(source.inspect("redis")), in_cgroup(source, "redis")
    assert held["memory.max"] == str(512 << 20)
    assert held["cgroup.freeze"] == "0"
    here, there = source, target
    for word in ("never", "always"):
        set_huge_pages(word, source, target)
        report = redis.move(there)
        assert report["tracker"] == "soft-dirty"
        assert report["tracker_reason"] == "the kernel tracks soft-dirty pages"
        assert specification(there.inspect("redis")) == before
        assert in_cgroup(there, "redis") == held
        assert here.state("redis") == "absent"
        assert report["memory_bytes"] > 32 << 20
        print(word, report)
        here, there = there, here
    account = redis.lost_nothing()
    assert account["same_process"], "Redis is another process than at the beginning"
    assert len(account["switches"]) == 2, account["switches"]


def test_huge_pages(huge_pages: str, serve: Serve, source: Host, target: Host) -> None:
    load = serve("load", MEMORY_MIB="64", DIRTY_PAGES="50")
    pages = 64 << 8
    in_huge_pages = huge_bytes(source, "load")
    if huge_pages == "always":
        assert in_huge_pages > 32 << 20
    else:
        assert in_huge_pages == 0
    report = load.move(target)
    print(report)
    assert report["tracker"] == "soft-dirty"
    account = load.lost_nothing()
    assert account["wrong_pages"] == 0
    assert account["pages"] == pages


def test_several_processes(serve: Serve, target: Host) -> None:
    web = serve("web")
    report = web.move(target)
    assert report["tracker"] == "soft-dirty"
    web.lost_nothing()


def test_receiver_killed_while_armed(serve: Serve, source: Host, target: Host) -> None:
    redis = serve("redis", client=["--preload-mib=16"])
    fault = target.when("round:1", KILL_RECEIVER)
    failed = redis.migrate(target)
    fault.fired(failed)
    failed.refused(RUNS_ON)
    redis.goes_on(source)


@pytest.fixture
def far_away(lab: Lab) -> Any:
    """20 ms and one packet in a hundred are lost on the way out of each host."""

    def shape(**link: float) -> None:
        name = lab.inventory.name
        options = {"testbed_name": name, "testbed_kind": "vm", "testbed_hosts": len(lab.hosts), **link}
        words = [word for key, value in options.items() for word in ("-e", f"{key}={value}")]
        play = [str(Path(sys.executable).parent / "ansible-playbook"), "playbooks/testbed.yml"]
        subprocess.run([*play, "--tags", "links", *words], cwd=ROOT, check=True, timeout=Patience.of(60))

    shape(testbed_delay_ms=20, testbed_loss_percent=1, testbed_bandwidth_mbit=100)
    yield
    shape()


def test_link_that_delays_and_loses(far_away: None, serve: Serve, source: Host, target: Host) -> None:
    shaped = source.run("tc qdisc show dev eth0 root")
    assert "netem" in shaped
    assert "delay 20ms loss 1%" in shaped
    redis = serve("redis", client=["--preload-mib=8"])
    redis.move(target)
    redis.lost_nothing()
    dropped = source.run("tc -statistics qdisc show dev eth0 root")
    assert "dropped 0" not in dropped


