"""Options and fixtures that several directories of tests share: a testbed, a recorded trace."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.edge import ROOT, Lab, Patience, catalogue

MISSING = (
    "tests on recorded movement were deselected; they need "
    "--trace-dir=<directory that holds cells.csv and trace.npz>, which was not given"
)
_deselected = 0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--inventory",
        default=os.environ.get("E2E_INVENTORY", "inventories/lab"),
        help="directory of the testbed's inventory",
    )
    parser.addoption(
        "--prepared", action="store_true", help="the hosts are ready and have the images: do not look again"
    )
    parser.addoption(
        "--services",
        default="redis,web,load",
        help="demo services that the first host gets the images of, comma-separated",
    )
    parser.addoption(
        "--patience",
        type=float,
        default=1.0,
        help="how many times as long as usual everything may take: hosts that are emulated are slow",
    )
    parser.addoption(
        "--huge-pages",
        choices=["always", "madvise", "never"],
        help="transparent huge pages on the hosts, which must have kernels of their own",
    )
    parser.addoption("--trace-dir", type=Path, help="directory with cells.csv and trace.npz")


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The testbed, ready for migrations, with the demo services' images on its first host."""
    Patience.factor = request.config.getoption("--patience")
    # Sockets of SSH have short names only in a short directory.
    with tempfile.TemporaryDirectory(prefix="e2e-") as scratch:
        found = Lab(ROOT / request.config.getoption("--inventory"), Path(scratch))
        for host in found.hosts[:2]:
            host.wipe(list(catalogue()))
            if request.config.getoption("--huge-pages"):
                host.set_huge_pages(request.config.getoption("--huge-pages"))
        if not request.config.getoption("--prepared"):
            found.play("prepare").ok()
            for service in request.config.getoption("--services").split(","):
                found.play("deploy", service=service, target=found.hosts[0].name).ok()
                found.hosts[0].docker("rm", "--force", "--volumes", service)
        yield found


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what asks for the trace when there is none."""
    global _deselected  # noqa: PLW0603
    if config.getoption("--trace-dir"):
        return
    # Unit tests of the collection may have a fixture of this name of their own.
    here = Path(__file__).parent
    without = [
        item
        for item in items
        if "trace_dir" in getattr(item, "fixturenames", ()) and item.path.is_relative_to(here)
    ]
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
