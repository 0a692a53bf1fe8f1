# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand-over, each of whose calls fails in turn, in every way.

Before the mark the service runs on afterwards; after it nothing thaws but the target's word that its copy is
destroyed.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import (
    DestroyedError,
    InDoubtError,
    MigrationError,
    TransferError,
)
from ansible_collections.mec.migration.plugins.module_utils.criu.files_image import FilesImage
from ansible_collections.mec.migration.plugins.module_utils.docker import restart_policy
from ansible_collections.mec.migration.plugins.module_utils.source import handover as module
from ansible_collections.mec.migration.plugins.module_utils.state import journal as states
from ansible_collections.mec.migration.plugins.module_utils.state.journal import SOURCE, Journal

ALWAYS = {"Name": "always", "MaximumRetryCount": 0}
NO = {"Name": "no", "MaximumRetryCount": 0}
FAILURES = [
    MigrationError("it failed"),
    TransferError("it broke", rolled_back=True),
    OSError(28, "No space left on device"),
    KeyError("odd"),
    KeyboardInterrupt(),
    SystemExit(1),
]
# In the order in which they come, each once.
BEFORE_THE_MARK = [
    *("rounds", "freeze", "compare", "memory", "answer memory", "files", "expect", "dump", "settle"),
    *("removed names", "send images", "log"),
    *("write mark_sent", "tmpfs", "release"),
]
DESTROYED = {"state": states.SETTLED, "outcome": states.DESTROYED, "reason": "no memory", "log_tail": "Error"}
RUNS = {"state": states.RUNNING, "outcome": "", "figures": {"restore_ms": 7}}


class World:
    """What a hand-over touches; ``fails[call]`` is what that call raises."""

    def __init__(self, directory):
        self.directory = directory
        self.calls = []
        self.fails = {}
        self.frozen = False
        self.policy = dict(ALWAYS)
        # What the target answers to the mark, then to each question.
        self.answer = SimpleNamespace(fields={"restore_ms": 7})
        self.statuses = [DESTROYED]
        self.asked = []
        # What each look for a health check finds; later ones find none.
        self.checks = []
        self.killed = self.removed = self.removes_itself = False
        self.patience_s = 60
        # What Docker tells of it now, and not before.
        self.changed = {}

    def do(self, call, value=None):
        self.calls.append(call)
        # The guard can be found dead once only.
        if call in self.fails and not (call == "release" and self.calls.count(call) > 1):
            raise self.fails[call]
        return value

    # -- the container's cgroup

    path = "/sys/fs/cgroup/freezer/docker/abc"

    def freeze(self):
        self.frozen = True
        return self.do("freeze", 1.0)

    def prepare_seizing(self):
        pass

    def thaw(self):
        self.do("thaw")
        self.frozen = False

    def pids(self):
        return [1]

    # -- Docker

    def containers(self, all):
        return (
            []
            if self.removed
            else [{"Id": "abc", "Names": ["/redis"], "State": "exited" if self.killed else "running"}]
        )

    def inspect_container(self, container_id):
        state = {"Running": not self.killed, "Status": "exited", "ExitCode": 137, "Pid": 0}
        return {"State": state, **self.changed}

    def info(self):
        return {}

    def start(self, container_id):
        assert not self.frozen
        self.do("start anew")

    def update_container(self, container_id, restart_policy):
        assert container_id == "abc"
        self.do("policy")
        self.policy = restart_policy

    # -- the connection

    sent_bytes = 0

    def limit(self, mbit):
        assert mbit == 0

    def share(self, data):
        self.do("share")

    def set_timeout(self, timeout_s):
        pass

    def close(self):
        pass

    def ask(self, kind, **fields):
        assert kind == "handover.prepare"
        self.do("ask to prepare")

    def answer_to(self, kind):
        if kind == "handover.prepare":
            self.do("prepare")
            return SimpleNamespace(integers=lambda name: [])
        self.do("answer memory")
        return None

    def request(self, kind, **fields):
        if kind == "handover.end":
            self.do("mark")
            return self.answer
        self.asked.append(kind)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if isinstance(status, Exception):
            raise status  # pylint: disable=raising-bad-type
        return SimpleNamespace(fields=status)


