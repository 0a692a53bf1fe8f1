"""Hosts with arm64 processors, which are emulated: `make e2e-arm64`.

What is asserted are pages and who runs where, not seconds.
"""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Serve
from .edge import Host
from .test_faults import kill_receiver_while_armed
from .test_move import LIMITS, specification
from .units_there import run_units

pytestmark = pytest.mark.arm64

# What asks the kernel by numbers and layouts that processors may differ in.
UNITS = (
    *("calls", "copy_on_write", "host_facts", "lazy_restore", "made_segments", "mptcp", "settings"),
    "watchers",
)
UFFD = "for uffd it is made for x86_64, this is aarch64"


def compares(report: dict[str, Any]) -> None:
    assert report["tracker"] == "compare"
    assert report["tracker_reason"] == f"the kernel does not track soft-dirty pages, and {UFFD}"


def test_units_of_what_asks_the_kernel(target: Host) -> None:
    assert run_units(target, UNITS).passed > 80


def test_load_there_and_back(serve: Serve, source: Host, target: Host) -> None:
    load = serve("load", MEMORY_MIB="32", DIRTY_PAGES="20")
    for there in (target, source):
        report = load.move(there, migrate_max_rounds=4)
        compares(report)
        # Only what was written goes once more.
        assert report["window"]["pages_changed"] < (32 << 8) / 8
    account = load.lost_nothing()
    assert account["wrong_pages"] == 0
    assert account["pages"] == 32 << 8
    assert len(account["switches"]) == 2, account["switches"]


def test_redis_there_and_back(serve: Serve, source: Host, target: Host) -> None:
    redis = serve("redis", client=["--preload-mib=16"], docker=LIMITS)
    before = specification(source.inspect("redis"))
    for here, there in ((source, target), (target, source)):
        compares(redis.move(there))
        assert specification(there.inspect("redis")) == before
        assert here.state("redis") == "absent"
    account = redis.lost_nothing()
    assert account["same_process"], "Redis is another process than at the beginning"
    assert len(account["switches"]) == 2, account["switches"]


def test_a_tracker_of_another_processor_is_refused(serve: Serve, source: Host, target: Host) -> None:
    redis = serve("redis", client=["--preload-mib=1"])
    redis.migrate(target, migrate_tracker="uffd").refused("tracker `uffd`", "it is made for x86_64")
    redis.goes_on(source)


def test_receiver_killed_while_armed(serve: Serve, source: Host, target: Host) -> None:
    kill_receiver_while_armed(serve("redis", client=["--preload-mib=16"]), source, target)
