"""The suite of the tracker `uffd`: many short runs; after each, every page is compared."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "collections/ansible_collections/mec/migration"
sys.path[:0] = [str(ROOT / "collections"), str(COLLECTION / "tests/unit/plugins/module_utils")]

from ansible_collections.mec.migration.plugins.module_utils.kernel import ptrace_child, remote_syscall

from .programs import NAMES

COUNTS = pytest.StashKey[Counter[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runs", type=int, default=200, help="how many runs, over all workloads together")
    parser.addoption("--first-seed", type=int, default=1, help="the first run's; the others count up from it")
    parser.addoption("--slow", action="store_true", help="give threads time to stop: processors are emulated")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COUNTS] = Counter()


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.config.getoption("--slow"):
        monkeypatch.setattr(remote_syscall, "STOP_TIMEOUT_S", 20.0)
        monkeypatch.setattr(ptrace_child, "ANSWER_TIMEOUT_S", 120.0)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "workload" in metafunc.fixturenames:
        first = metafunc.config.getoption("--first-seed")
        runs = [
            (NAMES[number % len(NAMES)], first + number)
            for number in range(metafunc.config.getoption("--runs"))
        ]
        metafunc.parametrize(("workload", "seed"), runs, ids=[f"{name}-{seed}" for name, seed in runs])


@pytest.fixture
def counts(request: pytest.FixtureRequest) -> Counter[str]:
    return request.config.stash[COUNTS]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counts = config.stash[COUNTS]
    terminalreporter.section("pages")
    for name, count in sorted(counts.items()):
        terminalreporter.write_line(f"{count:>12,} {name}")
