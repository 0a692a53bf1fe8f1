# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tracker soft-dirty on a real process. Without the bits, its frames still tell what was moved."""

from __future__ import annotations

import os

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.kernel.process_memory import (
    PAGE_BYTES,
    TABLE_BYTES,
    TABLES_AT_ONCE,
    Pagemap,
    frames_that_differ,
)
from ansible_collections.mec.migration.plugins.module_utils.memory.trackers import (
    SoftDirtyTracker,
    soft_dirty_works,
)
from victim import Victim

TABLE = TABLE_BYTES // PAGE_BYTES

needs_the_bits = pytest.mark.skipif(not soft_dirty_works(), reason="this kernel has no soft-dirty pages")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="frames are told to root alone")


class Still:
    """The cgroup of a process that is stopped anyway."""

    def __init__(self, pid):
        self.first = pid

    def freeze(self):
        return 0.0

    def thaw(self):
        pass

    def pids(self):
        return [self.first]


@pytest.fixture
def victim():
    with Victim(6 * TABLE) as process:
        yield process


@pytest.fixture
def look(victim):
    """What the tracker names of the victim's own pages, by number from its base on."""
    tracker = SoftDirtyTracker(Still(victim.pid))

    def candidates(frozen=False):
        found, _ms = tracker.candidates([victim.pid], frozen)
        own = RangeSet([(victim.base, victim.base + victim.pages * PAGE_BYTES)])
        return {
            (at - victim.base) // PAGE_BYTES
            for start, end in found[victim.pid] & own
            for at in range(start, end, PAGE_BYTES)
        }

    return candidates


def test_all_that_is_there_at_first_and_then_nothing(victim, look):
    victim.do("write", 3, 5)
    assert look() == {3, 4, 5, 6, 7}
    assert look() == set()


@needs_the_bits
@pytest.mark.parametrize("scan", [True, False], ids=["PAGEMAP_SCAN", "plain"])
def test_what_was_written(victim, look, scan, monkeypatch):
    if not scan:
        monkeypatch.setattr(Pagemap, "_scan_if_possible", lambda *unused: None)
    victim.do("write", 0, 2 * TABLE)
    look()
    victim.do("touch", 7)
    victim.do("touch", TABLE + 1, 2)
    assert look() == {7, TABLE + 1, TABLE + 2}
    victim.do("touch", 9)
    assert look(frozen=True) == {9}


@needs_the_bits
def test_new_pages_of_a_new_mapping(victim, look):
    victim.do("write", 0, 10)
    look()
    victim.do("map", 4, 2)
    victim.do("write", 4)
    # Where a mapping joins another the kernel marks all of it.
    named = look()
    assert 4 in named
    assert 5 not in named


@pytest.mark.parametrize("frozen", [False, True], ids=["in a round", "frozen"])
def test_page_tables_that_mremap_moved_over_others(victim, look, frozen):
    """The kernel marks none of these pages: they are as old as the round before, only their place is new."""
    first = -(victim.base // PAGE_BYTES) % TABLE
    victim.do("write", first, 3 * TABLE)
    look()
    victim.do("move", first, TABLE, first + 2 * TABLE)
    moved = set(range(first + 2 * TABLE, first + 3 * TABLE))
    assert look(frozen) >= moved


def test_tables_are_cut_where_they_end(victim):
    start = victim.base + PAGE_BYTES
    end = victim.base + victim.pages * PAGE_BYTES
    with Pagemap(victim.pid) as pagemap:
        pieces = list(pagemap.tables(start, end))
        assert pieces[0][0] == start
        assert pieces[-1][1] == end
        for before, after in zip(pieces, pieces[1:]):
            assert before[1] == after[0]
            assert before[1] % TABLE_BYTES == 0
        assert all(len(entries) == (last - first) // PAGE_BYTES * 8 for first, last, entries in pieces)
        far = list(pagemap.tables(end - PAGE_BYTES, end + TABLES_AT_ONCE * TABLE_BYTES))
        assert far[-1][1] == end + TABLES_AT_ONCE * TABLE_BYTES


def test_only_another_frame_makes_a_difference():
    def entries(*values):
        return b"".join(value.to_bytes(8, "little") for value in values)

    present, soft_dirty, exclusive = 1 << 63, 1 << 55, 1 << 56
    before = entries(present | 5, present | 6 | soft_dirty, present | 7, 0)
    after = entries(present | 5 | soft_dirty | exclusive, present | 6, present | 8, present | 9)
    assert frames_that_differ(0, before, after) == [
        (2 * PAGE_BYTES, 3 * PAGE_BYTES),
        (3 * PAGE_BYTES, 4 * PAGE_BYTES),
    ]
