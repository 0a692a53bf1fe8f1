# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extents against a plain dictionary: address of each page -> address of its content."""

from __future__ import annotations

from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.memory.extents import Extent, Extents
from hypothesis import given
from hypothesis import strategies as st

PAGE = 4096
# Where the content of the n-th step begins, far from that of the others.
ROUND = 1 << 30
steps = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12), st.booleans()), max_size=20)
spans = st.lists(st.tuples(st.integers(0, 45), st.integers(1, 12)), max_size=8)


def pages_of(extents) -> dict[int, int]:
    return {
        address: source + address - start
        for start, end, source in extents
        for address in range(start, end, PAGE)
    }


def made(pairs) -> tuple[Extents, dict[int, int]]:
    """After putting or dropping each of *pairs* in turn, and what must have come of it."""
    extents = Extents()
    model: dict[int, int] = {}
    for number, (first, pages, put) in enumerate(pairs, 1):
        start, end = first * PAGE, (first + pages) * PAGE
        before = {page: model.pop(page) for page in range(start, end, PAGE) if page in model}
        if put:
            extents.put(Extent(start, end, number * ROUND))
            model.update((page, number * ROUND + page - start) for page in range(start, end, PAGE))
        else:
            assert pages_of(extents.drop(start, end)) == before
    return extents, model


@given(steps)
def test_what_is_put_replaces_and_what_is_dropped_is_gone(pairs):
    extents, model = made(pairs)
    assert pages_of(extents) == model
    listed = list(extents)
    assert all(start < end for start, end, _source in listed)
    assert all(one.end <= other.start for one, other in zip(listed, listed[1:]))
    assert bool(extents) == bool(model)


@given(steps, spans)
def test_within_gives_the_wanted_parts_in_order(pairs, wanted):
    extents, model = made(pairs)
    ranges = RangeSet((first * PAGE, (first + pages) * PAGE) for first, pages in wanted)
    found = extents.within(ranges)
    assert found == sorted(found)
    in_ranges = {page for start, end in ranges for page in range(start, end, PAGE)}
    assert pages_of(found) == {page: place for page, place in model.items() if page in in_ranges}


@given(steps, st.integers(1, 5))
def test_the_last_are_taken_piece_by_piece(pairs, pages):
    extents, model = made(pairs)
    taken: list[Extent] = []
    while extents:
        taken.append(extents.take_last(pages * PAGE))
    assert pages_of(taken) == model
    assert all(0 < piece.end - piece.start <= pages * PAGE for piece in taken)
    assert taken == sorted(taken, reverse=True)


def test_the_first_part_behind_an_address_is_taken_out():
    extents = Extents([Extent(10, 20, 100), Extent(30, 40, 200)])
    assert extents.take_from(12, 5) == Extent(12, 17, 102)
    assert extents.take_from(18, 50) == Extent(18, 20, 108)
    assert extents.take_from(18, 4) == Extent(30, 34, 200)
    assert extents.take_from(40, 4) is None
    assert list(extents) == [Extent(10, 12, 100), Extent(17, 18, 107), Extent(34, 40, 204)]
