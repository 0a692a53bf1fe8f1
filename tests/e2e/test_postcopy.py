"""The service runs on the target while pages of it are still on the source."""

from __future__ import annotations

import pytest

from .conftest import Serve
from .edge import Host, Lab, Service
from .test_faults import KILL_HANDOVER, KILL_RECEIVER


def test_a_service_that_writes_faster_than_the_link(serve: Serve) -> None:
    load = serve("load", MEMORY_MIB="64", DIRTY_PAGES="4000")
    report = load.move(
        load.target, migrate_bandwidth_limit_mbit=40, migrate_postcopy="when_needed", migrate_throttle=True
    )
    assert report["window"]["left_bytes"] > 16 << 20
    assert report["frozen_bytes"] < 1 << 20
    # It was not slowed down.
    assert report["cpu_percent"] == 100
    assert report["late_waits"] > 0
    account = load.lost_nothing()
    assert account["wrong_pages"] == 0
    assert account["pages"] == 64 << 8


@pytest.fixture
def storm(serve: Serve) -> Service:
    """Most of its pages are fetched once it runs on the target, which takes ten seconds."""
    return serve("load", MEMORY_MIB="64", DIRTY_PAGES="4000")


POSTCOPY = {"migrate_bandwidth_limit_mbit": 40, "migrate_postcopy": "when_needed"}
HEAL = "iptables -D OUTPUT -j E2E; iptables -D INPUT -j E2E"


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "silence"])
def test_the_link_is_cut_for_a_while(reset: bool, storm: Service, source: Host, target: Host) -> None:
    """The service waits for its pages, and goes on with them when the link is back."""
    fault = source.when(
        "journal:source:handed_over", f"{source.cut_from(target, reset=reset)}; sleep 8; {HEAL}"
    )
    moved = storm.migrate(target, **POSTCOPY)
    fault.fired(moved)
    moved.ok()
    account = storm.lost_nothing()
    assert account["wrong_pages"] == 0


def test_the_source_s_agent_is_killed(storm: Service, lab: Lab, source: Host, target: Host) -> None:
    """What is left on the source nobody can send any more: the operator decides, and nothing runs twice."""
    fault = source.when("journal:source:handed_over", KILL_HANDOVER)
    failed = storm.migrate(target, **POSTCOPY)
    fault.fired(failed)
    failed.refused()
    storm.resolve().refused("resolve_from_older_state=true", "whose agent has ended", "would be lost")
    storm.resolve(resolve_from_older_state="true").ok()
    assert lab.runs_on() == [source.name]
    storm.watch.at_most_one()
    assert not target.leftovers()


def test_the_target_s_agent_is_killed(storm: Service, lab: Lab, source: Host, target: Host) -> None:
    """Its guard ends the copy that lacks memory; the source still has the service as it was."""
    fault = target.when("journal:target:running", KILL_RECEIVER)
    failed = storm.migrate(target, **POSTCOPY)
    fault.fired(failed)
    failed.refused()
    storm.resolve(resolve_from_older_state="true").ok()
    assert lab.runs_on() == [source.name]
    storm.watch.at_most_one()


def test_processes_that_share_memory_with_those_they_were_forked_from(serve: Serve) -> None:
    web = serve("web", SHARED_MIB="64")
    web.move(web.target, migrate_postcopy="always")
    web.lost_nothing()
