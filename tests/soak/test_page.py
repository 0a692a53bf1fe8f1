"""What the page says of moves, and which rows of the database are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .load import Rows
from .page import Counted, Move, Record, write_page


def move(**differs: Any) -> Move:
    usual: dict[str, Any] = {
        "number": 1,
        "service": "web",
        "way": "edge-a to edge-c",
        "fault": "AgentKilled",
        "detail": "on edge-a",
        "struck": True,
        "moved": True,
        "resolved": "",
        "wrong": [],
        "double": 0,
        "answered": {"web": 100, "postgresql": 20},
        "seconds": 8.0,
    }
    return Move(**{**usual, **differs})


def page(tmp_path: Path, *runs: tuple[list[Move], list[int]]) -> str:
    record = Record(tmp_path / "soak.jsonl")
    for seed, (moves, series) in enumerate(runs):
        record.begin(seed, "none", "2026-11-29")
        for number, found in enumerate(series):
            record.count(Counted(100 * number, {"files": found}))
        for one in moves:
            record.move(one)
    write_page(tmp_path / "soak.md", record.runs())
    return (tmp_path / "soak.md").read_text()


def test_the_page_tells_which_faults_came_to_something(tmp_path):
    told = page(tmp_path, ([move(), move(struck=False), move(moved=False, resolved="resolve")], [3]))
    assert "| AgentKilled | 3 | 2 | 2 | 1 | 0 | 0 |" in told
    assert "| web | 3 | 2 | 2 | 1 | 0 | 0 |" in told
    assert "| answers to clients of postgresql | 60 |" in told
    assert "What was wrong" not in told


def test_what_was_wrong_is_on_the_page(tmp_path):
    told = page(tmp_path, ([move(wrong=["3 acknowledged rows are lost"], double=2), move()], [3]))
    assert "| moves with lost writes | 1 |" in told
    assert "| moments with two copies | 2 |" in told
    assert "- move 1, web edge-a to edge-c, AgentKilled on edge-a: 3 acknowledged rows are lost" in told


def growth(told: str) -> str:
    (line,) = [line for line in told.splitlines() if line.startswith("| files")]
    return line


@pytest.mark.parametrize(
    ("series", "slope"), [([3, 3, 3], "+0.0"), ([3, 5, 7], "+2.0"), ([9, 8, 7, 6], "-1.0"), ([4], "+0.0")]
)
def test_growth_is_the_slope_of_all_counts(tmp_path, series, slope):
    line = growth(page(tmp_path, ([move()], series)))
    assert line == f"| files | {series[0]} | {series[-1]} | {min(series)} | {max(series)} | {slope} |"


def test_runs_add_up_and_each_begins_where_it_begins(tmp_path):
    told = page(tmp_path, ([move(), move()], [3, 4, 5]), ([move(moved=False)], [50, 51, 52]), ([], [7]))
    assert "| moves | 3 in 0 minutes, 2 runs |" in told
    assert "| 2026-11-29, none, seed 0 | 2 | 2 | 2 | 0 | 0 | 0 |" in told
    assert "| 2026-11-29, none, seed 1 | 1 | 1 | 0 | 0 | 0 | 0 |" in told
    assert growth(told) == "| files | 50 | 52 | 3 | 52 | +1.0 |"


def test_notes_are_kept(tmp_path):
    (tmp_path / "soak.md").write_text("what was\n\n## Notes\n\nby hand\n")
    told = page(tmp_path, ([move()], [3]))
    assert told.endswith("\n\n## Notes\n\nby hand\n")
    assert "what was" not in told


@pytest.mark.parametrize(
    ("order", "lost", "bad"),
    [
        ([0, 1, 2], 0, 0),
        # The one whose answer never came.
        ([0, 1, 2, 3], 0, 0),
        ([0, 1], 1, 0),
        ([0, 2, 1], 0, 1),
        ([0, 1, 2, 7], 0, 1),
    ],
)
def test_rows_that_are_not_as_they_must_be(order, lost, bad):
    rows = Rows("rows")
    rows.order[:] = order
    found = rows.wrong(3, sorted({0, 1, 2} - set(order)))
    assert [len(one) for one in found] == [lost, bad]
