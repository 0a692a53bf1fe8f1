"""Two copies at the same time are found, and a watch that broke is not taken for one that saw nothing."""

from __future__ import annotations

import json

import pytest
from e2e.spans import at_the_same_time, spans_of


def told(*lines: tuple[float, float, list[str]]) -> str:
    return "\n".join(json.dumps(dict(zip(("until", "from", "running"), line))) for line in lines)


RAN = told((0, 11, ["a"]), (15, 15.1, []))


def test_clocks_are_compared() -> None:
    assert spans_of("edge-a", RAN, 10) == [(1, 5, "edge-a a")]


def test_what_ran_until_the_power_was_cut_ended_then() -> None:
    assert spans_of("edge-b", told((0, 4, ["b"])), 0, cut=6) == [(4, 6, "edge-b b")]


def test_two_copies_are_found() -> None:
    first, second = spans_of("edge-a", RAN, 10), spans_of("edge-b", told((0, 4, ["b"])), 0, cut=6)
    assert at_the_same_time(first + second) == ["edge-a a and edge-b b ran at the same time, for 1.000 s"]
    assert at_the_same_time([*first, (6, 7, "edge-b b")]) == []


@pytest.mark.parametrize("output", ["", told((0, 4, ["b"]))], ids=["nothing", "no end"])
def test_a_watch_that_broke_is_said(output: str) -> None:
    with pytest.raises(AssertionError, match="the watch on edge-b broke"):
        spans_of("edge-b", output, 0)


def test_nothing_seen_at_all_is_said() -> None:
    with pytest.raises(AssertionError, match="not seen running at all"):
        at_the_same_time([])
