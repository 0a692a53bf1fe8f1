"""The page of crash points: what was run, and what was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .table import POWER, Result, write_page

POINTS = (
    "source/first/journal.open/after",
    "target/last/journal.filled/after",
    "target/last/criu.restore/before",
)
FAULTS = ("kill", "drop")


def result(point: str, fault: str, **changed: Any) -> dict[str, Any]:
    made = Result(point, fault, True, False, "source", "", [], 1000, 5.0, 20.0)
    return dict(made._replace(**changed)._asdict(), date="2026-11-30", commit="0123456789")


def page(tmp_path: Path, *results: dict[str, Any]) -> list[str]:
    write_page(tmp_path / "page.md", POINTS, FAULTS, list(results))
    return (tmp_path / "page.md").read_text().splitlines()


def test_a_point_is_a_row_and_a_fault_a_column(tmp_path: Path) -> None:
    lines = page(
        tmp_path,
        result(POINTS[0], "kill"),
        result(POINTS[0], "drop", where="target", resolved="resolve"),
        result(POINTS[1], "kill", faults=["two copies | ran"]),
        result(POINTS[2], "drop", reached=False),
    )
    assert f"| `{POINTS[0]}` | source | target, resolve |" in lines
    assert f"| `{POINTS[1]}` | **violated**: two copies / ran | not run |" in lines
    assert f"| `{POINTS[2]}` | not run | not passed |" in lines
    assert "| kill | 2 of 3 | 2 | 1 | 0 | 0 | 2026-11-30 | 0123456789 |" in lines


def test_power_has_a_table_of_its_own_with_what_was_run(tmp_path: Path) -> None:
    lines = page(
        tmp_path,
        result(POINTS[0], "kill"),
        result(POINTS[1], POWER, resolved="word", answered=2000, seconds=200.0),
        result(POINTS[2], POWER, where="target", answered=4000, seconds=300.0),
    )
    before, after = lines[: lines.index("## Power off and on again")], lines[len(lines) - 8 :]
    assert (
        "1 moves, 1,000 answers to clients. The watch looked every 5.0 ms on average; a case took 20 s."
        in before
    )
    assert "| 2 | 2 | 0 | 0 | 1 | 6,000 | 250 |" in after
    assert f"| `{POINTS[1]}` | source, word | 2026-11-30 | 0123456789 |" in after
    assert f"| `{POINTS[2]}` | target | 2026-11-30 | 0123456789 |" in after
    assert not any(line.startswith(f"| `{POINTS[0]}`") for line in after)
