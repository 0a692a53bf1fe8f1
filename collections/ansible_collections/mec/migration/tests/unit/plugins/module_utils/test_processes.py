# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of processes, asked about a real one."""

from __future__ import annotations

import os

from ansible_collections.mec.migration.plugins.module_utils.kernel import processes
from ansible_collections.mec.migration.plugins.module_utils.kernel.process_memory import PAGE_BYTES
from ansible_collections.mec.migration.plugins.module_utils.kernel.processes import (
    container_pids,
    family,
    memory_bytes,
    start_time,
)
from victim import Victim


def test_numbers_age_and_memory():
    with Victim() as victim:
        assert container_pids([victim.pid]) == {victim.pid: victim.pid}
        assert int(start_time(victim.pid)) >= int(start_time(os.getpid())) > 0
        before = memory_bytes([victim.pid])
        victim.do("write", 0, victim.pages)
        assert memory_bytes([victim.pid]) - before >= (victim.pages - 8) * PAGE_BYTES


def test_a_process_that_has_ended_is_nothing():
    with Victim() as victim:
        pid = victim.pid
        victim.kill()
        assert container_pids([pid]) == {}
        assert memory_bytes([pid]) == 0
        assert start_time(pid) == ""


def test_a_family_is_the_first_process_and_its_descendants():
    """Grandchildren, too, also one whose parent has ended; nobody else's child."""
    with Victim() as first, Victim() as stranger:
        assert family(first.pid, [stranger.pid, first.pid]) == {first.pid: first.pid}
        assert family(os.getpid(), [first.pid, os.getpid(), stranger.pid]).keys() == {
            first.pid,
            os.getpid(),
            stranger.pid,
        }
    assert family(first.pid, [first.pid]) == {}


def test_a_parent_that_ends_while_it_is_looked_at(monkeypatch):
    """Its child has been given to the first process meanwhile, and is of the family still."""
    parents = {10: [(1, 1)], 12: [(11, 3), (10, 3)], 13: [(7, 4), (7, 4)]}

    def numbers(pid):
        if pid not in parents:
            raise ProcessLookupError
        return parents[pid].pop(0)

    monkeypatch.setattr(processes, "_parent_and_number", numbers)
    monkeypatch.setattr(processes, "stat_fields", lambda pid: ["S", str(numbers(pid)[0])])
    assert processes.family(10, [10, 11, 12, 13]) == {10: 1, 12: 3}
