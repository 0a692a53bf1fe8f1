"""What a service may hold is there after the move. What cannot move: unit tests of the inventory."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from .conftest import StartService
from .edge import Host, Lab, wait_for

HERE = Path(__file__).parent
RUN = "import base64, os; exec(base64.b64decode(os.environ['PROGRAM']))"


@pytest.mark.parametrize("program", ["holder.py", "sharer.py"])
def test_what_a_service_holds_is_there_after_the_move(
    lab: Lab, source: Host, target: Host, start: StartService, program: str
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
        lab.move("holder", target)
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


def test_a_privileged_container_moves(lab: Lab, source: Host, target: Host, start: StartService) -> None:
    start("load", source, "--privileged", MEMORY_MIB="16", DIRTY_PAGES="1")
    looks = ["grep CapEff /proc/1/status", "ls /dev"]
    before = [source.docker("exec", "load", *look.split()) for look in looks]
    lab.move("load", target)
    assert target.inspect("load")["HostConfig"]["Privileged"] is True
    assert [target.docker("exec", "load", *look.split()) for look in looks] == before
