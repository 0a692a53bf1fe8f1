# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container that waits on the target: when it runs, and when it is proved that it does not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.target import armed_container as module
from ansible_collections.mec.migration.plugins.module_utils.target.armed_container import ArmedContainer

ID = "a" * 64
SPEC = {
    "name": "redis",
    "image_id": "sha256:1",
    "create": {"Image": "redis:7", "HostConfig": {}},
    "mounts": [],
    "networks": {"one": {}, "two": {"IPAMConfig": {"IPv4Address": "10.0.0.2"}}},
}


class Refused(Exception):
    explanation = "no space left on device"


class Docker:
    """Notes what is asked of it; ``fails`` names the call that it refuses."""

    def __init__(self):
        self.calls, self.fails, self.body = [], "", {}
        # Whether it created a container whose id nobody heard of.
        self.lost = False

    def _do(self, call, value=None):
        self.calls.append(call)
        if call == self.fails:
            raise Refused(call)
        return value

    def volumes(self):
        return {"Volumes": None}

    def version(self):
        return {"Version": "26.1.5"}

    def inspect_network(self, name):
        return {"Name": name}

    def create_container_from_config(self, body, name):
        self.body = body
        return self._do("create", {"Id": ID})

    def connect_container_to_network(self, container_id, network, **options):
        assert (container_id, network, options["ipv4_address"]) == (ID, "two", "10.0.0.2")
        self._do("connect")

    def inspect_container(self, container_id):
        mounts = [{"Destination": "/data", "Source": "/var/lib/docker/v"}]
        return self._do("inspect", {"Mounts": mounts, "HostConfig": {"Runtime": "mec"}})

    def remove_container(self, container_id, force):
        assert (container_id, force) == (ID, True)
        self._do("remove")

    def containers(self, all=False, filters=None):
        return [{"Id": ID, "Names": ["/redis"], "State": "created"}] if self.lost else []


class Runtime:
    """The armed runtime at the other end; answers each order with the next of *answers*."""

    def __init__(self, container, *answers):
        self.container, self.answers, self.orders = container, list(answers), []

    def write(self, line):
        order = json.loads(line)
        self.orders.append(order["command"])
        if order["command"] == "abort":
            # Docker's start fails then.
            self.container._started.set()

    def flush(self):
        pass

    def readline(self):
        answer = self.answers.pop(0) if self.answers else ""
        return answer if isinstance(answer, str) else json.dumps(answer) + "\n"

    def close(self):
        pass


@pytest.fixture
def docker():
    return Docker()


@pytest.fixture
def ended(monkeypatch):
    """What was made sure of; ``left`` are processes that do not end."""
    done = {"calls": [], "left": []}

    def end_container(container_id):
        done["calls"].append("end container")
        if done["left"]:
            raise MigrationError(f"processes {done['left']} do not end after SIGKILL")

    monkeypatch.setattr(module, "end_restore", lambda *unused: done["calls"].append("end restore"))
    monkeypatch.setattr(module, "end_container", end_container)
    # Which of several images of a name is meant is tested with the image stores.
    monkeypatch.setattr(ArmedContainer, "_image", lambda self, name: name)
    monkeypatch.setattr(module, "container_processes", lambda container_id: done["left"])
    return done


@pytest.fixture
def armed(docker, ended, tmp_path):
    """A container that waits, with *answers* of its runtime."""

    def make(*answers):
        container = ArmedContainer(docker, SPEC, str(tmp_path))
        container.create(lambda made: None)
        container._stream = Runtime(container, *answers)
        return container

    return make


def test_it_is_created_as_on_the_source_under_the_armed_runtime(armed, docker):
    container = armed()
    assert docker.calls == ["create", "connect", "inspect"]
    assert docker.body["HostConfig"]["Runtime"] == "mec"
    assert list(docker.body["NetworkingConfig"]["EndpointsConfig"]) == ["one"]
    assert container.mount_sources == {"/data": "/var/lib/docker/v"}


@pytest.mark.parametrize("call", ["create", "connect", "inspect"])
def test_whatever_docker_refuses_nothing_is_left(call, docker, ended, tmp_path):
    docker.fails = call
    container = ArmedContainer(docker, SPEC, str(tmp_path))
    with pytest.raises(MigrationError, match="no space left on device") as caught:
        container.create(lambda made: None)
    assert caught.value.rolled_back
    assert ("remove" in docker.calls) == (call != "create")


def test_what_docker_created_without_an_answer_is_removed(docker, ended, tmp_path):
    docker.fails, docker.lost = "create", True
    container = ArmedContainer(docker, SPEC, str(tmp_path))
    with pytest.raises(MigrationError, match="no space left on device"):
        container.create(lambda made: None)
    assert docker.calls[-1] == "remove"


def test_what_cannot_be_written_down_is_removed(docker, ended, tmp_path):
    def full(made):
        raise MigrationError(f"the journal of {made} cannot be written")

    container = ArmedContainer(docker, SPEC, str(tmp_path))
    with pytest.raises(MigrationError, match=f"the journal of {ID} cannot be written"):
        container.create(full)
    assert docker.calls == ["create", "remove"]


def test_it_runs_and_says_how_long_it_took(armed):
    container = armed({"event": "restored", "code": 0, "restore_ms": 40.5})
    assert container.restore(5) == {"restore_ms": 40.5}
    assert not container.destroyed


