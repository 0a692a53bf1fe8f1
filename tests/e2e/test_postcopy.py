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


KILL = "kill -9 $(docker inspect --format '{{.State.Pid}}' load)"
NONE = ["--restart", "no"]


@pytest.mark.parametrize(
    ("options", "command", "then", "said"),
    [
        ([], "docker stop --time 1 load", "exited", "it was stopped with Docker"),
        ([], "docker restart --time 1 load", "running", ""),
        ([*NONE, "--rm"], KILL, "absent", "Docker has removed it, as it was started with --rm"),
        ([], "pkill -9 -x dockerd", "running", ""),
    ],
    ids=["stop", "restart", "end-rm", "daemon-killed"],
)
def test_a_service_that_ends_while_pages_are_late(
    serve: Serve, source: Host, target: Host, options: list[str], command: str, then: str, said: str
) -> None:
    """What it lacked of its memory nobody needs any more; its end counts as Docker has it."""
    load = serve("load", docker=options, MEMORY_MIB="64", DIRTY_PAGES="4000")
    end = target.when("journal:target:running", f"sleep 2; {command}")
    moved = load.migrate(target, **POSTCOPY)
    end.fired(moved)
    assert said in moved.ok().text
    target.heal()
    wait_for(f"it is {then}", lambda: target.state("load") == then)
    assert source.state("load") == "absent"
    load.watch.at_most_one()


@pytest.mark.parametrize(
    ("options", "then"), [([], "running"), (NONE, "exited")], ids=["unless-stopped", "no"]
)
def test_a_service_that_crashes_while_pages_are_late(
    serve: Serve, source: Host, target: Host, options: list[str], then: str
) -> None:
    """It may be the restore that was not good, so the source keeps what it has until somebody decides."""
    load = serve("load", docker=options, MEMORY_MIB="64", DIRTY_PAGES="4000")
    # So that they are late for long enough.
    source.slow_down(10)
    crash = target.when("journal:target:running", f"sleep 1; {KILL}")
    failed = load.migrate(target, **POSTCOPY)
    crash.fired(failed)
    failed.refused("ended by itself (exit code 137)", "load is frozen on edge-a; run ansible-playbook")
    load.resolve().ok()
    wait_for(f"it is {then}", lambda: target.state("load") == then)
    assert source.state("load") == "absent"
    load.watch.at_most_one()