class Dump:
    def __init__(self, world):
        self.world, self.closed = world, 0

    def run(self):
        return self.world.do("dump", {"dump_time_us": 5000})

    def close(self):
        self.closed += 1
        self.world.calls.append("end CRIU")


@pytest.fixture
def world(monkeypatch, tmp_path):
    made = World(str(tmp_path / "journals"))
    made.dump = Dump(made)
    for part in (module, restart_policy):
        monkeypatch.setattr(part, "has_ended", lambda pid: made.killed)
    monkeypatch.setattr(module, "reconnected_mounts", lambda runc: [])
    monkeypatch.setattr(module, "cgroup_mode", lambda runc: "ignore")
    monkeypatch.setattr(module, "standard_streams", lambda pid: [])
    monkeypatch.setattr(module, "lazily", lambda pids: True)
    monkeypatch.setattr(module.copy_on_write, "as_fields", lambda processes: {})
    monkeypatch.setattr(module, "likely_content", lambda pids: b"")
    monkeypatch.setattr(module, "mapped_files", lambda service: [])
    monkeypatch.setattr(module, "hurry", lambda: None)
    monkeypatch.setattr(module, "no_hurry", lambda: None)
    monkeypatch.setattr(module, "ParentOfAll", lambda *unused: SimpleNamespace(obstacle=""))
    tmpfs = SimpleNamespace(as_fields=list, mounts=[], changed=lambda: made.do("tmpfs", {}))
    monkeypatch.setattr(module, "TmpfsSource", lambda *unused: tmpfs)
    monkeypatch.setattr(module, "Dump", lambda *unused, **more: made.do("start CRIU", made.dump))
    guard = SimpleNamespace(release=lambda: made.do("release"))
    monkeypatch.setattr(module, "ThawGuard", lambda *unused: guard)
    finals = SimpleNamespace(
        files=FilesImage(str(tmp_path)),
        compare=lambda pids: made.do("compare"),
        wait=lambda: None,
        expect=lambda pids: made.do("expect"),
        send_early=lambda channel, dumping: made.do("send early"),
        settle=lambda: made.do("settle", {}),
        peers=[],
        send=lambda channel: made.do("send images"),
    )
    monkeypatch.setattr(module, "FinalImages", lambda *unused: finals)
    prepare = Journal.prepare

    def noted(self, state, **facts):
        make_it_so = prepare(self, state, **facts)

        def noted_so():
            made.do(f"write {state}")
            make_it_so()

        return noted_so

    monkeypatch.setattr(Journal, "prepare", noted)
    return made


def hand_over(world, tmp_path):
    service = SimpleNamespace(
        inspected={"Id": "abc"},
        runc=SimpleNamespace(pid=1),
        cgroup=world,
        client=world,
        name="redis",
        id="abc",
        restart_policy=dict(ALWAYS),
        spec={"auto_remove": world.removes_itself},
        processes=lambda: {1: 1},
        pids=lambda: [1],
        asked_by_check=lambda moving: bool(world.checks) and world.checks.pop(0),
    )
    channel = SimpleNamespace(
        ask=world.ask,
        request=world.request,
        answer=world.answer_to,
        share=world.share,
        limit=world.limit,
        set_timeout=world.set_timeout,
        sent_bytes=0,
    )
    done = SimpleNamespace(pages_scanned=1, pages_changed=1)
    memory = SimpleNamespace(
        lean=False, rounds=3, segments=[], round=lambda *unused, **more: world.do("memory", done)
    )
    files = SimpleNamespace(
        note="",
        round=lambda *unused, **more: world.do("files"),
        add_names=lambda *unused: world.do("removed names"),
    )
    journal = Journal("redis-1", SOURCE, world.directory)
    made = module.HandOver(
        service,
        channel,
        memory,
        files,
        str(tmp_path),
        journal,
        reconnect=lambda: world,
        answer_timeout_s=world.patience_s,
        in_memory=None,
        log=SimpleNamespace(send_new=lambda *unused: world.do("log")),
    )
    made.prepare()
    return made


def left(world):
    return Journal("redis-1", SOURCE, world.directory).entry


def run(made, world):
    return made.run(before=lambda: world.do("rounds"))


def runs_here(world):
    entry = left(world)
    assert not world.frozen
    assert world.policy == ALWAYS
    assert (entry.state, entry.outcome) == (states.SETTLED, states.ROLLED_BACK)
    assert world.calls.index("end CRIU") < world.calls.index("thaw"), (
        "CRIU freezes again what it found frozen"
    )


