# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much post-copy asks for beside the pages for which the service waits."""

from __future__ import annotations

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import PAGE_BYTES
from ansible_collections.mec.migration.plugins.module_utils.memory.link_pace import (
    DELAY_PAGES,
    DELAY_S,
    FIRST_BYTES,
    IN_FLIGHT,
    MEASURE_AFTER,
    QUEUE_S,
    REQUEST_BYTES,
    LinkPace,
)

ROUND_TRIP_S = 0.0004


def measured(mbit: float, round_trip_s: float = ROUND_TRIP_S) -> LinkPace:
    """One that has seen a page alone and a piece behind it, over such a link."""
    pace = LinkPace()
    s_per_byte = 8 / mbit / 1e6
    alone_s = round_trip_s + PAGE_BYTES * s_per_byte
    pace.answered(PAGE_BYTES, 0.0, alone_s, wanted=True, alone=True)
    pace.answered(FIRST_BYTES, 0.0, alone_s + FIRST_BYTES * s_per_byte, wanted=False, alone=False)
    assert pace.alone_s == pytest.approx(alone_s)
    assert pace.s_per_byte == pytest.approx(s_per_byte)
    return pace


def test_before_a_page_has_come_alone_nothing_is_beside_it() -> None:
    pace = LinkPace()
    pace.asked(PAGE_BYTES, 1.0, wanted=True)
    assert pace.beside_bytes(1.0) == 0
    assert pace.quiet_bytes == FIRST_BYTES
    pace.answered(PAGE_BYTES, 1.0, 1.001, wanted=True, alone=True)
    assert pace.beside_bytes(1.1) == FIRST_BYTES


@pytest.mark.parametrize("mbit", [1, 20, 100, 1000, 10000])
@pytest.mark.parametrize("round_trip_s", [0.0004, 0.05])
def test_a_page_is_not_long_behind_others_over_any_link(mbit: float, round_trip_s: float) -> None:
    pace = measured(mbit, round_trip_s)
    few_s = DELAY_PAGES * PAGE_BYTES * pace.s_per_byte
    assert pace.piece_bytes * pace.s_per_byte <= max(DELAY_S, pace.alone_s, few_s) * 1.001
    queue_s = IN_FLIGHT * pace.quiet_bytes * pace.s_per_byte
    assert queue_s <= max(QUEUE_S + pace.alone_s, IN_FLIGHT * PAGE_BYTES * pace.s_per_byte) * 1.001
    for size_bytes in (pace.piece_bytes, pace.quiet_bytes):
        assert size_bytes % PAGE_BYTES == 0
        assert PAGE_BYTES <= size_bytes <= REQUEST_BYTES


@pytest.mark.parametrize("turn_s", [0.0004, 0.0008, 0.002, 0.02])
def test_what_is_asked_for_is_what_the_link_has_time_for(turn_s: float) -> None:
    """The service waits for one page each turn."""
    pace = measured(100)
    now, turns, beside = 1.0, 500, 0
    pace.beside_bytes(now)
    for _turn in range(turns):
        pace.asked(PAGE_BYTES, now, wanted=True)
        if size_bytes := pace.beside_bytes(now):
            pace.asked(size_bytes, now, wanted=False)
            beside += size_bytes
        pace.answered(PAGE_BYTES, now, now + pace.alone_s, wanted=True, alone=True)
        now += turn_s
    passed = turns * turn_s / pace.s_per_byte
    assert beside <= max(0, passed - turns * PAGE_BYTES) + 2 * pace.piece_bytes
    if turn_s < 0.001:
        # All of what it had time for: above that one piece each turn.
        assert beside >= passed - turns * PAGE_BYTES - 2 * pace.piece_bytes


def test_now_and_then_a_page_comes_alone_to_see_how_long_that_takes() -> None:
    pace = measured(100)
    for turn in range(MEASURE_AFTER + 1):
        pace.asked(PAGE_BYTES, float(turn), wanted=True)
        pace.answered(PAGE_BYTES, float(turn), turn + 0.01, wanted=True, alone=False)
    assert pace.beside_bytes(1000.0) == 0
    pace.answered(PAGE_BYTES, 1000.0, 1000.001, wanted=True, alone=True)
    assert pace.beside_bytes(1001.0) > 0


@pytest.mark.parametrize("later_s", [0.0, 0.001, 0.005, 0.019])
def test_how_fast_the_link_is_shows_only_where_it_had_no_pause(later_s: float) -> None:
    """Of a piece that was asked for later than what came before it, the time between says nothing."""
    pace = measured(100, 0.02)
    before = pace.s_per_byte
    pace.answered(PAGE_BYTES, 10.0, 10.0 + pace.alone_s, wanted=True, alone=True)
    came = 10.0 + pace.alone_s + max(later_s, FIRST_BYTES * before)
    pace.answered(FIRST_BYTES, 10.0 + later_s, came, wanted=False, alone=False)
    assert pace.s_per_byte == pytest.approx(before, rel=0.07)
    if later_s > 0.002:
        assert pace.s_per_byte == before


def test_pages_for_which_several_threads_wait_show_how_fast_it_is_at_first() -> None:
    pace = LinkPace()
    for page in range(1, 5):
        pace.answered(PAGE_BYTES, 0.0, 0.02 + page * 0.0004, wanted=True, alone=True)
    assert pace.s_per_byte == pytest.approx(0.0004 / PAGE_BYTES)


def test_a_pause_of_the_machine_hardly_counts() -> None:
    pace = measured(100)
    before = pace.alone_s, pace.s_per_byte
    pace.answered(PAGE_BYTES, 10.0, 20.0, wanted=True, alone=True)
    pace.answered(FIRST_BYTES, 19.0, 30.0, wanted=False, alone=False)
    assert (pace.alone_s, pace.s_per_byte) == pytest.approx([value * 17 / 16 for value in before])
