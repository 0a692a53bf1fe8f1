# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How clocks of two hosts are compared."""

from __future__ import annotations

import math
import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.clocks import (
    ClockDifference,
    Question,
    difference,
    jump,
)


def test_half_of_what_the_question_took_may_be_wrong():
    assert difference(100.0, 103.5, 101.0) == ClockDifference(3.0, 0.5)
    assert difference(100.0, 100.5, 101.0) == ClockDifference(0.0, 0.5)


@pytest.mark.parametrize("ahead_s", [3600, -3600])
def test_a_question_is_answered_with_the_other_clock(ahead_s):
    question = Question()
    found = question.answered(time.time() + ahead_s)
    assert abs(found.ahead_s - ahead_s) <= found.error_s + 0.001
    assert found.error_s < 1


def test_that_this_clock_is_set_meanwhile_changes_nothing(monkeypatch):
    question = Question()
    theirs = time.time()
    monkeypatch.setattr(time, "time", lambda: theirs + 5000)
    found = question.answered(theirs)
    assert abs(found.ahead_s) < 1
    assert found.error_s < 1


@pytest.mark.parametrize(
    "theirs", [None, "now", True, [], math.nan, math.inf, -math.inf, 10**400, -(10**400), 1e300]
)
def test_what_is_no_time_is_not_compared(theirs):
    assert Question().answered(theirs) is None
    assert difference(theirs, 1.0, 2.0) is None


def test_what_was_answered_before_it_was_asked_is_not_compared():
    assert difference(100.0, 100.0, 99.0) is None


@pytest.mark.parametrize(
    ("ahead_s", "error_s", "telling"),
    [(0.5, 0.0, False), (0.51, 0.0, True), (-0.51, 0.0, True), (2.0, 1.5, False), (-2.1, 1.5, True)],
)
def test_half_a_second_and_what_may_be_wrong_are_not_worth_telling(ahead_s, error_s, telling):
    assert ClockDifference(ahead_s, error_s).telling is telling


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [
        (0.7, "the clock of east is 0.7 s ahead of that of west"),
        (-90.0, "the clock of east is 90.0 s behind that of west"),
        (150.0, "2.5 minutes ahead of"),
        (-7200.0, "2.0 hours behind"),
        (1e8, "1157.4 days ahead of"),
    ],
)
def test_by_how_much_and_where_the_time_of_day_jumps(ahead_s, words):
    said = jump("west", "east", ClockDifference(ahead_s, 0.002))
    assert words in said
    assert ("jumps forwards" in said) is (ahead_s > 0)
    assert "known to 0.002 s" in said
