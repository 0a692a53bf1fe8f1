# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges against plain Python sets of pages."""

from __future__ import annotations

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import (
    Range,
    RangeSet,
    Run,
    pack_runs,
    unpack_runs,
)
from hypothesis import given
from hypothesis import strategies as st

PAGE = 4096
spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=12)


def as_ranges(pairs):
    return RangeSet((start * PAGE, (start + length) * PAGE) for start, length in pairs)


def as_set(pairs):
    return {page for start, length in pairs for page in range(start, start + length)}


def pages(ranges):
    return {at // PAGE for start, end in ranges for at in range(start, end, PAGE)}


@given(spans)
def test_a_range_set_holds_its_pages_in_sorted_ranges_that_do_not_touch(pairs):
    made = as_ranges(pairs)
    assert pages(made) == as_set(pairs)
    assert made.size_bytes == len(as_set(pairs)) * PAGE
    assert bool(made) == bool(as_set(pairs))
    assert all(start < end for start, end in made)
    assert all(one.end < other.start for one, other in zip(made.ranges, made.ranges[1:]))


@given(spans, spans)
def test_union_intersection_and_difference(one, other):
    left, right = as_ranges(one), as_ranges(other)
    assert pages(left | right) == as_set(one) | as_set(other)
    assert pages(left & right) == as_set(one) & as_set(other)
    assert pages(left - right) == as_set(one) - as_set(other)


@given(spans, spans)
def test_results_are_normal_forms_again(one, other):
    left, right = as_ranges(one), as_ranges(other)
    assert (left - right) | (left & right) == left
    assert left & right == right & left
    assert hash(left | right) == hash(right | left)
    for result in (left | right, left & right, left - right):
        assert RangeSet(result) == result


@pytest.mark.parametrize("pairs", [[(5, 5)], [(7, 3)], []])
def test_nothing(pairs):
    assert not RangeSet(pairs)


def test_what_touches_is_joined_and_shows_as_hexadecimal():
    made = RangeSet([(0x2000, 0x3000), (0x1000, 0x2000)])
    assert made.ranges == [Range(0x1000, 0x3000)]
    assert repr(made) == "RangeSet([('0x1000', '0x3000')])"
    assert made != [(0x1000, 0x3000)]


runs = st.lists(st.tuples(st.integers(0, 1 << 36), st.integers(1, 1 << 20), st.booleans()), max_size=20)


@given(runs)
def test_runs_travel_as_small_numbers(given_runs):
    made, at = [], 0
    for gap, pages, has_data in given_runs:
        start = at + gap * 4096
        at = start + pages * 4096
        made.append(Run(start, at, has_data))
    packed = pack_runs(made)
    assert unpack_runs(packed) == made
    assert len(packed) == 2 * len(made)
    assert all(number >= 0 for number in packed)
