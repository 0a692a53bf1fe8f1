# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crash points: they lie where the registry says, strike once, and are off unless root armed one."""

from __future__ import annotations

import ast
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base import crash_points
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError, TransferError
from ansible_collections.mec.migration.plugins.module_utils.state import journal as states
from ansible_collections.mec.migration.plugins.module_utils.transport.wire import Channel

PACKAGES = ("base", "state", "transport", "kernel", "docker", "criu", "image", "files", "memory", "service")
AGENTS = ("source", "target")
MODULE_UTILS = Path(crash_points.__file__).parents[1]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(crash_points, "ARMED_FILE", str(tmp_path / "crash-point"))
    monkeypatch.setattr(crash_points, "TRACE_FILE", str(tmp_path / "trace"))
    yield tmp_path
    monkeypatch.undo()
    crash_points.disarm()


def arm(words, mode=0o600):
    path = Path(crash_points.ARMED_FILE)
    path.touch(mode)
    path.chmod(mode)
    path.write_text(words)
    crash_points.enter("source")


def passed():
    path = Path(crash_points.TRACE_FILE)
    return path.read_text().split() if path.exists() else []


# -- the registry and the code ---------------------------------------------------------------------


def trees(packages) -> Iterator[ast.AST]:
    for package in packages:
        for path in sorted((MODULE_UTILS / package).rglob("*.py")):
            yield ast.parse(path.read_text(encoding="utf-8"))


def calls(packages) -> Iterator[tuple[str, str, ast.Call]]:
    """Each call of a method: on what, which, and the call."""
    for tree in trees(packages):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield ast.unparse(node.func.value), node.func.attr, node


def text(node: ast.Call) -> str:
    """The first argument, if it is a text that is written there."""
    if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
        return node.args[0].value
    return ""


def message(kind: str, *, answered: bool) -> set[str]:
    """The calls that a message of that kind is on both sides."""
    found = {f"send.{kind}", f"receive.{kind}"}
    return found | {f"answer.{kind}", f"receive.answer.{kind}"} if answered else found


def of_call(on: str, method: str, node: Any) -> set[str]:
    """What the call of a method passes."""
    kind, name = text(node), on.rpartition(".")[2].lstrip("_")
    found: set[str] = set()
    if name in ("channel", "self") and kind not in ("", *ANSWERS) and method in ("send", "ask", "request"):
        found = message(kind, answered=method != "send")
    elif name == "client" or on.startswith("docker_client("):
        found = {f"docker.{method}"}
    elif name == "journal" and method in ("write", "prepare"):
        found = {f"journal.{getattr(states, node.args[0].attr)}"}
    elif (name, method) == ("journal", "remove"):
        found = {"journal.remove"}
    elif method == "_order":
        found = {f"criu.{word.value.value}" for word in node.keywords if word.arg == "command"}
    elif (on, method) == ("self._server", "start"):
        found = {f"control.{ast.literal_eval(key)}" for key in node.args[0].keys}
    return found


def in_code() -> set[str]:
    """What the code of both agents may pass, by its own words: no run is needed for it."""
    # The end of either is told by a name that is a variable there.
    found = message("handover.abort", answered=True) | message("forget", answered=True)
    for on, method, node in calls((*PACKAGES, *AGENTS)):
        found |= of_call(on, method, node)
    for tree in trees((*PACKAGES, *AGENTS)):
        around = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
        found |= {text(node) for node in around if ast.unparse(node.func) == "around" and text(node)}
    # To be asked how it is is no step of a migration.
    return found - {"control.status"}


# What answers something is named by what it answers.
ANSWERS = ("ok", "error", "running")


def test_code_and_registry_agree():
    names = crash_points.points() + crash_points.points(crash_points.POSTCOPY_CALLS)
    registered = {point.split("/")[2] for point in names} | set(crash_points.ELSEWHERE.split())
    known = in_code()
    assert sorted(registered - known) == [], "in the registry, and not in the code"
    assert sorted(known - registered) == [], "in the code, and not in the registry"


def test_a_point_is_registered_once():
    assert len(set(crash_points.points())) == len(crash_points.points()) > 200
    inside = {point.split("/")[2] for point in crash_points.points()}
    assert not inside & set(crash_points.ELSEWHERE.split())


# -- what they do ----------------------------------------------------------------------------------


def test_without_the_file_nothing_is_armed():
    crash_points.enter("source")
    for point in crash_points.points():
        crash_points.reach(*point.split("/")[2:])
    thing = object()
    assert crash_points.watched("docker", thing) is thing


@pytest.mark.parametrize("words", ["", "x", "x kill more", "x explode", "\0"])
def test_a_file_that_says_nothing_arms_nothing(words):
    arm(words)
    assert crash_points.watched("docker", 1) == 1


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o644])
def test_a_file_that_others_may_touch_arms_nothing(mode):
    arm("trace", mode)
    crash_points.reach("criu.dump", crash_points.BEFORE)
    assert passed() == []


