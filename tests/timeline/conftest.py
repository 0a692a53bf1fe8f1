"""A browser for all tests, pages from records that real runs left (runs/*.json)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mec.migration.plugins.plugin_utils.report.run_report import check
from ansible_collections.mec.migration.plugins.plugin_utils.report.timeline_page import page

from .browser import Browser

RUNS = Path(__file__).with_name("runs")
Write = Callable[[dict[str, Any]], Path]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with Browser() as one:
        yield one


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the page of a record to a file."""

    def made(record: dict[str, Any]) -> Path:
        path = tmp_path / "run.html"
        path.write_text(page(check(record), "run.json"), encoding="utf-8")
        return path

    return made


def recorded(name: str) -> dict[str, Any]:
    """The record of a real run."""
    found: dict[str, Any] = json.loads((RUNS / f"{name}.json").read_text(encoding="utf-8"))
    return found
