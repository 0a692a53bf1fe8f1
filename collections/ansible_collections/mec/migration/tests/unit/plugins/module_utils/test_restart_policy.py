# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a container that ended while a migration had taken its restart policy away."""

from __future__ import annotations

import calendar
import json
import os

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.docker import restart_policy as module
from ansible_collections.mec.migration.plugins.module_utils.docker.container_state import EndedError
from ansible_collections.mec.migration.plugins.module_utils.docker.restart_policy import (
    give_back,
    healthy_or_ended_well,
    take_away,
)

HERE = "5" * 64


class Docker:
    """A daemon with one container; *seen* is its state at one look after the other, the last one stays."""

    def __init__(self, root, *seen, code=0, by_hand=False, oom=False, live_restore=False):
        self.root, self.seen, self.code, self.oom, self.asked = root, list(seen), code, oom, []
        self.live_restore = live_restore
        (root / "containers" / HERE).mkdir(parents=True)
        config = root / "containers" / HERE / "config.v2.json"
        config.write_text(json.dumps({"HasBeenManuallyStopped": by_hand}))

    def info(self):
        return {"DockerRootDir": str(self.root), "LiveRestoreEnabled": self.live_restore}

    def inspect_container(self, container_id):
        return {"HostnamePath": str(self.root / "containers" / container_id / "hostname")}

    def look(self):
        state = self.seen[0] if len(self.seen) == 1 else self.seen.pop(0)
        if state == "created":
            # Docker may not answer about one whose start waits.
            return state, {}
        times = {"StartedAt": "2026-11-30T05:55:39.70262969Z", "FinishedAt": "2026-11-30T05:55:52.276768759Z"}
        return state, {"State": {"ExitCode": self.code, "OOMKilled": self.oom, **times}}

    def update_container(self, container_id, restart_policy):
        if self.seen[0] in ("absent", "removing", "ending"):
            raise OSError("container is marked for removal, or stopped")
        self.asked.append(restart_policy["Name"])

    def start(self, container_id):
        self.asked.append("start")


@pytest.fixture(autouse=True)
def looks(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "PID_FILE", str(tmp_path / "docker.pid"))
    monkeypatch.setattr(module, "container_state", lambda client, container_id: client.look())
    monkeypatch.setattr(module, "REMOVAL_S", 1.0)
    monkeypatch.setattr(module, "ENDING_S", 0.3)


@pytest.mark.parametrize(
    ("policy", "code", "by_hand", "starts"),
    [
        ("no", 0, False, False),
        ("no", 137, False, False),
        ("always", 0, False, True),
        ("always", 1, True, False),
        ("unless-stopped", 0, False, True),
        ("unless-stopped", 143, True, False),
        ("on-failure", 0, False, False),
        ("on-failure", 3, False, True),
        ("on-failure", 3, True, False),
    ],
)
def test_what_ended_is_treated_as_docker_treats_it(tmp_path, policy, code, by_hand, starts):
    docker = Docker(tmp_path, "exited", code=code, by_hand=by_hand)
    said = give_back(docker, HERE, {"Name": policy, "MaximumRetryCount": 0})
    assert docker.asked == [*([policy] if policy != "no" else []), *(["start"] if starts else [])]
    assert f"exit code {code}" in said
    assert ("was started anew" if starts else "stays so") in said
    assert ("docker stop" in said) == by_hand


@pytest.mark.parametrize(
    ("policy", "starts"), [("no", False), ("always", True), ("unless-stopped", True), ("on-failure", True)]
)
def test_what_went_down_with_its_host_before_docker_noted_its_start_has_failed(tmp_path, policy, starts):
    docker = Docker(tmp_path, "created")
    said = give_back(docker, HERE, {"Name": policy, "MaximumRetryCount": 0})
    assert docker.asked == ([policy, "start"] if starts else [])
    assert "ended (with its host, right after the restore)" in said


def test_what_runs_and_docker_has_not_noted_is_not_started_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "container_processes", lambda container_id: [os.getpid()])
    docker = Docker(tmp_path, "created")
    with pytest.raises(MigrationError, match=f"processes .{os.getpid()}. .* Docker does not know of them"):
        give_back(docker, HERE, {"Name": "always", "MaximumRetryCount": 0})
    assert "start" not in docker.asked


def test_a_policy_is_taken_away_on_the_disk_too(tmp_path, monkeypatch):
    docker, synced = Docker(tmp_path, "running"), []
    directory = tmp_path / "containers" / HERE
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    take_away(docker, {"Id": HERE, "HostnamePath": str(directory / "hostname")})
    assert (docker.asked, synced) == (["no"], [str(directory)])


def test_a_policy_is_given_back_on_the_disk_too(tmp_path, monkeypatch):
    docker, synced = Docker(tmp_path, "running"), []
    directory = tmp_path / "containers" / HERE
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append((*docker.asked, os.readlink(f"/proc/self/fd/{fd}")))
    )
    assert give_back(docker, HERE, {"Name": "always", "MaximumRetryCount": 0}) == ""
    assert synced == [("always", str(directory))]


def test_a_policy_that_was_given_back_stays_so_where_docker_says_no_more(tmp_path):
    docker = Docker(tmp_path, "running")
    docker.inspect_container = lambda container_id: 1 / 0
    give_back(docker, HERE, {"Name": "always", "MaximumRetryCount": 0})
    assert docker.asked == ["always"]


