# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules and agents on one host: numbered requests, progress, answers, and what breaks."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base import paths
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.transport.control import (
    CONTROL,
    ControlServer,
    NoAgentError,
    control,
)

ID = "redis-1"


@pytest.fixture
def path(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "RUN_DIR", str(tmp_path))
    (tmp_path / ID).mkdir(mode=0o700)
    return str(tmp_path / ID / CONTROL)


def echo(request):
    request.progress(step=1)
    request.progress(step=2)
    return {"fields": request.fields}


def fail(request):
    raise MigrationError("no", phase="handover", container_state="frozen", log_tail="log", rolled_back=True)


def breaks(request):
    raise KeyError("odd")


@pytest.fixture
def server(path):
    made = ControlServer(path)
    made.start({"echo": echo, "fail": fail, "break": breaks})
    yield made
    made.close()


def test_progress_comes_before_the_answer(server):
    lines = []
    answer = control(ID, "echo", {"a": 1}, progress=lambda **line: lines.append(line))
    assert answer == {"fields": {"a": 1}}
    assert lines == [{"step": 1}, {"step": 2}]


def test_an_error_arrives_as_it_was_raised(server):
    with pytest.raises(MigrationError, match="no") as caught:
        control(ID, "fail")
    assert caught.value.result() == {
        "phase": "handover",
        "container_state": "frozen",
        "log_tail": "log",
        "rolled_back": True,
    }


@pytest.mark.parametrize(
    ("operation", "words"), [("break", "break broke in the agent: KeyError"), ("other", "no operation other")]
)
def test_what_breaks_in_the_agent_is_an_error_for_whoever_asked(server, operation, words):
    with pytest.raises(MigrationError, match=words):
        control(ID, operation)
    assert control(ID, "echo") == {"fields": {}}


def test_only_root_may_open_it(server, path):
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_no_agent_is_told_from_one_that_refuses(path):
    with pytest.raises(NoAgentError, match="no agent of migration redis-1"):
        control(ID, "echo")


def test_whoever_goes_away_does_not_end_what_was_asked_for(path):
    left, done = threading.Event(), threading.Event()

    def slow(request):
        left.wait()
        request.progress(step=1)
        done.set()
        return {}

    server = ControlServer(path)
    server.start({"slow": slow})
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(json.dumps({"number": 1, "operation": "slow", "fields": {}}).encode() + b"\n")
    left.set()
    assert done.wait(60)
    server.close()


def speaks(path, answer):
    """A peer that answers the first request with these bytes."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)

    def serve():
        connection, _peer = listener.accept()
        with connection:
            number = json.loads(connection.makefile().readline())["number"]
            connection.sendall(answer(number))

    threading.Thread(target=serve, daemon=True).start()


@pytest.mark.parametrize(
    "answer",
    [
        lambda number: json.dumps({"number": number + 1, "result": {}}).encode() + b"\n",
        lambda number: b"{}\n",
        lambda number: b"[]\n",
        lambda number: b"not JSON\n",
        lambda number: b"[" * 100_000 + b"\n",
    ],
)
def test_an_answer_to_something_else_is_none(path, answer):
    speaks(path, answer)
    with pytest.raises(MigrationError, match="an answer to request"):
        control(ID, "echo")


def test_an_agent_that_ends_before_it_answers(path):
    speaks(path, lambda number: b"")
    with pytest.raises(NoAgentError, match="ended before it answered echo"):
        control(ID, "echo")


def test_an_agent_that_does_not_answer_in_time(path):
    server = ControlServer(path)
    with pytest.raises(MigrationError, match=r"has not answered echo for 0\.1 s"):
        control(ID, "echo", timeout_s=0.1)
    server.close()


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[1]\n", b"\xff\n", b'{"number": 1}\n'])
def test_a_request_that_is_none_harms_nobody(server, path, line):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(line)
        client.settimeout(60)
        client.recv(1000)
    assert control(ID, "echo") == {"fields": {}}
