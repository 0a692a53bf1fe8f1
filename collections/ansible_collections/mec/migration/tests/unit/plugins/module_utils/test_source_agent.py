# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source's agent as a real process: one for each container, and nothing is left of it."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base import crash_points, paths
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError, PreflightError
from ansible_collections.mec.migration.plugins.module_utils.docker import restart_policy
from ansible_collections.mec.migration.plugins.module_utils.source import agent as module
from ansible_collections.mec.migration.plugins.module_utils.source import cancel as ending
from ansible_collections.mec.migration.plugins.module_utils.source import endings
from ansible_collections.mec.migration.plugins.module_utils.source.agent import (
    SourceAgent,
    SourceSettings,
    detach,
)
from ansible_collections.mec.migration.plugins.module_utils.source.page_server import PageServer
from ansible_collections.mec.migration.plugins.module_utils.state import journal as states
from ansible_collections.mec.migration.plugins.module_utils.state import migration_lock
from ansible_collections.mec.migration.plugins.module_utils.state.journal import SOURCE, TARGET, Journal
from ansible_collections.mec.migration.plugins.module_utils.state.migration_lock import MigrationLock, Owner
from ansible_collections.mec.migration.plugins.module_utils.transport.control import (
    SOURCE_CONTROL,
    NoAgentError,
    Request,
    control,
)
from ansible_collections.mec.migration.plugins.module_utils.transport.wire import (
    SO_MAX_PACING_RATE,
    Channel,
)

CONTAINER = "c" * 64
DOCKER = SimpleNamespace(info=lambda: {"ID": "ENGINE", "DockerRootDir": "/nowhere"})


PID = 4711


class FakeService:
    """As much of a service as an agent asks for before it moves it."""

    def __init__(self, client, container, move_binds):
        assert container == CONTAINER, "a migration goes by the container's id"
        self.id, self.name = container, "redis"
        self.memory_bytes = 4096
        self.runc = SimpleNamespace(pid=PID)
        self.inspected = {"Id": container, "HostConfig": {}}
        self.spec = {"image_id": "sha256:1", "mounts": [], "restart_policy": {"Name": "no"}}

    def moved_mounts(self):
        return []


