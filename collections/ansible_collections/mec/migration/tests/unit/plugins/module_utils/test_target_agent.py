# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target's agent over real TLS: what it says, and that its journal says so first."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base import crash_points, paths
from ansible_collections.mec.migration.plugins.module_utils.base.errors import (
    MigrationError,
    PreflightError,
    TransferError,
)
from ansible_collections.mec.migration.plugins.module_utils.docker import restart_policy
from ansible_collections.mec.migration.plugins.module_utils.kernel.settings import Settings
from ansible_collections.mec.migration.plugins.module_utils.state import journal as states
from ansible_collections.mec.migration.plugins.module_utils.state import migration_lock
from ansible_collections.mec.migration.plugins.module_utils.state.journal import TARGET, Journal
from ansible_collections.mec.migration.plugins.module_utils.state.migration_lock import MigrationLock, Owner
from ansible_collections.mec.migration.plugins.module_utils.target import agent as module
from ansible_collections.mec.migration.plugins.module_utils.target import endings
from ansible_collections.mec.migration.plugins.module_utils.target.agent import TargetAgent
from ansible_collections.mec.migration.plugins.module_utils.target.hook import Hook
from ansible_collections.mec.migration.plugins.module_utils.target.settings import TargetSettings
from ansible_collections.mec.migration.plugins.module_utils.transport.control import control
from ansible_collections.mec.migration.plugins.module_utils.transport.wire import Keys, connect

# Made on the controller: where there is none (ansible-test with an edge host's Python), nothing to try.
key_pair = pytest.importorskip("ansible_collections.mec.migration.plugins.lookup.migration_keys").key_pair
ID = "redis-1"
ALWAYS = {"Name": "always", "MaximumRetryCount": 0}
SPEC = {"name": "redis", "restart_policy": ALWAYS, "create": {"HostConfig": {}}}
NO_SETTINGS = Settings([], []).as_fields()
PREPARE = {
    "descriptors": [],
    "tmpfs": [],
    "cgroup_mode": "ignore",
    "settings": NO_SETTINGS,
    "segments": [],
}
MARK = {"rounds": 0, "tmpfs": {}, "peers": []}


class Container:
    """In place of the armed container; ``fails`` names the call that raises."""

    fails = None

    def __init__(self, client, spec, work_dir):
        self.work_dir, self.rootfs, self.mount_sources = work_dir, work_dir, {}
        self.id, self.destroyed, self.waiting, self.start_error = "abc", False, True, ""
        self.docker_said = ""
        self.alive = False

    def _do(self, call):
        if call in self.fails:
            raise self.fails[call]

    def create(self, note):
        self._do("create")
        note(self.id)

    def start(self):
        self._do("start")

    def prepare(self, images_dir, criu_config, lazy):
        self._do("prepare")

    def allocate(self, segments):
        self._do("allocate")

    def restore(self, timeout_s):
        self._do("restore")
        self.alive = True
        return {"restore_ms": 7.0}

    def destroy(self, reason):
        self._do("destroy")
        self.destroyed, self.alive = True, False

    def is_gone(self):
        return self.destroyed and "removed" not in self.fails

    def wait_started(self):
        self._do("wait started")

    @property
    def runs(self):
        return self.alive


@pytest.fixture(scope="module")
def credentials():
    return {name: key_pair(name) for name in ("source", "target")}


