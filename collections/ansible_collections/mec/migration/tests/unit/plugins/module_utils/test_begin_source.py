# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pre-copy keeps on the source outlives pre-copy, however long that takes, and not much more."""

from __future__ import annotations

import os
import signal
import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base import paths
from ansible_collections.mec.migration.plugins.module_utils.source import endings
from ansible_collections.mec.migration.plugins.module_utils.state import journal

ID = "redis-20261126T120000"
IDLE_S = 0.3


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """The directory of a migration's source."""
    journals = str(tmp_path / "journals")
    monkeypatch.setattr(journal, "JOURNAL_DIR", journals)
    monkeypatch.setattr(paths, "RUN_DIR", str(tmp_path / "run"))
    directory = tmp_path / "run" / ID
    directory.mkdir(parents=True)
    return directory


def precopy(seconds, and_then=lambda: None):
    """A module that begins a migration and then takes its time."""
    pid = os.fork()
    if pid == 0:
        endings.begin_source("redis", "abc", ID, IDLE_S)
        time.sleep(seconds)
        and_then()
        os._exit(0)
    return pid


def gone(path, within_s):
    end = time.monotonic() + within_s
    while path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return not path.exists()


def test_nothing_is_wiped_while_precopy_runs(kept):
    pid = precopy(5 * IDLE_S)
    assert not gone(kept, 4 * IDLE_S)
    os.waitpid(pid, 0)
    assert gone(kept, 20 * IDLE_S)


def test_a_precopy_that_is_killed_leaves_nothing_behind(kept):
    pid = precopy(60)
    time.sleep(IDLE_S)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert gone(kept, 20 * IDLE_S)


def test_what_was_handed_over_stays(kept):
    pid = precopy(0, lambda: journal.Journal(ID, journal.SOURCE).write("frozen"))
    os.waitpid(pid, 0)
    assert not gone(kept, 4 * IDLE_S)
