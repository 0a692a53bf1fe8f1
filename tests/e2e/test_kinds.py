"""What a service may hold is there after the move. What cannot move: unit tests of the inventory."""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import StartService
from .edge import Host, Lab, wait_for

HERE = Path(__file__).parent
RUN = "import base64, os; exec(base64.b64decode(os.environ['PROGRAM']))"


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("holder.py", {}),
        ("sharer.py", {}),
        ("sharer.py", {"migrate_memory": "lean"}),
        ("sharer.py", {"migrate_lazy_restore": False}),
    ],
)
def test_what_a_service_holds_is_there_after_the_move(
    lab: Lab, source: Host, target: Host, start: StartService, program: str, how: dict[str, Any]
) -> None:
    start("load", source)
    image = source.inspect("load")["Config"]["Image"]
    program = base64.b64encode((HERE / program).read_bytes()).decode()
    source.docker(
        *("run", "--detach", "--name", "holder", "--env", f"PROGRAM={program}"),
        *(image, "python3", "-uc", RUN),
    )
    try:
        wait_for("the holder", lambda: "holds" in source.docker("logs", "holder"))
        lab.move("holder", target, **how)
        target.docker("kill", "--signal", "USR1", "holder")
        logs = wait_for(
            "its answer", lambda: [x for x in target.docker("logs", "holder").splitlines() if "{" in x]
        )
        said = json.loads(logs[-1])
        assert len(said) > 15
        assert {name: answer for name, answer in said.items() if answer is not True} == {}
    finally:
        for host in (source, target):
            host.docker("rm", "--force", "--volumes", "holder", check=False)


def test_large_files_that_are_written_all_the_time(
    lab: Lab, source: Host, target: Host, start: StartService
) -> None:
    start("load", source)
    image = source.inspect("load")["Config"]["Image"]
    program = base64.b64encode((HERE / "database.py").read_bytes()).decode()
    source.docker(
        *("run", "--detach", "--name", "database", "--volume", "database:/data"),
        *("--env", f"PROGRAM={program}", image, "python3", "-uc", RUN),
    )
    try:
        wait_for("the database", lambda: "writes" in source.docker("logs", "database"))
        for answers, host in enumerate((target, source), start=1):
            report = lab.move("database", host)
            assert report["frozen_bytes"] < 8 << 20
            host.docker("kill", "--signal", "USR1", "database")
            said = wait_for("its answer", lambda: json_lines(host, "database")[answers - 1 :])  # noqa: B023
            assert len(said[-1]) == 7
            assert {name: pages for name, pages in said[-1].items() if pages} == {}
    finally:
        for host in (source, target):
            host.docker("rm", "--force", "--volumes", "database", check=False)
            host.docker("volume", "rm", "--force", "database", check=False)


def json_lines(host: Host, container: str) -> list[dict[str, int]]:
    return [json.loads(line) for line in host.docker("logs", container).splitlines() if "{" in line]


def test_a_privileged_container_moves(lab: Lab, source: Host, target: Host, start: StartService) -> None:
    start("load", source, "--privileged", MEMORY_MIB="16", DIRTY_PAGES="1")
    looks = ["grep CapEff /proc/1/status", "ls /dev"]
    before = [source.docker("exec", "load", *look.split()) for look in looks]
    lab.move("load", target)
    assert target.inspect("load")["HostConfig"]["Privileged"] is True
    assert [target.docker("exec", "load", *look.split()) for look in looks] == before


TALK = """
import itertools, time
for number in itertools.count():
    print(number, flush=True)
    time.sleep(0.02 if number > 2000 else 0)
"""
# A file is full after some seconds, so that Docker begins others during a move and after it.
FILES = ("max-size=20k", "max-file=20")


@pytest.mark.parametrize(
    "driver",
    [("json-file",), ("json-file", *FILES), ("json-file", "compress=true", *FILES), ("local", *FILES)],
    ids=" ".join,
)
def test_docker_logs_go_on(
    driver: tuple[str, ...], lab: Lab, source: Host, target: Host, start: StartService
) -> None:
    start("load", source)
    image = source.inspect("load")["Config"]["Image"]
    options = [word for each in driver[1:] for word in ("--log-opt", each)]
    source.docker(
        *("run", "--detach", "--name", "talker", "--log-driver", driver[0], *options),
        *(image, "python3", "-uc", TALK),
    )
    here, there = source, target
    try:
        wait_for("some lines", lambda: numbers(source)[-1:] > [2000])
        for _turn in range(2):
            before = numbers(here)
            lab.move("talker", there)
            wait_for("lines there", lambda: numbers(there)[-1] > before[-1] + 100)  # noqa: B023
            after = numbers(there)
            # Of files that are full Docker keeps a few, here as there.
            assert after[0] == before[0] or (options and after[0] <= before[-1])
            assert [pair for pair in itertools.pairwise(after) if pair[1] != pair[0] + 1] == []
            here, there = there, here
    finally:
        for host in (source, target):
            host.docker("rm", "--force", "talker", check=False)


def numbers(host: Host) -> list[int]:
    return [int(line) for line in host.docker("logs", "talker").split()]
