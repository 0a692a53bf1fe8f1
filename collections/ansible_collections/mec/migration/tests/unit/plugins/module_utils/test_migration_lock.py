# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's lock: one migration at a time, for as long as a process of it lives, and not longer."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.state.migration_lock import (
    LockHeldError,
    MigrationLock,
    Owner,
)

FIRST = Owner("redis-1", "redis", "ann@laptop", 1000.5)
SECOND = Owner("redis-2", "redis", "bob@server", 2000.5)


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path / "locks")


def holder(directory, *, then=signal.pause):
    """Another process that holds the lock."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        MigrationLock("abc", directory).take(FIRST)
        os.write(told, b"x")
        then()
        os._exit(0)
    os.read(ready, 1)
    return pid


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_second_one_is_refused_and_learns_who_has_it(directory):
    pid = holder(directory)
    try:
        with pytest.raises(LockHeldError) as caught:
            MigrationLock("abc", directory).take(SECOND)
        assert caught.value.owner == FIRST
        assert MigrationLock("abc", directory).held() == FIRST
        MigrationLock("another", directory).take(SECOND)
    finally:
        end(pid)


def test_it_goes_with_the_process_that_is_killed(directory):
    end(holder(directory))
    assert MigrationLock("abc", directory).held() is None
    MigrationLock("abc", directory).take(SECOND)
    assert MigrationLock("abc", directory).owner() == SECOND


def test_a_fork_holds_it_after_the_death_of_the_first(directory):
    may_go, go = os.pipe()
    forked, told = os.pipe()

    def leave_a_guard():
        if os.fork() == 0:
            os.close(go)
            os.write(told, b"x")
            os.read(may_go, 1)
            os._exit(0)
        signal.pause()

    pid = holder(directory, then=leave_a_guard)
    os.read(forked, 1)
    end(pid)
    assert MigrationLock("abc", directory).held() == FIRST
    # The guard's read ends.
    for pipe in (go, may_go, forked, told):
        os.close(pipe)
    MigrationLock("abc", directory).take(SECOND, patience_s=60)


def test_a_program_that_is_started_does_not_hold_it(directory):
    lock = MigrationLock("abc", directory)
    lock.take(FIRST)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False) as program:
        lock.release()
        try:
            MigrationLock("abc", directory).take(SECOND)
        finally:
            program.kill()


def test_who_gives_it_back_leaves_nothing_and_whoever_waits_has_it(directory):
    pid = holder(directory, then=lambda: time.sleep(0.3))
    lock = MigrationLock("abc", directory)
    lock.take(SECOND, patience_s=60)
    os.waitpid(pid, 0)
    lock.release()
    assert os.listdir(directory) == []


def test_a_name_that_was_taken_away_meanwhile_is_no_lock(directory):
    """Released between the open and the lock: two files, of which only the one with the name counts."""
    first = MigrationLock("abc", directory)
    first.take(FIRST)
    waiting = os.open(os.path.join(directory, "abc"), os.O_RDWR)
    first.release()
    second = MigrationLock("abc", directory)
    second.take(SECOND)
    with pytest.raises(LockHeldError):
        MigrationLock("abc", directory).take(FIRST)
    os.close(waiting)


def test_only_root_may_read_it(directory):
    MigrationLock("abc", directory).take(FIRST)
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(os.path.join(directory, "abc")).st_mode) == 0o600


def test_a_place_where_no_lock_can_be_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MigrationError, match="cannot take the lock"):
        MigrationLock("abc", str(tmp_path / "file")).take(FIRST)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"migration_id": "x"}', '{"since": "now"}'])
def test_what_is_damaged_says_nothing_of_its_owner_and_is_held_all_the_same(directory, content):
    lock = MigrationLock("abc", directory)
    lock.take(FIRST)
    with open(os.path.join(directory, "abc"), "r+", encoding="utf-8") as kept:
        kept.truncate()
        kept.write(content)
    assert MigrationLock("abc", directory).held() == Owner()