def stays_frozen(world, state=states.MARK_SENT):
    assert world.frozen
    assert "thaw" not in world.calls
    assert world.policy == NO
    assert left(world).state == state


def test_it_goes_well(world, tmp_path):
    outcome = run(hand_over(world, tmp_path), world)
    assert outcome.target == {"restore_ms": 7}
    stays_frozen(world, states.HANDED_OVER)
    assert set(BEFORE_THE_MARK) <= set(world.calls), "a call that is not made cannot fail"
    order = [world.calls.index(call) for call in ("freeze", "write mark_sent", "mark", "write handed_over")]
    assert order == sorted(order)
    assert world.calls.index("release") < world.calls.index("mark"), "a guard must not thaw after the mark"


def test_a_health_check_is_waited_for(world, tmp_path):
    """One that is there before the last rounds, and one that begins right before the freeze."""
    world.checks = [True, False, True, True, False, False]
    run(hand_over(world, tmp_path), world)
    steps = [call for call in world.calls if call in ("rounds", "freeze", "thaw", "mark")]
    assert steps == ["rounds", "freeze", "thaw", "freeze", "mark"]
    assert world.checks == []


def test_a_health_check_that_goes_on_is_waited_for_only_so_long(world, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEALTH_CHECK_S", 0.05)
    monkeypatch.setattr(module, "CHECK_PATIENCE_S", 0.05)
    world.checks = [True] * 10_000
    run(hand_over(world, tmp_path), world)
    assert world.frozen
    assert left(world).state == states.HANDED_OVER


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("call", BEFORE_THE_MARK)
def test_before_the_mark_any_failure_thaws(call, failure, world, tmp_path):
    made = hand_over(world, tmp_path)
    world.fails[call] = failure
    with pytest.raises(type(failure)) as caught:
        run(made, world)
    assert "mark" not in world.calls
    if isinstance(failure, MigrationError):
        assert caught.value.rolled_back
        assert "runs on this host" in caught.value.message
    runs_here(world)


def test_a_container_that_was_changed_is_not_frozen(world, tmp_path):
    world.changed = {"HostConfig": {"RestartPolicy": NO}}
    with pytest.raises(MigrationError, match="docker update --restart"):
        hand_over(world, tmp_path)
    assert not {"freeze", "policy", "write frozen"} & set(world.calls)
    assert "end CRIU" in world.calls
    assert left(world).state == ""


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize(
    "call", ["ask to prepare", "start CRIU", "prepare", "share", "write frozen", "policy"]
)
def test_what_fails_before_the_rounds_leaves_it_as_it_was(call, failure, world, tmp_path):
    world.fails[call] = failure
    if call == "policy":
        # It fails once: to give it back is no failure.
        def once(container_id, restart_policy):
            world.calls.append("policy")
            world.policy = restart_policy
            if world.calls.count("policy") == 1:
                raise failure

        world.update_container = once
    with pytest.raises(type(failure)):
        hand_over(world, tmp_path)
    assert not world.frozen
    assert world.policy == ALWAYS
    assert left(world).state in ("", states.SETTLED)
    if call != "ask to prepare":
        assert "prepare" in world.calls, "the next message's answer would be taken for that one's"
    if call not in ("ask to prepare", "start CRIU"):
        assert world.dump.closed == 1


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("call", ["mark", "write handed_over"])
def test_after_the_mark_no_failure_on_this_side_thaws(call, failure, world, tmp_path):
    world.patience_s = 0.3
    made = hand_over(world, tmp_path)
    world.fails[call] = failure
    world.statuses = [TransferError("not there")]
    with pytest.raises(InDoubtError, match="playbook mec"):
        run(made, world)
    stays_frozen(world)


def test_the_answer_is_lost_and_it_runs_there(world, tmp_path):
    made = hand_over(world, tmp_path)
    world.fails["mark"] = TransferError("cut")
    world.statuses = [TransferError("not yet"), {"state": states.RESTORING, "outcome": ""}, RUNS]
    assert run(made, world).target == {"restore_ms": 7}
    stays_frozen(world, states.HANDED_OVER)


@pytest.mark.parametrize(
    "lost", [TransferError("cut"), OSError("gone"), MigrationError("no", rolled_back=True)], ids=repr
)
def test_only_the_word_that_it_is_destroyed_thaws(lost, world, tmp_path):
    made = hand_over(world, tmp_path)
    world.fails["mark"] = lost
    world.statuses = [{"state": states.RESTORING, "outcome": ""}, DESTROYED]
    with pytest.raises(DestroyedError, match="no memory") as caught:
        run(made, world)
    assert caught.value.log_tail == "Error"
    runs_here(world)


def test_a_mark_that_never_arrived_is_taken_back_first(world, tmp_path):
    made = hand_over(world, tmp_path)
    world.fails["mark"] = TransferError("cut")
    world.statuses = [{"state": states.ARMED, "outcome": ""}, DESTROYED]
    with pytest.raises(DestroyedError):
        run(made, world)
    assert world.asked == ["handover.status", "handover.abort"]
    runs_here(world)


@pytest.mark.parametrize(
    "status",
    [
        {"state": states.RESTORING, "outcome": ""},
        {"state": states.SETTLED, "outcome": ""},
        {"state": "", "outcome": ""},
        TransferError("not there"),
        OSError("no route"),
    ],
    ids=str,
)
def test_nothing_else_that_the_target_says_thaws(status, world, tmp_path):
    world.patience_s = 0.3
    made = hand_over(world, tmp_path)
    world.fails["mark"] = TransferError("cut")
    world.statuses = [status]
    with pytest.raises(InDoubtError, match="no one can know"):
        run(made, world)
    stays_frozen(world)


def test_what_cannot_be_thawed_is_said_and_not_settled(world, tmp_path):
    made = hand_over(world, tmp_path)
    world.fails.update(dump=MigrationError("CRIU refused"), thaw=MigrationError("it is not thawed after 5 s"))
    with pytest.raises(InDoubtError, match="runs nowhere: it is not thawed"):
        run(made, world)
    assert left(world).state != states.SETTLED


def test_a_service_that_was_killed_in_the_window_is_started_by_its_policy(world, tmp_path):
    """Its policy was "no" when it ended, so Docker has left it as it was."""
    made = hand_over(world, tmp_path)
    world.fails["freeze"] = MigrationError("CRIU could not dump")
    world.killed = True
    given = world.update_container
    refused = iter([OSError("the container is just ending")])

    def refuses_once(container_id, restart_policy):
        for error in refused:
            raise error
        given(container_id, restart_policy)

    world.update_container = refuses_once
    with pytest.raises(MigrationError) as caught:
        run(made, world)
    assert "did not go on here: it had ended (exit code 137), and was started anew" in caught.value.message
    assert world.policy == ALWAYS
    assert "start anew" in world.calls


@pytest.mark.parametrize("noted", [True, False], ids=["cgroup gone", "cgroup there"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("", "it has ended (exit code 137), and stays so: its restart policy is no"),
        ("--rm", "Docker has removed it, as it was started with --rm"),
        ("docker rm", "somebody has removed it (docker rm)"),
    ],
)
def test_a_service_without_a_policy_that_has_ended_is_not_said_to_run(world, tmp_path, kind, said, noted):
    world.removes_itself = kind == "--rm"
    made = hand_over(world, tmp_path)
    world.policy = made._service.restart_policy = {"Name": "no"}
    world.fails["freeze"] = MigrationError("it is gone")
    world.killed, world.removed = True, bool(kind)
    if noted:
        world.fails["thaw"] = MigrationError("the container has ended", container_state="exited")
    with pytest.raises(MigrationError) as caught:
        run(made, world)
    assert not isinstance(caught.value, InDoubtError)
    assert "did not go on here: " in caught.value.message
    assert said in caught.value.message
    assert "runs on this host" not in caught.value.message
    assert caught.value.container_state == "exited"
    assert left(world).state == states.SETTLED


def test_a_policy_that_cannot_be_given_back_is_said(world, tmp_path):
    made = hand_over(world, tmp_path)
    world.fails.update(dump=MigrationError("CRIU refused"), policy=OSError("no Docker"))
    with pytest.raises(MigrationError, match=r"runs on this host.*could not be given back.*no Docker"):
        run(made, world)
    assert not world.frozen
    assert left(world).state != states.SETTLED, "it must be found by who resolves it"
