# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What resolve does on a host: by ids, in the lock, and only in the state for which it was decided."""

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base import paths
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.resolve import settle
from ansible_collections.mec.migration.plugins.module_utils.resolve.settle import Order
from ansible_collections.mec.migration.plugins.module_utils.source.endings import roll_back_source
from ansible_collections.mec.migration.plugins.module_utils.state import journal as states
from ansible_collections.mec.migration.plugins.module_utils.state import migration_lock
from ansible_collections.mec.migration.plugins.module_utils.state.journal import SOURCE, TARGET, Journal
from ansible_collections.mec.migration.plugins.module_utils.state.migration_lock import MigrationLock, Owner
from ansible_collections.mec.migration.plugins.module_utils.target import endings
from ansible_collections.mec.migration.plugins.module_utils.transport.control import CONTROL, ControlServer

HERE, THERE = "5" * 64, "7" * 64
ALWAYS = {"Name": "always", "MaximumRetryCount": 0}


class Docker:
    """A daemon that knows containers by id, and what was asked of it."""

    def __init__(self, **containers):
        self.states = {HERE: containers.get("here"), THERE: containers.get("there")}
        self.asked = []
        self.health = ""
        self.refusals = 0

    def info(self):
        return {}

    def containers(self, **_filters):
        return [
            {"Id": one, "Names": ["/redis"], "State": state} for one, state in self.states.items() if state
        ]

    def inspect_container(self, container):
        state = self.states[container]
        said = {"Status": state, "Running": state == "running", "Pid": os.getpid()}
        if self.health:
            said["Health"] = {"Status": self.health}
        return {"Id": container, "State": said}

    def update_container(self, container, restart_policy):
        if self.refusals:
            self.refusals -= 1
            raise OSError("cannot update a container that is stopping")
        self.asked.append(("policy", container, restart_policy["Name"]))

    def start(self, container):
        self.asked.append(("start", container))
        self.states[container] = "running"

    def remove_container(self, container, **_options):
        self.asked.append(("remove", container))
        self.states[container] = None


@pytest.fixture(autouse=True)
def directories(tmp_path, monkeypatch):
    monkeypatch.setattr(states, "JOURNAL_DIR", str(tmp_path / "journals"))
    monkeypatch.setattr(settle, "JOURNAL_DIR", str(tmp_path / "journals"))
    monkeypatch.setattr(migration_lock, "LOCK_DIR", str(tmp_path / "locks"))


def source(state, migration_id="redis-1", **facts):
    Journal(migration_id, SOURCE).write(
        state, service="redis", container_id=HERE, restart_policy=ALWAYS, **facts
    )


def target(state, **facts):
    Journal("redis-1", TARGET).write(
        state, service="redis", container_id=THERE, restart_policy=ALWAYS, **facts
    )


def order(seen, *, by_word=False):
    return Order("redis-1", "redis", seen, "", by_word, "a test")


def roll_back(docker):
    return roll_back_source(docker, "redis-1", "redis", False)


def outcome(side):
    return Journal("redis-1", side).entry.outcome


def test_a_copy_that_never_ran_is_destroyed_and_only_then_noted():
    target(states.ARMED)
    docker = Docker(there="created")
    assert settle.destroy(docker, order("armed"), False)
    assert docker.asked == [("remove", THERE)]
    assert outcome(TARGET) == states.DESTROYED


@pytest.mark.parametrize("state", [states.RESTORING, states.RUNNING, states.FILLED])
def test_a_copy_that_may_have_run_is_destroyed_by_word_only(state):
    target(state, lazy=True)
    docker = Docker(there="exited")
    with pytest.raises(MigrationError, match=f"in state {state}"):
        settle.destroy(docker, order(state), False)
    assert (docker.asked, outcome(TARGET)) == ([], "")
    assert settle.destroy(docker, order(state, by_word=True), False)
    assert outcome(TARGET) == states.DESTROYED


def test_the_word_counts_only_for_the_state_for_which_it_was_given():
    target(states.FILLED)
    docker = Docker(there="running")
    with pytest.raises(MigrationError, match="was seen in state running") as raised:
        settle.destroy(docker, order("running", by_word=True), False)
    # The playbook asks again.
    assert raised.value.result()["outdated"]
    assert docker.asked == []


def test_a_frozen_copy_whose_host_was_rebooted_is_started_after_it_has_its_policy():
    source(states.MARK_SENT)
    docker = Docker(here="exited")
    assert settle.release(docker, order("mark_sent"), False)
    assert docker.asked == [("policy", HERE, "always"), ("start", HERE)]
    assert outcome(SOURCE) == states.ROLLED_BACK


@pytest.mark.parametrize(
    "action",
    [lambda docker: settle.release(docker, order("frozen"), False), roll_back],
    ids=["resolve", "undo"],
)
def test_one_that_is_just_ending_is_given_its_policy_a_moment_later(action):
    """Docker refuses to update it then."""
    source(states.FROZEN)
    docker = Docker(here="exited")
    docker.refusals = 2
    assert action(docker)
    assert docker.asked == [("policy", HERE, "always"), ("start", HERE)]


def test_who_ended_it_before_the_freeze_meant_to():
    source(states.OPEN)
    docker = Docker(here="exited")
    settle.release(docker, order("open"), False)
    assert ("start", HERE) not in docker.asked


def test_nothing_is_released_that_another_migration_needs_as_it_is():
    source(states.FROZEN)
    source(states.MARK_SENT, migration_id="redis-2")
    docker = Docker(here="exited")
    with pytest.raises(MigrationError, match="redis-2"):
        settle.release(docker, order("frozen"), False)
    assert docker.asked == []