@pytest.fixture
def host(monkeypatch, tmp_path):
    """Where agents of a host keep what they have; ``state`` is what Docker says of the container."""
    made = SimpleNamespace(root=tmp_path, state="running", pid=PID, agents=[])
    monkeypatch.setattr(paths, "RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(states, "JOURNAL_DIR", str(tmp_path / "journals"))
    monkeypatch.setattr(migration_lock, "LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setattr(module, "Service", FakeService)
    for part in (module, ending, endings):
        monkeypatch.setattr(
            part,
            "container_state",
            lambda client, name: (made.state, {"Id": CONTAINER, "State": {"Pid": made.pid}}),
        )
    yield made
    for pid in made.agents:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def start(host, migration_id, by="ann@laptop"):
    """What the module does; returns the agent's process, which is not its child."""
    agent = SourceAgent(SourceSettings(migration_id, "redis", [], by, "10.0.0.1", 600.0), DOCKER)
    agent.open()
    # The agent tells its own number by what it holds open.
    detach(agent)
    control(migration_id, "status", name=SOURCE_CONTROL, timeout_s=60)
    pid = holder(str(host.root / "locks" / CONTAINER))
    host.agents.append(pid)
    return pid


def holder(lock):
    """The process that holds a lock, once it is alone: the fork between this one and it ends at once."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = []
        for pid in [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]:
            try:
                links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            except OSError:
                continue
            found += [pid] if lock in links else []
        if len(found) == 1 and parent(found[0]) != os.getpid():
            return found[0]
        time.sleep(0.01)
    raise AssertionError(f"the lock is held by {found}")


def parent(pid):
    """The number of its parent; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return 0


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 60
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            if stat.read().rpartition(")")[2].split()[0] == "Z":
                return
        time.sleep(0.01)


def files(host):
    return sorted(
        str(path.relative_to(host.root))
        for path in host.root.rglob("*")
        if path.is_file() or path.is_socket()
    )


def ended(migration_id):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            control(migration_id, "status", name=SOURCE_CONTROL, timeout_s=60)
        except NoAgentError:
            return True
        time.sleep(0.02)
    return False


def nothing_left(host):
    end = time.monotonic() + 60
    while files(host) and time.monotonic() < end:
        time.sleep(0.02)
    assert files(host) == []


def cancel(migration_id="redis-1"):
    (entry,) = ending.open_here(migration_id, None)
    return ending.cancel(DOCKER, entry, "bob@server")


def test_it_writes_down_who_moves_what(host):
    start(host, "redis-1")
    entry = Journal("redis-1", SOURCE).entry
    assert (entry.state, entry.service, entry.container_id) == (states.OPEN, "redis", CONTAINER)
    assert (entry.engine_id, entry.address, entry.started_by) == ("ENGINE", "10.0.0.1", "ann@laptop")
    assert cancel()["cancelled"]
    nothing_left(host)


@pytest.fixture
def busy(host, monkeypatch):
    """A migration in the middle of a step that ends only when it is cancelled."""

    def endless(move, _fields, _progress):
        with move.step("pre-copy"):
            while True:
                move.check()
                time.sleep(0.01)

    monkeypatch.setattr(module.Move, "precopy", endless)
    start(host, "redis-1")
    host.errors = []

    def ask():
        try:
            control("redis-1", "precopy", name=SOURCE_CONTROL, timeout_s=600)
        except MigrationError as error:
            host.errors.append(error.message)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    end = time.monotonic() + 60
    while not control("redis-1", "status", name=SOURCE_CONTROL)["busy"] and time.monotonic() < end:
        time.sleep(0.01)
    host.join = lambda: asking.join(60)
    return host


@pytest.mark.parametrize(
    ("state", "pid", "said"),
    [
        ("exited", 0, "container redis has ended on this host while it was copied, and is exited"),
        ("running", PID + 1, "container redis has ended on this host while it was copied, and runs again"),
        ("running", PID, "No such file or directory: '/proc/4711/mountinfo'"),
    ],
)
def test_a_container_that_ends_while_it_is_copied_is_said_to_have_ended(host, monkeypatch, state, pid, said):
    def broken(_move, _fields, _progress):
        # In the agent's process.
        host.state, host.pid = state, pid
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/4711/mountinfo")

    monkeypatch.setattr(module.Move, "precopy", broken)
    start(host, "redis-1")
    with pytest.raises(MigrationError, match=said):
        control("redis-1", "precopy", name=SOURCE_CONTROL)
    assert cancel()["cancelled"]
    nothing_left(host)


def test_a_second_one_is_refused_at_once_and_touches_nothing(busy):
    before = {path: (busy.root / path).stat().st_mtime_ns for path in files(busy)}
    # It is exited right before whoever moved it removes it here.
    for state in ("running", "frozen", "exited"):
        busy.state = state
        begun = time.monotonic()
        with pytest.raises(PreflightError) as caught:
            start(busy, "redis-2", by="bob@server")
        assert time.monotonic() - begun < 60  # a move takes longer; no waiting for its end
        for word in ("redis-1", "ann@laptop", "in phase pre-copy", "cancel", "Nothing of it was touched"):
            assert word in caught.value.message
        assert {path: (busy.root / path).stat().st_mtime_ns for path in files(busy)} == before
    busy.state = "running"
    assert cancel()["cancelled"]


def test_a_step_is_ended_by_a_cancel_and_says_by_whom(busy):
    assert cancel() == {
        "cancelled": True,
        "state": states.OPEN,
        "target_left": "",
        "migration_id": "redis-1",
        "service": "redis",
        "container_state": "running",
    }
    busy.join()
    assert "cancelled in phase pre-copy: by bob@server" in busy.errors[0]
    nothing_left(busy)


def test_it_does_one_thing_at_a_time(busy):
    with pytest.raises(MigrationError, match="is in phase pre-copy, and does one thing at a time"):
        control("redis-1", "precopy", name=SOURCE_CONTROL)
    cancel()


def test_a_step_that_comes_while_it_is_cancelled_is_told_so(host):
    agent = SourceAgent(SourceSettings("redis-1", "redis", [], "ann@laptop", "10.0.0.1", 600.0), DOCKER)
    agent.open()
    agent._move.cancel("by bob@server")
    with agent._stepping, pytest.raises(MigrationError, match="was cancelled: by bob@server"):
        agent._take_step()


def test_values_can_be_changed_meanwhile(busy):
    entry = Journal("redis-1", SOURCE).entry
    done = ending.change(entry, {"bandwidth_limit_mbit": 20.0, "downtime_ms": 50.0})
    assert done == {"bandwidth_limit_mbit": 20.0, "downtime_ms": 50.0, "migration_id": "redis-1"}
    cancel()


def test_what_a_killed_agent_left_is_put_away_by_the_next(host):
    kill(start(host, "redis-1"))
    assert files(host) != []
    start(host, "redis-2")
    assert [entry.migration_id for entry in states.read_journals().entries] == ["redis-2"]
    cancel("redis-2")
    nothing_left(host)


@pytest.mark.parametrize(("moment", "journals"), [("before", []), ("after", ["redis-1.source.json"])])
def test_of_one_that_is_killed_while_it_begins_its_journal_is_there_or_nothing(
    host, monkeypatch, moment, journals
):
    armed = host.root / "crash-point"
    monkeypatch.setattr(crash_points, "ARMED_FILE", str(armed))
    armed.touch(0o600)
    armed.write_text(f"source/first/journal.open/{moment} kill")
    child = os.fork()
    if child == 0:
        crash_points.enter("source")
        SourceAgent(SourceSettings("redis-1", "redis", [], "ann", "10.0.0.1", 60.0), DOCKER).open()
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert os.listdir(host.root / "journals") == journals
    assert not (host.root / "run").exists()
    # The next one puts away what there is.
    start(host, "redis-2")
    assert os.listdir(host.root / "journals") == ["redis-2.source.json"]
    cancel("redis-2")
    nothing_left(host)


def test_a_killed_agent_can_be_cancelled(host):
    kill(start(host, "redis-1"))
    done = cancel()
    assert done["cancelled"]
    assert "had died" in done["target_left"]
    nothing_left(host)


def steps(move, _fields, _progress):
    """A step that is over at once."""
    with move.step("pre-copy"):
        return {}


def test_where_docker_says_nothing_of_itself_nothing_is_left(host, monkeypatch):
    def gone():
        raise OSError("the daemon is gone")

    monkeypatch.setattr(DOCKER, "info", gone)
    with pytest.raises(OSError, match="the daemon is gone"):
        start(host, "redis-1")
    nothing_left(host)


def test_one_that_looks_at_the_hosts_before_its_first_step_is_not_taken_over(host, monkeypatch):
    monkeypatch.setattr(module, "ABANDONED_S", 0.1)
    start(host, "redis-1")
    time.sleep(0.5)
    with pytest.raises(PreflightError, match="is being moved already: migration redis-1"):
        start(host, "redis-2", by="bob@server")
    assert cancel()["cancelled"]


def test_what_somebody_else_has_just_moved_must_not_be_started_here(host):
    # Whoever did that would have a second copy.
    host.state = "absent"
    with pytest.raises(
        PreflightError, match=r"Nothing was touched.*another migration has moved it"
    ) as refused:
        start(host, "redis-2")
    assert "Only where no host has it" in str(refused.value)
    assert refused.value.container_state == "absent"
    nothing_left(host)


@pytest.mark.parametrize(("state", "known"), [("exited", {"Id": CONTAINER}), ("created", {})])
def test_what_an_open_migration_has_left_must_not_be_started_here(host, monkeypatch, state, known):
    Journal("redis-1", SOURCE).write(states.HANDED_OVER, service="redis", container_id=CONTAINER)
    monkeypatch.setattr(module, "container_state", lambda client, name: (state, known))
    with pytest.raises(PreflightError, match=f"is {state} .* redis-1 left it so: .*resolve") as refused:
        start(host, "redis-2")
    assert "Start it" not in str(refused.value)


def test_what_nobody_moves_and_does_not_run_is_to_be_started(host):
    host.state = "exited"
    with pytest.raises(PreflightError, match=r"Container redis is exited on this host.*Start it"):
        start(host, "redis-2")
    nothing_left(host)


def test_what_is_removed_between_two_looks_must_not_be_started_here(host, monkeypatch):
    seen = iter([("exited", {"Id": CONTAINER}), ("absent", {})])
    monkeypatch.setattr(module, "container_state", lambda client, name: next(seen))
    with pytest.raises(PreflightError, match=r"Container redis is absent.*another migration has moved it"):
        start(host, "redis-2")
    nothing_left(host)


def test_what_is_gone_once_its_lock_is_free_is_refused_likewise(host, monkeypatch):
    seen = iter(["running", "absent"])
    monkeypatch.setattr(module, "container_state", lambda client, name: (next(seen), {"Id": CONTAINER}))
    with pytest.raises(PreflightError, match=r"Container redis is absent.*another migration has moved it"):
        start(host, "redis-2")
    nothing_left(host)


def test_one_that_nobody_asks_any_more_is_taken_over(host, monkeypatch):
    monkeypatch.setattr(module, "ABANDONED_S", 0.5)
    monkeypatch.setattr(module.Move, "precopy", steps)
    start(host, "redis-1")
    control("redis-1", "precopy", name=SOURCE_CONTROL)
    start(host, "redis-2", by="bob@server")
    assert ended("redis-1")
    assert [entry.migration_id for entry in states.read_journals().entries] == ["redis-2"]
    cancel("redis-2")


def test_where_the_hosts_cannot_be_compared_nothing_is_left(host):
    start(host, "redis-1")
    peer = {"address": "127.0.0.1", "port": 9, "keys": ["", "", ""], "silence_timeout_s": 5}
    peer.update(limit_mbit=0, compress=True)
    with pytest.raises(MigrationError):
        control("redis-1", "validate", {"images_dir": "/run", "peer": peer}, name=SOURCE_CONTROL)
    assert ended("redis-1")
    nothing_left(host)


def test_one_that_nobody_asks_any_more_ends_by_itself(host):
    # On a slow machine it may have ended before anything else of it is looked at.
    agent = SourceAgent(SourceSettings("redis-1", "redis", [], "ann@laptop", "10.0.0.1", 1.0), DOCKER)
    agent.open()
    detach(agent)
    if not ended("redis-1"):
        host.agents.append(holder(str(host.root / "locks" / CONTAINER)))
        raise AssertionError("it goes on though nobody asks it for anything")
    nothing_left(host)


@pytest.mark.parametrize("state", [states.FROZEN, states.MARK_SENT, states.HANDED_OVER])
def test_what_must_be_resolved_first_is_not_begun_again(host, state):
    Journal("redis-1", SOURCE).write(state, service="redis", container_id=CONTAINER)
    before = files(host)
    with pytest.raises(PreflightError, match=f"redis-1 of redis was left in state {state}.*resolve"):
        start(host, "redis-2")
    assert files(host) == before


def test_a_copy_that_came_here_and_is_not_settled_does_not_go_on(host):
    Journal("redis-1", TARGET).write(states.RUNNING, service="redis", container_id=CONTAINER)
    with pytest.raises(PreflightError, match="left in state running"):
        start(host, "redis-2")


def test_that_the_target_kept_it_is_known_until_the_source_is_settled(host):
    """Else resolve would offer the source's frozen copy, and the service may be on a third host by then."""
    Journal("redis-0", TARGET).write(states.SETTLED, outcome=states.KEPT, container_id=CONTAINER)
    start(host, "redis-2")
    cancel("redis-2")
    assert Journal("redis-0", TARGET).entry.outcome == states.KEPT


def refused_while_it_comes_here(host):
    lock = MigrationLock("name-redis")
    lock.take(Owner("redis-1", "redis", "ann@laptop", 1.0))
    try:
        with pytest.raises(PreflightError, match="being moved already: migration redis-1, started by ann"):
            start(host, "redis-2")
    finally:
        lock.release()


@pytest.mark.parametrize(
    "facts", [{"state": states.RUNNING}, {"state": states.SETTLED, "outcome": states.KEPT}]
)
def test_what_has_just_come_here_is_said_to_be_on_its_way(host, facts):
    Journal("redis-1", TARGET).write(service="redis", container_id=CONTAINER, **facts)
    refused_while_it_comes_here(host)
    assert Journal("redis-1", TARGET).exists


@pytest.mark.parametrize("state", ["created", "absent"])
def test_what_is_being_moved_here_is_said_to_be(host, monkeypatch, state):
    monkeypatch.setattr(module, "container_state", lambda client, name: (state, {}))
    refused_while_it_comes_here(host)


def test_of_a_settled_one_nothing_stays(host):
    Journal("redis-0", TARGET).write(states.SETTLED, outcome=states.DESTROYED, container_id=CONTAINER)
    Journal("redis-1", SOURCE).write(states.SETTLED, outcome=states.ROLLED_BACK, container_id=CONTAINER)
    start(host, "redis-2")
    cancel("redis-2")
    nothing_left(host)


def test_a_damaged_journal_of_the_service_stops_it(host):
    (host.root / "journals").mkdir()
    (host.root / "journals" / "redis-1.source.json").write_text("{")
    (host.root / "journals" / "web-1.source.json").write_text("{")
    with pytest.raises(PreflightError, match=r"redis-1.source.json cannot be read"):
        start(host, "redis-2")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("absent", "is absent on this host"),
        ("exited", "is exited"),
        ("created", "is created"),
        ("frozen", "is frozen"),
    ],
)
def test_what_does_not_run_is_not_moved(host, state, words):
    host.state = state
    with pytest.raises(PreflightError, match=words):
        start(host, "redis-1")
    nothing_left(host)


