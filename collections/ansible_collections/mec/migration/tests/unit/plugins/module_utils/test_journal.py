# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: what is found after a crash is the old state or the new one, never half of one."""

from __future__ import annotations

import json
import os
import stat

import pytest
from ansible_collections.mec.migration.plugins.module_utils.state import journal
from ansible_collections.mec.migration.plugins.module_utils.state.journal import SOURCE, TARGET, Journal


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path / "journals")


def test_a_new_journal_has_no_state_and_no_file(directory):
    made = Journal("redis-1", SOURCE, directory)
    assert made.state == ""
    assert not os.path.exists(directory)


def test_what_is_written_is_read_by_the_next_process(directory):
    Journal("redis-1", SOURCE, directory).write("prepared", service="redis", container_id="abc")
    later = Journal("redis-1", SOURCE, directory)
    assert later.state == "prepared"
    later.write("frozen")
    assert Journal("redis-1", SOURCE, directory).entry["container_id"] == "abc"
    assert Journal("redis-1", SOURCE, directory).state == "frozen"


def test_both_sides_and_other_migrations_are_kept_apart(directory):
    Journal("redis-1", SOURCE, directory).write("frozen")
    Journal("redis-1", TARGET, directory).write("armed")
    assert Journal("redis-1", SOURCE, directory).state == "frozen"
    assert Journal("redis-1", TARGET, directory).state == "armed"
    assert Journal("redis-2", TARGET, directory).state == ""


def test_only_root_may_read_it(directory):
    Journal("redis-1", SOURCE, directory).write("frozen")
    (name,) = os.listdir(directory)
    assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700


def test_a_crash_while_writing_leaves_the_old_state(directory, monkeypatch):
    kept = Journal("redis-1", SOURCE, directory)
    kept.write("prepared")

    def crash(*unused):
        raise OSError("out of power")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="out of power"):
        kept.write("frozen")
    assert Journal("redis-1", SOURCE, directory).state == "prepared"


def test_entries_come_oldest_first_and_only_of_the_service_asked_for(directory, monkeypatch):
    clock = iter([30.0, 10.0, 20.0])
    monkeypatch.setattr(journal.time, "time", lambda: next(clock))
    for number, service in ((1, "redis"), (2, "web"), (3, "redis")):
        Journal(f"m-{number}", SOURCE, directory).write("frozen", service=service)
    assert [entry["migration_id"] for entry in journal.entries(directory)] == ["m-2", "m-3", "m-1"]
    assert [entry["migration_id"] for entry in journal.entries(directory, "redis")] == ["m-3", "m-1"]


def test_what_is_no_journal_is_passed_over(directory):
    Journal("redis-1", SOURCE, directory).write("frozen")
    for name in ("redis-2.source.json.new", "notes.txt"):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as out:
            json.dump({"state": "running"}, out)
    with open(os.path.join(directory, "redis-3.target.json"), "w", encoding="utf-8") as out:
        out.write('{"state": "runn')
    assert [entry["migration_id"] for entry in journal.entries(directory)] == ["redis-1"]


def test_no_directory_no_entries(directory):
    assert journal.entries(directory) == []


def test_removed_twice_is_removed(directory):
    made = Journal("redis-1", SOURCE, directory)
    made.write("committed")
    made.remove()
    made.remove()
    assert journal.entries(directory) == []