@pytest.fixture
def host(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(states, "JOURNAL_DIR", str(tmp_path / "journals"))
    monkeypatch.setattr(migration_lock, "LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setattr(module, "ArmedContainer", Container)
    monkeypatch.setattr(module, "healthy_or_ended_well", lambda *unused: "running")
    monkeypatch.setattr(restart_policy, "container_state", lambda client, container_id: ("running", {}))
    layers = SimpleNamespace(handlers={}, close=lambda: None)
    monkeypatch.setattr(module, "LayerReceiver", lambda *unused: layers)
    monkeypatch.setattr(Container, "fails", {})
    return tmp_path


class Target:
    """An agent that serves in a thread, and the source's connection to it."""

    def __init__(self, host, credentials, hook=()):
        self.host, self.policies = host, []
        docker = SimpleNamespace(
            info=lambda: {"ID": "ENGINE", "DockerRootDir": str(host)},
            containers=lambda **unused: [],
            update_container=lambda container_id, restart_policy: self.policies.append(restart_policy),
        )
        key, certificate = credentials["target"]
        keys = Keys(key, certificate, credentials["source"][1])
        settings = TargetSettings(
            *(ID, "redis", "127.0.0.1", 0, keys, str(host / "images"), 600.0, False),
            Hook(list(hook), 60, {}),
        )
        self.agent = TargetAgent(settings, docker)
        self.port = self.agent.open(Owner(ID, "redis", "ann@laptop", time.time()))
        self.serving = threading.Thread(target=self.agent.serve, daemon=True)
        self.serving.start()
        key, certificate = credentials["source"]
        self._keys = Keys(key, certificate, credentials["target"][1])
        self.channel = self.connect()

    def connect(self):
        return connect(
            "127.0.0.1", self.port, self._keys, migration_id=ID, scratch_dir=str(self.host), timeout_s=60
        )

    def ask(self, kind, **fields):
        return self.channel.request(kind, **fields).fields

    def arm(self):
        self.ask(
            "arm",
            spec=SPEC,
            mounts=[],
            in_memory=[],
            engine_id="PEER",
            address="10.0.0.1",
            container_id="def",
        )
        self.ask("handover.prepare", **PREPARE)

    @property
    def journal(self):
        return Journal(ID, TARGET).entry

    def may_be_idle(self, seconds):
        """Only now: on a slow machine more than that may pass between two messages."""
        self.agent._settings = self.agent._settings._replace(idle_timeout_s=seconds)

    def ended(self):
        self.channel.close()
        self.serving.join(60)
        return not self.serving.is_alive()

    def files(self):
        return [path for path in self.host.rglob("*") if path.is_file() or path.is_socket()]


@pytest.fixture
def target(host, credentials):
    made = Target(host, credentials)
    yield made
    made.agent._stop.set()
    made.ended()


def soon(what):
    end = time.monotonic() + 60
    while not what() and time.monotonic() < end:
        time.sleep(0.01)
    return what()


def test_it_goes_well(target):
    assert target.journal.state == states.OPEN
    target.arm()
    entry = target.journal
    assert (entry.state, entry.container_id, entry.peer_container_id) == (states.ARMED, "abc", "def")
    assert (entry.engine_id, entry.peer_engine_id, entry.peer_address) == ("ENGINE", "PEER", "10.0.0.1")
    assert target.ask("handover.end", **MARK) == {"restore_ms": 7.0}
    assert target.journal.state in (states.RUNNING, states.FILLED)
    assert soon(lambda: target.journal.state == states.FILLED)
    assert target.policies == [], "a reboot must not start it before the source is ended"
    done = target.ask("finish", health_timeout_s=60)
    assert (done["container_id"], done["health"], done["on_handover"]) == ("abc", "running", {})
    # There is no runc here to say which processes the settings are of.
    (told,) = done["not_put_back"]
    assert "runc" in told
    assert target.policies == [ALWAYS]
    assert (target.journal.state, target.journal.outcome) == (states.SETTLED, states.KEPT)
    target.ask("forget", reason="the source is settled")
    assert target.ended()
    assert target.files() == []


def test_a_service_that_has_ended_is_kept_as_its_restart_policy_says(target, monkeypatch):
    target.arm()
    target.ask("handover.end", **MARK)
    monkeypatch.setattr(module, "healthy_or_ended_well", lambda *unused: "exited")
    monkeypatch.setattr(
        module, "give_back", lambda client, container_id, *policy: f"{container_id}: {policy}"
    )
    done = target.ask("finish", health_timeout_s=60)
    assert (done["health"], done["how_it_ended"]) == ("exited", f"abc: ({ALWAYS}, False)")
    # The answer may be lost. Then it was started already, and nobody would hear of it any more.
    monkeypatch.setattr(module, "give_back", lambda *unused: "")
    again = target.ask("finish", health_timeout_s=60)
    assert (again["health"], again["how_it_ended"]) == (done["health"], done["how_it_ended"])
    assert (target.journal.state, target.journal.outcome) == (states.SETTLED, states.KEPT)


def test_a_start_that_fails_before_it_is_proved_ended_is_ended_by_the_abort(target):
    Container.fails["start"] = MigrationError("processes [7] do not end")
    with pytest.raises(MigrationError, match="do not end"):
        target.arm()
    target.ask("handover.abort", reason="it could not be armed")
    assert target.agent._container.destroyed
    assert (target.journal.state, target.journal.outcome) == (states.SETTLED, states.DESTROYED)


def test_its_journal_says_that_it_runs_before_the_source_hears_of_it(target, monkeypatch):
    target.arm()
    said = []
    send = module.Channel.send

    def noted(self, kind, body=b"", **fields):
        if kind == "running":
            said.append(Journal(ID, TARGET).state)
        return send(self, kind, body, **fields)

    monkeypatch.setattr(module.Channel, "send", noted)
    target.ask("handover.end", **MARK)
    assert said in ([states.RUNNING], [states.FILLED])


@pytest.mark.parametrize(
    "failure", [MigrationError("CRIU could not"), OSError(28, "full"), KeyError("odd")], ids=repr
)
def test_a_restore_that_fails_is_destroyed_and_remembered(failure, target):
    target.arm()
    Container.fails["restore"] = failure
    with pytest.raises(MigrationError):
        target.ask("handover.end", **MARK)
    assert (target.journal.state, target.journal.outcome) == (states.SETTLED, states.DESTROYED)
    status = target.connect().request("handover.status").fields
    assert (status["state"], status["outcome"]) == (states.SETTLED, states.DESTROYED)
    assert status["reason"]
    # Asked again and again it says the same, until the source is settled, too.
    assert target.ask("handover.abort", reason="the hand-over failed")["outcome"] == states.DESTROYED
    assert target.journal.reason == status["reason"]
    target.ask("forget", reason="the source is settled")
    assert target.ended()
    assert target.files() == []


def test_what_docker_has_not_removed_is_remembered_for_the_next_migration(target):
    target.arm()
    Container.fails.update(restore=MigrationError("CRIU could not"), removed=OSError("the daemon is dead"))
    with pytest.raises(MigrationError):
        target.ask("handover.end", **MARK)
    target.ask("forget", reason="the source is settled")
    assert target.ended()
    assert (target.journal.state, target.journal.outcome) == (states.SETTLED, states.DESTROYED)
    assert target.journal.container_id == "abc"


def test_what_cannot_be_destroyed_is_never_said_to_be(target):
    target.arm()
    Container.fails.update(
        restore=MigrationError("CRIU could not"), destroy=MigrationError("it does not end")
    )
    with pytest.raises(MigrationError, match="does not end"):
        target.ask("handover.end", **MARK)
    assert target.journal.state == states.RESTORING
    assert target.connect().request("handover.status").fields["outcome"] == ""
    with pytest.raises(MigrationError, match="does not end"):
        target.ask("handover.abort", reason="once more")
    assert target.journal.outcome == ""


def test_a_disk_that_is_full_when_it_runs_leaves_it_running(target, monkeypatch):
    """The source hears of it when it asks again and there is space."""
    target.arm()
    prepare, full = Journal.prepare, threading.Event()
    full.set()

    def noted(self, state, **facts):
        if state in (states.RUNNING, states.FILLED) and full.is_set():
            raise MigrationError("no space on the disk")
        return prepare(self, state, **facts)

    monkeypatch.setattr(Journal, "prepare", noted)
    with pytest.raises(MigrationError, match="no space"):
        target.ask("handover.end", **MARK)
    assert target.agent._container.runs
    assert target.journal.state == states.RESTORING
    assert target.connect().request("handover.status").fields["state"] == states.RESTORING
    with pytest.raises(MigrationError, match="runs on the target already"):
        target.ask("handover.abort", reason="no answer")
    full.clear()
    status = target.connect().request("handover.status").fields
    assert status["state"] in (states.RUNNING, states.FILLED)
    assert status["figures"] == {"restore_ms": 7.0}


@pytest.fixture
def full(monkeypatch):
    """A disk that takes no ``filled`` while this is set."""
    prepare, full = Journal.prepare, threading.Event()
    full.set()

    def noted(self, state, **facts):
        if state == states.FILLED and full.is_set():
            raise MigrationError("no space on the disk")
        return prepare(self, state, **facts)

    monkeypatch.setattr(Journal, "prepare", noted)
    return full


def test_a_disk_that_is_full_when_its_memory_is_complete_ends_nothing(target, full):
    target.arm()
    target.ask("handover.end", **MARK)
    with pytest.raises(MigrationError, match="no space"):
        target.ask("finish", health_timeout_s=60)
    assert target.journal.state == states.RUNNING
    full.clear()
    # Whoever resolves it asks for its state first, and then what it does not lack is not given up.
    assert target.connect().request("handover.status").fields["state"] == states.FILLED
    assert target.ask("finish", health_timeout_s=60)["health"] == "running"
    assert (target.journal.state, target.journal.outcome) == (states.SETTLED, states.KEPT)


def test_an_agent_that_ends_leaves_in_its_journal_that_the_memory_is_complete(host, credentials, full):
    target = Target(host, credentials)
    target.arm()
    target.ask("handover.end", **MARK)
    target.agent._filling.wait()
    assert target.journal.state == states.RUNNING
    full.clear()
    target.may_be_idle(0.5)
    assert target.ended()
    assert target.journal.state == states.FILLED


def test_a_mark_that_is_refused_has_no_effect_any_more_once_taken_back(target):
    target.arm()
    with pytest.raises(MigrationError, match="the source sent 3 rounds, 0 are complete"):
        target.ask("handover.end", rounds=3, tmpfs={}, peers=[])
    assert target.journal.state == states.ARMED
    assert target.ask("handover.abort", reason="refused")["outcome"] == states.DESTROYED
    with pytest.raises(MigrationError):
        target.ask("handover.end", **MARK)
    assert (target.journal.state, target.journal.outcome) == (states.SETTLED, states.DESTROYED)
    assert not target.agent._container.runs


def test_it_is_not_forgotten_before_it_is_settled(target):
    target.arm()
    with pytest.raises(MigrationError, match="not settled"):
        target.ask("forget", reason="too early")
    assert target.journal.state == states.ARMED


def test_one_service_is_awaited_by_one_agent(target, host, credentials):
    before = {path: path.stat().st_mtime_ns for path in target.files()}
    settings = target.agent._settings._replace(migration_id="redis-2")
    second = TargetAgent(settings, target.agent._client)
    with pytest.raises(
        PreflightError, match=r"being moved already: migration redis-1, to this host.*ann@laptop"
    ):
        second.open(Owner("redis-2", "redis", "bob@server", time.time()))
    assert {path: path.stat().st_mtime_ns for path in target.files()} == before
    assert not Path(second._dir).exists()


def test_once_it_has_ended_the_next_begins_though_a_connection_is_left(target, monkeypatch):
    wait = module.Listener.wait_until_left
    monkeypatch.setattr(module.Listener, "wait_until_left", lambda self, _timeout_s: wait(self, 60))
    target.arm()
    control(ID, "abort", {"reason": "resolved"})
    assert soon(lambda: MigrationLock("name-redis").held() is None)
    # A cut-off source never closes its connection; the agent that still waits for that has the port no more.
    assert target.serving.is_alive()
    with pytest.raises(TransferError):
        target.connect()


def test_one_that_nobody_speaks_to_gives_up(host, credentials):
    target = Target(host, credentials)
    target.arm()
    target.may_be_idle(0.5)
    assert target.ended()
    assert (target.journal.state, target.journal.outcome) == (states.SETTLED, states.DESTROYED)


def test_one_whose_memory_is_being_filled_waits_for_that(host, credentials, monkeypatch):
    """However long nobody speaks to it: only it can see to the copy that runs."""
    filled = threading.Event()
    monkeypatch.setattr(module.PutBack, "run", lambda self, container_id: filled.wait(60))
    target = Target(host, credentials)
    target.arm()
    target.ask("handover.end", **MARK)
    target.may_be_idle(0.2)
    monkeypatch.setattr(module, "IN_USE_S", 0.1)
    target.channel.close()
    target.serving.join(2)
    assert target.serving.is_alive()
    filled.set()
    assert target.ended()
    assert target.journal.state == states.FILLED


def test_one_whose_copy_was_ended_is_not_there_for_long(host, credentials, monkeypatch):
    def fails(self, container_id):
        raise MigrationError("filling the memory failed")

    monkeypatch.setattr(module.PutBack, "run", fails)
    monkeypatch.setattr(module, "SETTLED_S", 0.2)
    monkeypatch.setattr(module, "IN_USE_S", 0.1)
    target = Target(host, credentials)
    target.arm()
    target.ask("handover.end", **MARK)
    with pytest.raises(MigrationError, match="filling the memory failed"):
        target.ask("finish", health_timeout_s=60)
    assert target.ended()
    assert target.journal.state == states.RUNNING


@pytest.mark.parametrize(("moment", "journals"), [("before", []), ("after", ["redis-1.target.json"])])
def test_of_one_that_is_killed_while_it_begins_its_journal_is_there_or_nothing(
    host, credentials, monkeypatch, moment, journals
):
    armed = host / "crash-point"
    monkeypatch.setattr(crash_points, "ARMED_FILE", str(armed))
    armed.touch(0o600)
    armed.write_text(f"target/first/journal.open/{moment} kill")
    child = os.fork()
    if child == 0:
        crash_points.enter("target")
        Target(host, credentials)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert os.listdir(host / "journals") == journals
    assert not (host / "run").exists()
    assert not (host / "images").exists()


def test_one_whose_source_sends_is_at_work(target):
    target.arm()
    sent = threading.Event()

    def send():
        while not sent.wait(0.05):
            target.ask("handover.status")

    sending = threading.Thread(target=send)
    sending.start()
    try:
        with pytest.raises(
            PreflightError, match="redis is being moved already: migration redis-1, to this host"
        ):
            endings.clean_stale(target.agent._client, "redis", False)
    finally:
        sent.set()
        sending.join()
    assert target.journal.state == states.ARMED


def test_one_that_has_lost_its_play_is_put_away_though_its_source_is_there(target, monkeypatch):
    target.arm()
    # It is at its last answer until it has given its lock back, which is after the source has that answer.
    assert soon(lambda: not control(ID, "status")["busy"])
    monkeypatch.setattr(endings, "ABANDONED_S", 0.5)
    assert "in state armed" in endings.clean_stale(target.agent._client, "redis", False)
    assert target.ended()


def test_what_a_killed_one_has_staged_is_put_away_by_the_next(host, monkeypatch):
    staging, images = host / "tmp" / f"mec-migration-{ID}", host / ID / "images"
    for path in (staging, images):
        path.mkdir(parents=True)
    Journal(ID, TARGET).write(states.ARMED, service="redis", staging_dir=str(staging), images_dir=str(images))
    docker = SimpleNamespace(containers=lambda **unused: [])
    assert ID in endings.clean_stale(docker, "redis", False)
    assert not staging.exists()
    assert not images.exists()
    assert os.listdir(host / "journals") == []


@pytest.mark.parametrize(
    ("container", "removed"),
    [
        ({"Names": ["/redis"], "State": "created", "Runtime": "mec"}, True),
        ({"Names": ["/redis"], "State": "created", "Runtime": "runc"}, False),
        ({"Names": ["/redis"], "State": "running", "Runtime": "mec"}, False),
        ({"Names": ["/redis-2"], "State": "created", "Runtime": "mec"}, False),
    ],
)
def test_what_a_killed_one_has_created_and_not_written_down_is_removed(container, removed, host):
    Journal(ID, TARGET).write(states.OPEN, service="redis")
    gone = []
    docker = SimpleNamespace(
        containers=lambda **unused: [] if gone else [dict(container, Id="abc")],
        inspect_container=lambda asked: {"Id": asked, "HostConfig": {"Runtime": container["Runtime"]}},
        remove_container=lambda asked, **unused: gone.append(asked),
    )
    assert ID in endings.clean_stale(docker, "redis", False) or removed
    assert gone == ["abc"] * removed
    assert os.listdir(host / "journals") == []


def test_that_it_kept_a_copy_is_known_until_its_source_is_settled(host):
    Journal(ID, TARGET).write(states.SETTLED, outcome=states.KEPT, service="redis", container_id="abc")
    assert not endings.clean_stale(SimpleNamespace(containers=lambda **unused: []), "redis", False)
    assert Journal(ID, TARGET).entry.outcome == states.KEPT


def test_it_forgets_only_what_is_put_away(target, monkeypatch):
    target.arm()
    target.ask("handover.abort", reason="it is enough")
    left = []
    monkeypatch.setattr(Journal, "remove", lambda journal: left.extend(target.files()))
    target.ask("forget", reason="it is over")
    # What is left are the lock and the journal.
    assert {path.parent.name for path in left} == {"locks", "journals"}


@pytest.mark.parametrize("name", ["", "containers", "mec-migration-another"])
def test_a_staging_directory_that_is_not_its_own_stays(host, name):
    path = host / "tmp" / name
    path.mkdir(parents=True)
    Journal(ID, TARGET).write(states.ARMED, service="redis", staging_dir=str(path))
    endings.wipe_arrived(Journal(ID, TARGET))
    assert path.exists()


def test_what_is_asked_on_the_host_itself(target):
    target.arm()
    assert control(ID, "status")["state"] == states.ARMED
    with pytest.raises(MigrationError, match="has not been restored here"):
        control(ID, "finish")
    control(ID, "abort", {"reason": "given up"})
    assert target.ended()
    assert target.journal.outcome == states.DESTROYED


def test_the_hook_runs_beside_the_answer_and_is_told_of(host, credentials):
    out = host / "told"
    target = Target(
        host, credentials, hook=["sh", "-c", f"echo $MEC_CONTAINER_ID > {out}; sleep 0.5; exit 4"]
    )
    target.arm()
    target.ask("handover.end", **MARK)
    done = target.ask("finish", health_timeout_s=60)["on_handover"]
    assert out.read_text() == "abc\n"
    assert done["ms"] >= 500
    assert "ended with 4" in done["error"]
    target.ask("forget", reason="done")
    assert target.ended()
