# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody sees of a container that another one moves at that moment."""

from __future__ import annotations

import os

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base import paths
from ansible_collections.mec.migration.plugins.module_utils.source import under_way as module
from ansible_collections.mec.migration.plugins.module_utils.source.under_way import look
from ansible_collections.mec.migration.plugins.module_utils.state import migration_lock
from ansible_collections.mec.migration.plugins.module_utils.state.migration_lock import MigrationLock, Owner
from ansible_collections.mec.migration.plugins.module_utils.transport.control import (
    SOURCE_CONTROL,
    ControlServer,
)

CONTAINER = "c" * 64
OWNER = Owner("redis-1", "redis", "ann@laptop", 1.0)


@pytest.fixture
def states(monkeypatch, tmp_path):
    """What Docker says, one look after the other; a state may come with what happens right after the look."""
    monkeypatch.setattr(migration_lock, "LOCK_DIR", str(tmp_path / "locks"))
    coming = []

    def container_state(client, container):
        state, then = coming.pop(0)
        then()
        return state, {} if state == "absent" else {"Id": CONTAINER}

    monkeypatch.setattr(module, "container_state", container_state)
    return coming


def nothing():
    return None


def test_what_a_migration_removes_at_that_moment_was_not_left_frozen(states):
    lock = MigrationLock(CONTAINER)
    lock.take(OWNER)
    states += [("frozen", lock.release), ("absent", nothing)]
    assert look(None, "redis") == ("absent", {}, "")


def test_what_a_migration_gives_back_at_that_moment_runs(states):
    lock = MigrationLock(CONTAINER)
    lock.take(OWNER)
    states += [("frozen", lock.release), ("running", nothing), ("running", nothing)]
    assert look(None, "redis") == ("running", {"Id": CONTAINER}, "")


@pytest.mark.parametrize("lock", [CONTAINER, "name-redis"])
@pytest.mark.parametrize("state", ["running", "frozen"])
def test_whoever_moves_it_is_named(states, state, lock):
    held = MigrationLock(lock)
    held.take(OWNER)
    states.append((state, nothing))
    found, _inspected, sentence = look(None, "redis")
    held.release()
    assert found == state
    assert sentence.startswith("redis is being moved already: migration redis-1, started by ann@laptop")


def test_what_nobody_moves_and_is_frozen_is_said_to_be(states):
    states += [("frozen", nothing), ("frozen", nothing)]
    assert look(None, "redis") == ("frozen", {"Id": CONTAINER}, "")


@pytest.mark.parametrize(
    ("state", "said"),
    [("open", "mec.migration.cancel -e service=redis"), ("handed_over", "wait for its end")],
)
def test_only_what_can_be_cancelled_is_said_to_be(monkeypatch, tmp_path, state, said):
    monkeypatch.setattr(paths, "RUN_DIR", str(tmp_path))
    server = ControlServer(os.path.join(paths.state_dir("redis-1"), SOURCE_CONTROL))
    server.start({"status": lambda request: {"phase": "post-copy", "state": state}})
    assert said in module.under_way(OWNER)
    server.close()
