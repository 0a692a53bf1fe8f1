# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: what is found after a crash is the old state or the new one, never half of one."""

from __future__ import annotations

import json
import os
import stat

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.state import journal
from ansible_collections.mec.migration.plugins.module_utils.state.journal import (
    ARMED,
    COMMITTED,
    FROZEN,
    OPEN,
    SETTLED,
    SOURCE,
    TARGET,
    Entry,
    Journal,
    read_journals,
)


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path / "journals")


def test_a_new_journal_has_no_state_and_no_file(directory):
    made = Journal("redis-1", SOURCE, directory)
    assert not made.exists
    assert not os.path.exists(directory)


def test_what_is_written_is_read_by_the_next_process(directory):
    policy = {"Name": "always", "MaximumRetryCount": 0}
    Journal("redis-1", SOURCE, directory).write(
        OPEN, service="redis", container_id="abc", restart_policy=policy
    )
    later = Journal("redis-1", SOURCE, directory)
    assert later.state == OPEN
    later.write(SETTLED, outcome=COMMITTED)
    entry = Journal("redis-1", SOURCE, directory).entry
    assert (entry.container_id, entry.restart_policy) == ("abc", policy)
    assert (entry.state, entry.outcome) == (SETTLED, COMMITTED)


def test_before_the_first_state_has_its_name_nothing_is_there(directory):
    make_it_so = Journal("redis-1", SOURCE, directory).prepare(OPEN, service="redis")
    assert os.listdir(directory) == []
    make_it_so()
    assert os.listdir(directory) == ["redis-1.source.json"]
    assert stat.S_IMODE(os.stat(os.path.join(directory, "redis-1.source.json")).st_mode) == 0o600
    assert Journal("redis-1", SOURCE, directory).entry.service == "redis"


def test_a_file_system_without_nameless_files_serves_too(directory, monkeypatch):
    monkeypatch.setattr(journal, "_nameless", lambda directory: -1)
    made = Journal("redis-1", SOURCE, directory)
    make_it_so = made.prepare(OPEN, service="redis")
    assert os.listdir(directory) == ["redis-1.source.json.open.new"]
    make_it_so()
    assert os.listdir(directory) == ["redis-1.source.json"]
    made.remove()
    assert os.listdir(directory) == []


def test_both_sides_and_other_migrations_are_kept_apart(directory):
    Journal("redis-1", SOURCE, directory).write(FROZEN)
    Journal("redis-1", TARGET, directory).write(ARMED)
    assert Journal("redis-1", SOURCE, directory).state == FROZEN
    assert Journal("redis-1", TARGET, directory).state == ARMED
    assert not Journal("redis-2", TARGET, directory).exists


def test_a_side_has_its_own_states_only(directory):
    with pytest.raises(ValueError, match="source has no state 'armed'"):
        Journal("redis-1", SOURCE, directory).write(ARMED)


def test_only_root_may_read_it(directory):
    Journal("redis-1", SOURCE, directory).write(FROZEN)
    (name,) = os.listdir(directory)
    assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700


def test_a_crash_while_writing_leaves_the_old_state(directory, monkeypatch):
    kept = Journal("redis-1", SOURCE, directory)
    kept.write(OPEN)

    def crash(*unused):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(MigrationError, match="could not be brought to state frozen: No space left"):
        kept.write(FROZEN)
    assert kept.state == OPEN
    assert Journal("redis-1", SOURCE, directory).state == OPEN


def test_file_and_directory_are_synced_before_a_write_returns(directory, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        done.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(*paths):
        done.append("replace")
        replace(*paths)

    kept = Journal("redis-1", SOURCE, directory)
    kept.write(OPEN)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    kept.write(FROZEN)
    assert done == ["file", "replace", "directory"]


def test_what_is_prepared_is_not_the_state_yet(directory):
    kept = Journal("redis-1", SOURCE, directory)
    kept.write(OPEN)
    make_it_so = kept.prepare(FROZEN)
    assert Journal("redis-1", SOURCE, directory).state == OPEN
    make_it_so()
    assert Journal("redis-1", SOURCE, directory).state == FROZEN


def test_a_removed_one_leaves_nothing(directory):
    kept = Journal("redis-1", SOURCE, directory)
    kept.write(OPEN)
    kept.prepare(FROZEN)
    kept.remove()
    assert os.listdir(directory) == []


def test_entries_come_oldest_first_and_only_of_the_service_asked_for(directory, monkeypatch):
    clock = iter([30.0, 10.0, 20.0])
    monkeypatch.setattr(journal.time, "time", lambda: next(clock))
    for number, service in ((1, "redis"), (2, "web"), (3, "redis")):
        Journal(f"m-{number}", SOURCE, directory).write(FROZEN, service=service)

    def ids(service=None):
        return [entry.migration_id for entry in read_journals(service, directory).entries]

    assert ids() == ["m-2", "m-3", "m-1"]
    assert ids("redis") == ["m-3", "m-1"]


def good(**changes):
    return json.dumps({**Entry("redis-3", TARGET, ARMED, "redis")._asdict(), **changes})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"state": "runn', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no JSON object"),
        ('"armed"', "no JSON object"),
        (good(format=1), "format is 1"),
        (good(migration_id=""), "lacks migration_id"),
        (good(migration_id="redis-4"), "that of redis-4"),
        (good(state="frozen"), "no state 'frozen'"),
        (good(side="middle"), "no state"),
        (good(side=SOURCE, state=OPEN), "that of redis-3, source"),
        (good(outcome=COMMITTED), "no outcome"),
        (good(container_id=7), "container_id is 7"),
        (good(restart_policy="always"), "restart_policy is 'always'"),
        (good(time="now"), "time is 'now'"),
        (good(lazy="yes"), "lazy is 'yes'"),
    ],
)
def test_a_damaged_one_is_reported_and_its_own_migration_is_refused(directory, text, why):
    Journal("redis-1", SOURCE, directory).write(FROZEN)
    path = os.path.join(directory, "redis-3.target.json")
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    found = read_journals("redis", directory)
    ((damaged),) = found.damaged
    assert (damaged.path, damaged.migration_id, damaged.side) == (path, "redis-3", TARGET)
    assert why in damaged.why
    if "that of" not in why:
        with pytest.raises(MigrationError, match="cannot be read"):
            Journal("redis-3", TARGET, directory)


def test_what_is_no_journal_is_passed_over(directory):
    Journal("redis-1", SOURCE, directory).write(FROZEN)
    for name in ("redis-2.source.json.new", "redis-2.source.json.frozen.new", "notes.txt", "notes.json"):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as out:
            out.write(good())
    found = read_journals(None, directory)
    assert [entry.migration_id for entry in found.entries] == ["redis-1"]
    assert found.damaged == []
