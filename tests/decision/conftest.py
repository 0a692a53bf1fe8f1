# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option --trace-dir; without it the tests that need the trace are deselected, with a word why."""

from __future__ import annotations

from pathlib import Path

import pytest

MISSING = (
    "tests on recorded movement were deselected; they need "
    "--trace-dir=<directory that holds cells.csv and trace.npz>, which was not given"
)
_deselected = 0


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--trace-dir``."""
    parser.addoption("--trace-dir", type=Path, help="directory with cells.csv and trace.npz")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what asks for the trace when there is none."""
    global _deselected  # noqa: PLW0603
    if config.getoption("--trace-dir"):
        return
    without = [item for item in items if "trace_dir" in getattr(item, "fixturenames", ())]
    if without:
        _deselected = len(without)
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not run."""
    if _deselected:
        terminalreporter.write_line(f"{_deselected} {MISSING}", yellow=True)


@pytest.fixture(scope="session")
def trace_dir(request: pytest.FixtureRequest) -> Path:
    """The directory with the cell table and the trace."""
    place: Path = request.config.getoption("--trace-dir")
    for name in ("cells.csv", "trace.npz"):
        if not (place / name).is_file():
            pytest.fail(f"--trace-dir {place}: no {name} there")
    return place
