"""Damaged journals: each is a journal, or is reported as damaged; what is decided from it is a decision."""

from __future__ import annotations

import json

from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.state.journal import (
    SOURCE,
    STATES,
    TARGET,
    Entry,
    Journal,
    read_journals,
)

from .damage import damaged_bytes, damaged_value, in_time, trials

VALID = [
    Entry(
        "redis-1",
        side,
        state=state,
        service="redis",
        time=1764358441.5,
        container_id="5" * 64,
        peer_container_id="7" * 64,
        restart_policy={"Name": "always", "MaximumRetryCount": 0},
    )
    for side in (SOURCE, TARGET)
    for state in STATES[side]
]


def damaged(choice, entry):
    if choice.random() < 0.5:
        return damaged_bytes(choice, entry.to_json().encode())
    return json.dumps(damaged_value(choice, json.loads(entry.to_json()))).encode()


def test_journals(seconds, tmp_path):
    for choice in trials(seconds):
        entry = choice.choice(VALID)
        path = tmp_path / f"redis-1.{entry.side}.json"
        path.write_bytes(damaged(choice, entry))
        found = in_time(1, lambda: read_journals(None, str(tmp_path)))
        path.unlink()
        assert len(found.entries) + len(found.damaged) == 1
        for one in found.entries:
            assert one.state in STATES[one.side]
            assert isinstance(one.container_id, str)


def test_the_one_of_a_migration(seconds, tmp_path):
    for choice in trials(seconds):
        entry = choice.choice(VALID)
        path = tmp_path / f"redis-1.{entry.side}.json"
        path.write_bytes(damaged(choice, entry))
        try:
            journal = in_time(1, lambda side=entry.side: Journal("redis-1", side, str(tmp_path)))
        except MigrationError:
            continue
        journal.write(journal.state)
        assert Journal("redis-1", entry.side, str(tmp_path)).entry.state == journal.state