def test_nothing_is_done_beside_an_agent():
    source(states.FROZEN)
    lock = MigrationLock(HERE)
    lock.take(Owner("redis-1", "redis", "ada", time.time()))
    try:
        with pytest.raises(MigrationError, match="by ada"):
            settle.release(Docker(here="exited"), order("frozen"), False)
    finally:
        lock.release()


@pytest.mark.parametrize(("policy", "starts"), [("always", True), ("no", False)])
def test_a_complete_copy_that_has_ended_gets_its_policy_and_what_that_says_is_done(policy, starts):
    target(states.FILLED)
    Journal("redis-1", TARGET).note(restart_policy={"Name": policy, "MaximumRetryCount": 0})
    docker = Docker(there="exited")
    said = settle.keep(docker, order("filled"), False)
    assert docker.asked == ([("policy", THERE, policy), ("start", THERE)] if starts else [])
    assert ("was started anew" if starts else "stays so") in said
    assert outcome(TARGET) == states.KEPT


@pytest.mark.parametrize("now", ["exited", "running"])
def test_a_complete_copy_whose_agent_lives_is_kept_by_that(tmp_path, monkeypatch, now):
    """It may have ended while pages were fetched; the agent holds the lock of its name."""
    monkeypatch.setattr(paths, "RUN_DIR", str(tmp_path / "run"))
    target(states.FILLED)
    asked = []
    server = ControlServer(os.path.join(paths.state_dir("redis-1"), CONTROL))
    server.start(
        {"finish": lambda request: asked.append(request.operation) or {"how_it_ended": "it stays so"}}
    )
    lock = MigrationLock("name-redis")
    lock.take(Owner("redis-1", "redis", "ada", time.time()))
    try:
        assert "it stays so" in settle.keep(Docker(there=now), order("filled"), False)
    finally:
        lock.release()
        server.close()
    assert asked == ["finish"]


@pytest.mark.parametrize("health", ["unhealthy", "starting"])
def test_a_complete_copy_is_kept_whatever_its_health_check_says(health):
    target(states.FILLED)
    source(states.MARK_SENT)
    docker = Docker(there="running", here="exited")
    docker.health = health
    assert settle.keep(docker, order("filled"), False)
    assert settle.end(docker, order("mark_sent"), False)
    assert docker.asked == [("policy", THERE, "always"), ("remove", HERE)]
    assert (outcome(TARGET), outcome(SOURCE)) == (states.KEPT, states.COMMITTED)


@pytest.mark.parametrize("action", ["keep", "destroy"])
def test_nothing_that_an_ended_agent_has_left_stays(tmp_path, monkeypatch, action):
    monkeypatch.setattr(endings, "ARMED_DIR", str(tmp_path / "armed"))
    socket, images, staging = (
        tmp_path / "armed" / THERE,
        tmp_path / "redis-1" / "images",
        tmp_path / "docker" / "mec-migration-redis-1",
    )
    for directory in (socket.parent, images, staging):
        directory.mkdir(parents=True)
    socket.touch()
    target(
        states.FILLED if action == "keep" else states.ARMED, images_dir=str(images), staging_dir=str(staging)
    )
    docker = Docker(there="running" if action == "keep" else "created")
    seen = "filled" if action == "keep" else "armed"
    assert getattr(settle, action)(docker, order(seen), False)
    assert [path.exists() for path in (socket, images, staging)] == [False, False, False]


def test_a_copy_whose_memory_may_be_incomplete_is_not_kept():
    target(states.RUNNING, lazy=True)
    docker = Docker(there="running")
    with pytest.raises(MigrationError, match="cannot be trusted"):
        settle.keep(docker, order("running"), False)
    assert (docker.asked, outcome(TARGET)) == ([], "")


def test_only_what_does_not_run_is_ended():
    source(states.HANDED_OVER)
    with pytest.raises(MigrationError, match="runs on this host"):
        settle.end(Docker(here="running"), order("handed_over"), False)
    docker = Docker(here="exited")
    assert settle.end(docker, order("handed_over"), False)
    assert (docker.asked, outcome(SOURCE)) == ([("remove", HERE)], states.COMMITTED)


def test_a_journal_that_cannot_be_read_is_put_aside_by_the_word_only(tmp_path):
    target(states.RUNNING)
    path = tmp_path / "journals" / "redis-1.target.json"
    path.write_text("{")
    by_word = Order("redis-1", "redis", "damaged", THERE, True, "a test")
    with pytest.raises(MigrationError, match="in state damaged"):
        settle.destroy(Docker(there="running"), by_word._replace(by_word=False), False)
    assert path.read_text() == "{"
    docker = Docker(there="running")
    assert settle.destroy(docker, by_word, False)
    assert (docker.asked, outcome(TARGET)) == ([("remove", THERE)], states.DESTROYED)


def test_only_what_is_settled_is_forgotten():
    source(states.MARK_SENT)
    with pytest.raises(MigrationError, match="mark_sent"):
        settle.forget(order("mark_sent"), SOURCE, False)
    source(states.SETTLED, outcome=states.COMMITTED)
    assert settle.forget(order("committed"), SOURCE, False)
    assert not Journal("redis-1", SOURCE).exists


def test_check_mode_changes_nothing():
    source(states.FROZEN)
    docker = Docker(here="exited")
    assert settle.release(docker, order("frozen"), True)
    assert (docker.asked, outcome(SOURCE)) == ([], "")
