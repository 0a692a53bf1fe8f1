"""Which cases a commit chooses, and when two copies are two."""

from __future__ import annotations

from .run import chosen
from .table import Result, cell
from .watch import twice

POINTS = [f"source/first/call-{number}/before" for number in range(100)]


def test_all_cases_run_where_no_sample_is_asked_for():
    assert len(chosen(POINTS, ["kill", "error"], 0, "abc")) == 200


def test_a_commit_chooses_the_same_cases_each_time_and_another_one_others():
    once, again = (chosen(POINTS, ["kill", "error"], 8, "abc") for _ in range(2))
    assert once == again
    assert len(set(once)) == 8
    assert set(once) != set(chosen(POINTS, ["kill", "error"], 8, "abd"))


def test_the_same_program_in_two_containers_is_two_copies():
    assert twice([["redis-server a1"], ["redis-server b2"]])
    assert twice([["redis-server a1", "redis-server a2"], []])
    assert not twice([["redis-server a1"], ["python3 b2"]])
    assert not twice([[], []])


def test_a_cell_says_what_was_not_run_and_what_was_violated():
    result = Result("p", "kill", True, False, "source", "", [], 100, 5.0, 20.0)
    assert cell(None) == "not run"
    assert cell(result._asdict()) == "source"
    assert cell(result._replace(resolved="resolve")._asdict()) == "source, resolve"
    assert cell(result._replace(reached=False)._asdict()) == "not passed"
    assert cell(result._replace(faults=["two copies ran"])._asdict()) == "**violated**: two copies ran"
