# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health checks and the like, which run in a container and are none of its service's processes."""

from __future__ import annotations

import os
import socket
import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.service import executed as module
from ansible_collections.mec.migration.plugins.module_utils.service.executed import asked_by_check, executed

# The service's processes.
ME = [os.getpid()]


@pytest.fixture
def check():
    """Starts a process that does something and then waits to be ended."""
    pids = []

    def start(do=lambda: None):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            # What it does must not be closed before its end.
            kept = do()
            os.write(writer, b"x" if kept is None else b"y")
            time.sleep(600)
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        pids.append(pid)
        return pid

    yield start
    for pid in pids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@pytest.fixture
def server():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0mec-migration-{os.getpid()}")
        listener.listen()
        yield listener


def connection(listener):
    client = socket.socket(socket.AF_UNIX)
    client.connect(listener.getsockname())
    return client


def test_age_and_name(check):
    pid = check()
    (one,) = executed([pid, 1 << 22])
    assert one.pid == pid
    assert 0 <= one.age_s < 5
    assert one.may_be_check
    assert not one._replace(age_s=module.HEALTH_CHECK_S + 1).may_be_check
    assert str(one) == f"process {pid} ({one.command})"


def test_one_that_has_ended_is_none():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert executed([pid]) == []
    os.waitpid(pid, 0)


def test_a_check_asks_from_its_connection_to_its_end(check, server, monkeypatch):
    quiet = check()
    assert not asked_by_check(os.getpid(), [quiet], ME)
    asker = check(lambda: connection(server))
    # Nobody has accepted it yet.
    assert asked_by_check(os.getpid(), [quiet, asker], ME)
    with server.accept()[0]:
        assert asked_by_check(os.getpid(), [asker], ME)
        # Nobody waits for somebody's shell.
        monkeypatch.setattr(module, "HEALTH_CHECK_S", -1)
        assert not asked_by_check(os.getpid(), [asker], ME)


def test_a_socket_that_is_not_connected_asks_nobody(check):
    asker = check(lambda: socket.socket(socket.AF_UNIX))
    assert not asked_by_check(os.getpid(), [asker], ME)


def test_what_a_check_has_between_its_own_processes_or_with_others_asks_nobody(check, server):
    """The event loops of many languages have such a pair; others speak to a daemon outside."""
    asker = check(socket.socketpair)
    assert not asked_by_check(os.getpid(), [asker], ME)
    asker = check(lambda: connection(server))
    assert not asked_by_check(os.getpid(), [asker], [1 << 22])