def agent_here(host):
    """One in this process, whose requests a test makes itself."""
    settings = SourceSettings("redis-1", "redis", [], "ann@laptop", "10.0.0.1", 600.0)
    agent = SourceAgent(settings, DOCKER)
    agent.open()
    return agent


def test_while_the_target_fetches_pages_a_cancel_is_answered_at_once(host):
    agent = agent_here(host)
    agent._journal.write(states.HANDED_OVER)
    with agent._stepping:
        done = agent._cancel(Request("cancel", {"why": "by bob@server"}, print))
    assert done == {"cancelled": False, "state": states.HANDED_OVER, "target_left": ""}
    agent.close()


@pytest.mark.parametrize("state", [states.MARK_SENT, states.HANDED_OVER])
def test_a_cancel_that_comes_too_late_does_not_keep_the_move_from_its_end(host, state):
    agent = agent_here(host)
    agent._journal.write(state)
    agent._move.cancel("by bob@server")
    with agent._move.step("commit"):
        pass
    agent.close()


def test_a_limit_that_is_changed_holds_for_late_pages_too(host):
    agent = agent_here(host)
    near, far = socket.socketpair()
    with near, far:
        agent._move._page_server = PageServer(lambda: Channel(near))
        agent._move._page_server.start()
        agent._move.change(8.0, None)
        assert near.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE) == 1_000_000
        agent._move._page_server.stop()
        agent._move._page_server.wait(60)
    agent.close()


