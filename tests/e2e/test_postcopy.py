"""The service runs on the target while pages of it are still on the source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run, Serve
from .edge import Host, Lab, Service, wait_for
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


@pytest.mark.parametrize("memory", ["full", "lean"])
def test_a_service_that_never_leaves_its_memory_alone(
    lab: Lab, source: Host, target: Host, run: Run, memory: str
) -> None:
    run("restless", (Path(__file__).parent / "restless.py").read_text())
    wait_for("it is at work", lambda: said_by(source))
    report = lab.move(
        "restless",
        target,
        migrate_bandwidth_limit_mbit=40,
        migrate_postcopy="always",
        migrate_memory=memory,
        migrate_max_rounds=1,
    )
    assert report["late_waits"] > 50
    target.docker("kill", "--signal", "USR1", "restless")
    account = wait_for("its account", lambda: [each for each in said_by(target) if "right" in each])[-1]
    # /proc/PID/mem is the one way to memory on which the kernel does not wait for a page.
    assert set(account["wrong"]) <= {"looks_at_itself: Input/output error, as said"}
    assert account["right"] == account["pages"]
    done = [each["done"] for each in said_by(target) if "done" in each][-1]
    assert min(done.values()) > 10


def said_by(host: Host) -> list[dict[str, Any]]:
    return [json.loads(line) for line in host.docker("logs", "restless").splitlines()]


def test_a_service_that_is_stopped_while_pages_are_late(storm: Service, source: Host, target: Host) -> None:
    """Whoever stopped it is told; it is on the target, and complete, for what it lacked it does not need."""
    stop = target.when("journal:target:running", "sleep 2; docker stop --time 1 load")
    failed = storm.migrate(target, **POSTCOPY)
    stop.fired(failed)
    failed.refused("the restored container is exited", "load is frozen on edge-a; run ansible-playbook")
    storm.resolve().ok()
    wait_for("it runs again", lambda: target.state("load") == "running")
    assert source.state("load") == "absent"
    storm.watch.at_most_one()
