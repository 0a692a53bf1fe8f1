"""Fixtures of the end-to-end tests: real edge hosts, real CRIU, clients that check every answer."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from .edge import COLLECTION, Client, Host, Lab, Service, Watch, docker_run

LEFT_BY_TOOLS = (
    *(
        ".mypy_cache/a.json",
        ".pytest_cache/b",
        "plugins/.ruff_cache/c",
        "roles/__pycache__/d",
        ".hypothesis/g",
    ),
    *("tests/output/e", "mec-migration-0.0.1.tar.gz"),
)
StartService = Callable[..., None]
Serve = Callable[..., Service]
Run = Callable[..., None]
RUN = "import base64, os; exec(base64.b64decode(os.environ['PROGRAM']))"


OTHER_TESTBEDS = ("arm64", "docker28", "hooks", "kernels", "operators", "services", "store", "vm")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "arm64: needs hosts with arm64 processors (testbed_processor=arm64)")
    config.addinivalue_line("markers", "docker28: needs a testbed with Docker 28 (testbed_suite=forky)")
    config.addinivalue_line("markers", "hooks: needs nginx and Knot DNS on this machine (make hooks)")
    config.addinivalue_line("markers", "kernels: needs hosts of two kernels (make e2e-kernels)")
    config.addinivalue_line(
        "markers", "operators: needs a testbed of three hosts, and two hours (make operators)"
    )
    config.addinivalue_line("markers", "services: needs an image of many services (make services)")
    config.addinivalue_line(
        "markers", "store: needs hosts with containerd's image store (testbed_image_store=...,containerd)"
    )
    config.addinivalue_line("markers", "vm: needs a testbed of virtual machines (testbed_kind=vm)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that need another testbed or parts of their own run where -m asks for them, by their marker."""
    asked = config.getoption("-m")
    others = [
        item
        for item in items
        if (marked := {mark for mark in OTHER_TESTBEDS if item.get_closest_marker(mark)})
        and not any(mark in asked for mark in marked)
    ]
    items[:] = [item for item in items if item not in others]
    config.hook.pytest_deselected(items=others)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know whether the test failed."""
    report = yield
    item.stash[OUTCOME] = item.stash.get(OUTCOME, True) and report.passed
    return report


OUTCOME = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as it is published, from a tree with what developers leave in it."""
    place = tmp_path_factory.mktemp("build")
    tree = place / "tree"
    shutil.copytree(COLLECTION, tree)
    for left in LEFT_BY_TOOLS:
        (tree / left).parent.mkdir(parents=True, exist_ok=True)
        (tree / left).write_text("left\n")
    command = [
        str(Path(sys.executable).with_name("ansible-galaxy")),
        "collection",
        "build",
        str(tree),
        "--output-path",
        str(place),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = place.glob("*.tar.gz")
    return built


@pytest.fixture
def source(lab: Lab) -> Host:
    return lab.hosts[0]


@pytest.fixture
def target(lab: Lab) -> Host:
    return lab.hosts[1]


@pytest.fixture
def start(lab: Lab, request: pytest.FixtureRequest) -> Iterator[StartService]:
    """Start a demo service on a host. Afterwards both hosts are empty again, and must have been clean."""
    started: list[str] = []

    def run(service: str, host: Host, *options: str, **env: str) -> None:
        started.append(service)
        host.docker(*docker_run(service, list(options), env))

    yield run
    hosts = lab.hosts[:2]
    left = {host.name: host.leftovers() for host in hosts}
    for host in hosts:
        host.wipe(started)
    # A test that failed has told already; its leftovers are no news.
    if request.node.stash.get(OUTCOME, True):
        assert not any(left.values()), f"the migration left something behind: {left}"


@pytest.fixture
def serve(lab: Lab, start: StartService, tmp_path: Path) -> Iterator[Serve]:
    """Start a demo service on the first host, with a client on it and a watch on who runs."""
    watch = Watch(lab.hosts[:2])
    clients: list[Client] = []

    def run(
        name: str, *, client: list[str] | None = None, docker: list[str] | None = None, **env: str
    ) -> Service:
        start(name, lab.hosts[0], *(docker or []), **env)
        clients.append(Client(lab, name, tmp_path, client or []))
        return Service(name, lab, clients[-1], watch, lab.hosts[0], lab.hosts[1])

    yield run
    for one in clients:
        one.end()
    watch.end()


@pytest.fixture
def run(source: Host, target: Host, start: StartService) -> Iterator[Run]:
    """Starts a Python program in a container on the source; in the end no host has anything of it."""
    names = []

    def begin(name: str, program: str, *options: str) -> None:
        start("load", source)
        image = source.inspect("load")["Config"]["Image"]
        names.append(name)
        encoded = base64.b64encode(program.encode()).decode()
        source.docker(
            *("run", "--detach", "--name", name, *options, "--env", f"PROGRAM={encoded}"),
            *(image, "python3", "-uc", RUN),
        )

    yield begin
    for host in (source, target):
        for name in names:
            host.docker("rm", "--force", "--volumes", name, check=False)
            host.docker("volume", "rm", "--force", name, check=False)