def test_a_move_that_fails_says_why_pages_were_not_sent_any_more(host, monkeypatch):
    def refuses(self, health_timeout_s):
        raise MigrationError("filling the memory failed", phase="verify", container_state="exited")

    monkeypatch.setattr(module.Move, "_ask_to_finish", refuses)
    agent = agent_here(host)
    server = agent._move._page_server = PageServer(None)
    server.error = "no route to host"
    server._over.set()
    with pytest.raises(
        MigrationError, match=r"filling the memory failed\..*any more: no route to host"
    ) as caught:
        agent._move.finish(30.0)
    assert caught.value.container_state == "exited"
    agent._move._page_server = None
    agent.close()


@pytest.mark.parametrize("answers", [True, False])
def test_a_policy_that_docker_did_not_take_back_is_not_forgotten(host, monkeypatch, answers):
    """The service runs, and the hand-over has left its journal for that."""
    monkeypatch.setattr(restart_policy, "ENDING_S", 0.1)
    monkeypatch.setattr(restart_policy, "has_ended", lambda pid: False)
    agent = agent_here(host)
    agent._service.restart_policy = {"Name": "always"}
    given = []

    def update_container(container_id, restart_policy):
        if not answers:
            raise OSError("no Docker")
        given.append(restart_policy)

    monkeypatch.setattr(restart_policy, "container_state", lambda client, name: ("running", {}))
    agent._client = SimpleNamespace(update_container=update_container)
    agent._journal.write(states.FROZEN, restart_policy={"Name": "always"})
    if answers:
        assert agent._cancel(Request("cancel", {"why": "by bob@server"}, print))["cancelled"]
        assert not Journal("redis-1", SOURCE).exists
    else:
        with pytest.raises(MigrationError, match=r"no Docker.*mec.migration.resolve"):
            agent._cancel(Request("cancel", {"why": "by bob@server"}, print))
        assert Journal("redis-1", SOURCE).state == states.FROZEN
    assert given == ([{"Name": "always"}] if answers else [])
    assert agent._stop.is_set()
    agent._server.close()
    agent._lock.release()


