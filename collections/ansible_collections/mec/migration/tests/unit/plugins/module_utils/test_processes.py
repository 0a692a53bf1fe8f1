# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of processes, asked about a real one."""

from __future__ import annotations

import os

from ansible_collections.mec.migration.plugins.module_utils.kernel.process_memory import PAGE_BYTES
from ansible_collections.mec.migration.plugins.module_utils.kernel.processes import (
    container_pids,
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