@pytest.mark.parametrize("content", [b"", b"\x00", b"not an image at all", b"\x56\x47\x56\x57" * 3])
def test_statistics_that_cannot_be_read_are_no_failure(content, armed, tmp_path):
    """A full disk cuts them; the service runs all the same."""
    (tmp_path / "stats-restore").write_bytes(content)
    container = armed({"event": "restored", "code": 0, "restore_ms": 40.5})
    assert container.restore(5)["restore_ms"] == 40.5
    assert not container.destroyed


@pytest.mark.parametrize(
    "answer",
    [
        {"event": "restored", "code": 1},
        {"event": "failed", "code": -1, "reason": "no"},
        "",
        "[]\n",
        "odd\n",
    ],
    ids=str,
)
def test_a_restore_that_fails_is_destroyed_and_seen_to_be(answer, armed, ended, docker):
    container = armed(answer)
    with pytest.raises(MigrationError, match="could not restore") as caught:
        container.restore(5)
    assert caught.value.rolled_back
    assert container.destroyed
    assert ended["calls"][-1] == "end container", "looked at after the last thing that could bring it back"
    assert "remove" in docker.calls


def test_what_does_not_end_is_never_called_destroyed(armed, ended):
    container = armed({"event": "restored", "code": 1})
    ended["left"] = [7]
    with pytest.raises(MigrationError, match="do not end"):
        container.restore(5)
    assert not container.destroyed
    assert container.runs


def test_one_that_is_given_up_is_told_so_first(armed, ended):
    container = armed()
    container.destroy("cancelled")
    assert container._stream.orders == ["abort"]
    assert container.destroyed


def test_with_docker_dead_the_runtime_puts_away_what_it_made(armed, monkeypatch, tmp_path):
    made, seen = tmp_path / "mount", []
    made.touch()
    runtime = subprocess.Popen(
        ["sh", "-c", 'read -r word; sleep 0.5; rm "$1"', "sh", made], stdin=subprocess.PIPE
    )
    threading.Thread(target=runtime.wait, daemon=True).start()
    monkeypatch.setattr(module, "RUNTIME_END_S", 60)
    monkeypatch.setattr(module, "end_restore", lambda *unused: seen.append(made.exists()))
    container = armed()
    container._runtime_pid, container._runtime_started = runtime.pid, module.start_time(runtime.pid)
    container._started.set()
    container._stream.close = runtime.stdin.close
    container.destroy("Docker's daemon is dead")
    assert seen
    assert not any(seen), "it was killed before"


@pytest.mark.parametrize(
    "logged", ["", "(00.02) 1: Error (criu/mem.c:964): Unable to map: Cannot allocate memory\n"]
)
def test_what_criu_said_is_told_even_if_docker_gave_up(logged, armed, tmp_path):
    (tmp_path / "restore.log").write_text(logged)
    container = armed("")
    container._start_error = "exit status 137"
    with pytest.raises(MigrationError, match="exit status 137") as caught:
        container.restore(5)
    assert ("not enough memory" in caught.value.message) is bool(logged)


@pytest.mark.parametrize("state", ["running", "frozen"])
def test_a_start_whose_answer_is_lost_is_one(state, armed, monkeypatch):
    container = armed()
    container._start_error, container._later = "the connection was reset", {"other": {}}
    container._started.set()
    connected = []
    monkeypatch.setattr(module, "container_state", lambda client, container_id: (state, {}))
    monkeypatch.setattr(container, "_connect", connected.append)
    container.wait_started(1)
    assert connected == [{"other": {}}]
    assert container.docker_said == "the connection was reset"


@pytest.mark.parametrize("said", ["", "not json\n", '{"pid": 1, "protocol": 6, "bundle": "/nowhere"}\n'])
def test_a_start_that_fails_in_any_way_leaves_nothing(said, armed, docker, ended, tmp_path, monkeypatch):
    """The runtime ends before its first word, says something else, or its bundle cannot be read."""
    monkeypatch.setattr(module, "ARMED_DIR", str(tmp_path / "armed"))
    container = armed()
    container._stream = None

    def start(container_id):
        with socket.socket(socket.AF_UNIX) as runtime:
            runtime.connect(str(tmp_path / "armed" / container_id))
            runtime.sendall(said.encode())
            while runtime.recv(100):
                pass
        raise Refused("given up")

    docker.start = start
    with pytest.raises(MigrationError, match="container redis could not be armed on the target: ") as caught:
        container.start()
    assert caught.value.rolled_back
    assert container.destroyed
    assert docker.calls[-1] == "remove"
    assert os.listdir(tmp_path / "armed") == []


def test_one_that_cannot_be_listened_for_is_removed(armed, docker, ended, tmp_path, monkeypatch):
    (tmp_path / "armed").write_text("a file where a directory should be")
    monkeypatch.setattr(module, "ARMED_DIR", str(tmp_path / "armed" / "deeper"))
    container = armed()
    container._stream = None
    with pytest.raises(MigrationError, match=r"could not be armed on the target: .*deeper"):
        container.start()
    assert docker.calls[-1] == "remove"


def test_what_docker_did_not_take_over_is_told(armed, monkeypatch):
    container = armed()
    container._start_error = "the daemon ended"
    container._started.set()
    monkeypatch.setattr(module, "container_state", lambda client, container_id: ("created", {}))
    with pytest.raises(MigrationError, match="take over the restored container redis: the daemon ended"):
        container.wait_started(1)