class Remembers:
    """A daemon that ended the frozen container meanwhile."""

    def __init__(self):
        self.removed = []

    def events(self, since, until, filters, decode):
        assert filters == {"type": ["container", "network"]}
        assert float(since) == 100.5
        assert float(until) <= time.time()
        return [{"Action": "kill", "Actor": {"ID": CONTAINER, "Attributes": {"signal": "9"}}}]

    def wait(self, container_id, timeout):
        pass

    def remove_container(self, container_id, v, force):
        self.removed.append(container_id)


def test_what_went_on_beside_the_commit_is_told(host, monkeypatch):
    monkeypatch.setattr(module.Move, "finish", lambda *unused: {"health": "running"})
    monkeypatch.setattr(module.Move, "end_target", lambda *unused: "no route")
    agent = agent_here(host)
    agent._client = docker = Remembers()
    agent._journal.write(states.HANDED_OVER)
    agent._move.frozen_since, host.state = 100.5, "exited"
    told = agent._finish(30.0)
    assert told == {
        "health": "running",
        "meanwhile": "it was sent SIGKILL there (docker stop, kill, rm or restart)",
        "not_told": "no route",
    }
    assert docker.removed == [CONTAINER]
    agent.close()


@pytest.mark.parametrize("state", [states.MARK_SENT, states.HANDED_OVER])
def test_after_the_mark_a_cancel_changes_nothing(host, state):
    Journal("redis-1", SOURCE).write(state, service="redis", container_id=CONTAINER)
    before = files(host)
    done = cancel()
    assert (done["cancelled"], done["state"]) == (False, state)
    assert files(host) == before


@pytest.mark.parametrize(
    ("written", "now", "cancelled"),
    [
        (None, "absent", False),
        (None, "running", True),
        ({"state": states.SETTLED, "outcome": states.COMMITTED}, "absent", False),
        ({"state": states.HANDED_OVER}, "frozen", False),
    ],
)
def test_what_was_committed_while_it_was_to_be_cancelled_is_not_said_to_be_cancelled(
    host, monkeypatch, written, now, cancelled
):
    """Its agent came to the end after its journal was seen, and before it was asked."""
    monkeypatch.setattr(ending, "container_state", lambda client, name: (now, {"Id": CONTAINER}))
    journal = Journal("redis-1", SOURCE)
    journal.write(states.HANDED_OVER, service="redis", container_id=CONTAINER)
    (seen,) = ending.open_here("redis-1", None)
    if written is None:
        journal.remove()
    else:
        journal.write(**written)
    done = ending.cancel(DOCKER, seen, "bob@server")
    assert done["cancelled"] is cancelled
