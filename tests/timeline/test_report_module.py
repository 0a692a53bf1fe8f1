"""The module that sums up a migration, in a real play: what it shows, writes, and tells the caller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .conftest import recorded
from .test_module import play_module


def results(**changes: Any) -> dict[str, Any]:
    """What the role registered of a recorded migration."""
    report = recorded("single")["rounds"][0]["moves"][0]["report"]
    told = ("stop_reason", "tracker", "tracker_reason", "window")
    place = [phase["phase"] for phase in report["phases"]].index("hand over")

    def timed(phases: list[dict[str, Any]]) -> dict[str, Any]:
        return {"begun": phases[0]["started"], "ended": phases[-1]["ended"], "phases": phases}

    return {
        **{
            name: report[name] for name in ("service", "source", "target", "migration_id", "started", "ended")
        },
        "image": {"sent_bytes": report["image_bytes"]},
        "precopy": {
            **{name: report[name] for name in ("rounds", "memory_bytes", "bandwidth_bytes_per_s")},
            **timed(report["phases"][:place]),
        },
        "handover": {
            **{"rounds": [], "sent_bytes": 1000},
            **{name: report[name] for name in told},
            **timed(report["phases"][place:]),
        },
        **changes,
    }


def sum_up(directory: Path, *options: str, **task: Any) -> tuple[int, str, dict[str, Any]]:
    return play_module(directory, "migration_report", task, *options)


def test_one_task_shows_writes_and_tells(tmp_path: Path) -> None:
    reports, costs = tmp_path / "reports", tmp_path / "reports" / "costs.jsonl"
    given = results()
    task = {"results": given, "report_dir": str(reports), "costs_file": str(costs)}
    code, output, told = sum_up(tmp_path, "--check", **task)
    assert (code, told["changed"], reports.exists()) == (0, True, False), output

    code, output, told = sum_up(tmp_path, **task)
    assert (code, told["changed"], "warnings" in told) == (0, True, False)
    assert f"    {told['lines'][0]}\n" in output
    name = given["migration_id"]
    assert sorted(path.name for path in reports.iterdir()) == ["costs.jsonl", f"{name}.html", f"{name}.json"]
    assert json.loads((reports / f"{name}.json").read_text()) == told["json"]
    assert f"{name}.json" in (reports / f"{name}.html").read_text()
    assert json.loads(costs.read_text())["seconds"] == told["json"]["total_seconds"]
    (moved,) = told["ansible_stats"]["data"]["mec_migrations"]
    assert moved["frozen_ms"] == told["json"]["frozen_ms"]

    _code, _output, told = sum_up(tmp_path, results=given, report_dir=str(reports))
    assert not told["changed"]


def test_nothing_is_written_where_nobody_wants_it(tmp_path: Path) -> None:
    before = {"hosts.json", "play.json", "result.json"}
    code, output, told = sum_up(tmp_path, results=results())
    assert (code, told["changed"]) == (0, False), output
    assert {path.name for path in tmp_path.iterdir()} == before


def test_what_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    task = {"report_dir": str(tmp_path / "file" / "reports"), "costs_file": str(tmp_path / "file" / "costs")}
    code, output, told = sum_up(tmp_path, results=results(), **task)
    assert code == 0, output
    service = told["json"]["service"]
    assert [words.split(":")[0] for words in told["warnings"]] == [
        f"{service} has moved, but there is no page about it",
        f"{service} has moved, but what it cost was not written down",
    ]


def test_of_a_failed_migration_there_is_a_page_alone(tmp_path: Path) -> None:
    reports, costs = tmp_path / "reports", tmp_path / "costs.jsonl"
    given = results(failed_task="Freeze", handover={})
    task = {"report_dir": str(reports), "costs_file": str(costs), "why": "Freeze failed: the disk is full"}
    code, output, told = sum_up(tmp_path, results=given, **task)
    assert code == 0, output
    assert (told["lines"], "warnings" in told, "ansible_stats" in told) == ([], False, False)
    (page,) = reports.iterdir()
    assert "the disk is full" in page.read_text()
    assert not costs.exists()


def test_results_that_are_none_are_refused(tmp_path: Path) -> None:
    code, output, _told = sum_up(tmp_path, results={"service": "redis"})
    assert code != 0
    assert "results lack or hold a wrong" in output