def test_a_daemon_that_keeps_policies_elsewhere_is_no_obstacle(tmp_path):
    docker = Docker(tmp_path, "running")
    take_away(docker, {"Id": HERE})
    assert docker.asked == ["no"]


def ended(*unused):
    raise EndedError("the restored container is exited")


@pytest.mark.parametrize(("code", "by_hand"), [(0, False), (0, True), (137, True)])
def test_what_ended_in_good_order_or_by_docker_is_no_failure(tmp_path, monkeypatch, code, by_hand):
    monkeypatch.setattr(module, "wait_healthy", ended)
    docker = Docker(tmp_path, "exited", code=code, by_hand=by_hand)
    assert healthy_or_ended_well(docker, HERE, 30) == "exited"


@pytest.mark.parametrize("code", [1, 137, 139])
def test_what_ended_by_itself_with_an_error_may_have_been_restored_badly(tmp_path, monkeypatch, code):
    monkeypatch.setattr(module, "wait_healthy", ended)
    docker = Docker(tmp_path, "exited", code=code)
    with pytest.raises(EndedError, match=rf"exit code {code}\).*mec.migration.resolve"):
        healthy_or_ended_well(docker, HERE, 30)


def test_of_what_removes_itself_nobody_can_tell_how_it_ended(tmp_path, monkeypatch):
    """Docker may not have removed it yet when it is looked at."""
    monkeypatch.setattr(module, "wait_healthy", ended)
    for state, code in (("exited", 137), ("absent", 0)):
        docker = Docker(tmp_path / state, state, code=code)
        assert healthy_or_ended_well(docker, HERE, 30, removes_itself=True) == "exited"


@pytest.mark.parametrize("state", ["running", "frozen"])
def test_of_what_runs_there_is_nothing_to_say(tmp_path, state):
    docker = Docker(tmp_path, state)
    assert not give_back(docker, HERE, {"Name": "always"})
    assert docker.asked == ["always"]


def test_what_the_kernel_ended_for_its_memory_is_said_to_have_been(tmp_path):
    said = give_back(Docker(tmp_path, "exited", code=137, oom=True), HERE, {"Name": "no"})
    assert "exit code 137, out of memory" in said


@pytest.mark.parametrize(
    ("daemon_began", "live_restore", "starts"),
    [(20, False, False), (42, False, True), (42, True, False), (59, False, False)],
)
def test_what_the_daemon_stopped_as_it_came_up_nobody_has_stopped(
    tmp_path, daemon_began, live_restore, starts
):
    """It was started at 39 and ended at 52: a daemon that began in between found it, and ended it."""
    docker = Docker(tmp_path, "exited", code=137, by_hand=True, live_restore=live_restore)
    (tmp_path / "docker.pid").write_text("7")
    began = calendar.timegm((2026, 11, 30, 5, 55, daemon_began))
    os.utime(tmp_path / "docker.pid", (began, began))
    said = give_back(docker, HERE, {"Name": "unless-stopped"})
    assert ("was started anew" in said) == starts


def test_a_daemon_that_does_not_write_down_who_stopped_it_starts_it(tmp_path):
    docker = Docker(tmp_path, "exited", by_hand=True)
    (tmp_path / "containers" / HERE / "config.v2.json").write_text("{")
    assert "was started anew" in give_back(docker, HERE, {"Name": "always"})


@pytest.mark.parametrize("seen", [["absent"], ["removing", "removing", "absent"], ["exited", "absent"]])
def test_what_was_started_to_be_removed_once_it_ends_is_gone(tmp_path, seen):
    said = give_back(Docker(tmp_path, *seen), HERE, {"Name": "no"}, removes_itself=True)
    assert "--rm" in said


@pytest.mark.parametrize("seen", [["absent"], ["removing", "absent"]])
def test_what_somebody_has_removed_is_not_kept(tmp_path, seen):
    with pytest.raises(MigrationError, match="somebody has removed"):
        give_back(Docker(tmp_path, *seen), HERE, {"Name": "always"})


def test_one_that_is_just_ending_gets_its_policy_a_moment_later(tmp_path):
    docker = Docker(tmp_path, "ending", "exited", code=143, by_hand=True)
    assert "it was stopped with Docker" in give_back(docker, HERE, {"Name": "always"})
    assert docker.asked == ["always"]


def test_a_daemon_that_is_started_anew_is_waited_for(tmp_path, monkeypatch):
    docker = Docker(tmp_path, "running")
    given, refusals = docker.update_container, [OSError("refused"), OSError("refused")]

    def refuses(container_id, restart_policy):
        if refusals:
            raise refusals.pop()
        given(container_id, restart_policy)

    def look():
        if refusals:
            raise MigrationError("Docker does not answer")
        return "running", {}

    docker.update_container, docker.look = refuses, look
    assert not give_back(docker, HERE, {"Name": "always"})
    assert docker.asked == ["always"]


def test_a_policy_that_docker_refuses_is_not_passed_over(tmp_path):
    with pytest.raises(OSError, match="marked for removal"):
        give_back(Docker(tmp_path, "removing"), HERE, {"Name": "always"})