def test_a_link_or_a_pipe_arms_nothing(files):
    (files / "real").write_text("trace")
    (files / "real").chmod(0o600)
    os.symlink(files / "real", crash_points.ARMED_FILE)
    crash_points.enter("source")
    assert crash_points.watched("docker", 1) == 1
    os.unlink(crash_points.ARMED_FILE)
    os.mkfifo(crash_points.ARMED_FILE, 0o600)
    crash_points.enter("source")
    assert crash_points.watched("docker", 1) == 1


def test_an_error_comes_once_and_disarms():
    arm("source/first/criu.dump/before error")
    with (
        pytest.raises(OSError, match=r"crash point source/first/criu\.dump/before"),
        crash_points.around("criu.dump"),
    ):
        pass
    assert not os.path.exists(crash_points.ARMED_FILE)
    with crash_points.around("criu.dump"):
        pass


@pytest.mark.parametrize("error", [OSError, TransferError, MigrationError])
def test_an_error_is_of_the_kind_of_that_call(error):
    arm("source/first/x/after error")
    with pytest.raises(error), crash_points.around("x", error):
        pass


def test_a_call_that_fails_has_no_point_after_it():
    arm("trace")
    with pytest.raises(ValueError, match="it"), crash_points.around("x"):
        raise ValueError("it")
    assert passed() == ["source/first/x/before"]


def test_the_second_stage_begins_with_the_freeze():
    arm("trace")
    for call in ("criu.start", "cgroup.freeze", "criu.dump"):
        with crash_points.around(call):
            pass
    assert passed()[3:5] == ["source/first/cgroup.freeze/after", "source/last/criu.dump/before"]


def test_methods_of_what_is_watched_are_calls():
    class Client:
        base_url = "http"

        def start(self, name, *, wait):
            return name, wait

    arm("trace")
    client = crash_points.watched("docker", Client())
    assert client.start("redis", wait=True) == ("redis", True)
    assert client.base_url == "http"
    assert passed() == ["source/first/docker.start/before", "source/first/docker.start/after"]


@pytest.mark.parametrize(("fault", "number"), [("kill", signal.SIGKILL), ("stop", signal.SIGSTOP)])
def test_a_process_is_killed_or_stopped_at_its_point(fault, number):
    child = os.fork()
    if child == 0:
        arm(f"source/first/x/before {fault}")
        crash_points.reach("x", crash_points.BEFORE)
        os._exit(7)
    _pid, status = os.waitpid(child, os.WUNTRACED)
    if fault == "kill":
        assert os.WTERMSIG(status) == number
    else:
        assert os.WSTOPSIG(status) == number
        os.kill(child, signal.SIGCONT)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert not os.path.exists(crash_points.ARMED_FILE)


def test_a_thread_that_stops_its_process_does_not_get_past_its_point():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        arm("source/first/x/before stop")

        def pass_it():
            crash_points.reach("x", crash_points.BEFORE)
            os.write(writer, b"passed")

        threading.Thread(target=pass_it).start()
        time.sleep(600)
    _pid, status = os.waitpid(child, os.WUNTRACED)
    os.close(writer)
    try:
        assert os.WSTOPSIG(status) == signal.SIGSTOP
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)


def test_a_fork_inherits_what_is_armed_and_only_one_strikes():
    arm("source/first/x/before error")
    child = os.fork()
    if child == 0:
        try:
            crash_points.reach("x", crash_points.BEFORE)
        except OSError:
            os._exit(3)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    crash_points.reach("x", crash_points.BEFORE)


# -- where they lie --------------------------------------------------------------------------------


def test_a_message_and_its_answer_have_their_points():
    ours, theirs = socket.socketpair()
    one, other = Channel(ours), Channel(theirs)
    arm("trace")
    one.ask("arm")
    assert other.receive().kind == "arm"
    other.send("ok")
    one.answer("arm")
    points = [f"source/first/{call}" for call in ("send.arm/before", "send.arm/after", "receive.arm/after")]
    points += [f"source/first/{call}" for call in ("answer.arm/before", "answer.arm/after")]
    assert passed() == [*points, "source/first/receive.answer.arm/after"]


@pytest.mark.parametrize("call", ["send.arm/before", "send.arm/after", "receive.answer.arm/after"])
def test_a_message_that_fails_is_a_transfer_that_fails(call):
    ours, theirs = socket.socketpair()
    one, other = Channel(ours), Channel(theirs)
    arm(f"source/first/{call} error")

    def ask():
        one.ask("arm")
        other.receive()
        other.send("ok")
        one.answer("arm")

    with pytest.raises(TransferError, match="crash point"):
        ask()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_journal_that_cannot_be_written_says_so(tmp_path, moment):
    arm(f"source/first/journal.open/{moment} error")
    journal = states.Journal("m-1", states.SOURCE, str(tmp_path / "journals"))
    with pytest.raises(MigrationError, match="could not be brought to state open"):
        journal.write(states.OPEN)
    # Before it the name is not there; after it nobody believes it, and whoever reads it next does.
    assert states.Journal("m-1", states.SOURCE, str(tmp_path / "journals")).exists == (moment == "after")


def test_what_is_off_costs_next_to_nothing():
    began = time.process_time()
    for _time in range(10_000):
        with crash_points.around("send.memory.pages"):
            pass
    # A thousand times of what it takes on a quiet machine.
    assert (time.process_time() - began) / 10_000 < 500e-6
