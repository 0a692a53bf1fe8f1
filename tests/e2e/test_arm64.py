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
from .units_there import run_every_page, run_units

pytestmark = pytest.mark.arm64

# What asks the kernel by numbers and layouts that processors may differ in.
UNITS = (
    *("calls", "copy_on_write", "host_facts", "lazy_restore", "made_segments", "mptcp", "registers"),
    *("settings", "uffd_tracker", "watchers"),
)


def tracks(report: dict[str, Any]) -> None:
    """Not all memory was looked at while the service was frozen."""
    assert report["tracker"] == "uffd"
    assert report["tracker_reason"] == (
        "the kernel has no soft-dirty pages, but tells written ones by userfaultfd"
    )
    assert 0 < report["window"]["pages_scanned"] < report["memory_bytes"] // 4096 / 4


def test_units_of_what_asks_the_kernel(target: Host) -> None:
    done = run_units(target, UNITS, timeout_s=120)
    assert done.passed > 160, done


def test_every_page(target: Host) -> None:
    """Threads that wait in calls of all kinds notice nothing of the tracker; no written page is missed."""
    assert run_every_page(target).passed == 10


def test_load_there_and_back(serve: Serve, source: Host, target: Host) -> None:
    load = serve("load", MEMORY_MIB="32", DIRTY_PAGES="20")
    for there in (target, source):
        report = load.move(there, migrate_max_rounds=4)
        tracks(report)
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
        tracks(redis.move(there))
        assert specification(there.inspect("redis")) == before
        assert here.state("redis") == "absent"
    account = redis.lost_nothing()
    assert account["same_process"], "Redis is another process than at the beginning"
    assert len(account["switches"]) == 2, account["switches"]


def test_a_tracker_that_the_kernel_lacks_is_refused(serve: Serve, source: Host, target: Host) -> None:
    redis = serve("redis", client=["--preload-mib=1"])
    refusal = "the kernel does not track soft-dirty pages"
    redis.migrate(target, migrate_tracker="soft-dirty").refused("tracker `soft-dirty`", refusal)
    redis.goes_on(source)


def test_receiver_killed_while_armed(serve: Serve, source: Host, target: Host) -> None:
    kill_receiver_while_armed(serve("redis", client=["--preload-mib=16"]), source, target)
