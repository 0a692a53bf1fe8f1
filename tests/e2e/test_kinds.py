"""What a service may hold is there after the move. What cannot move: unit tests of the inventory."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run, StartService
from .edge import Host, Lab, wait_for

HERE = Path(__file__).parent


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
    lab: Lab, source: Host, target: Host, run: Run, program: str, how: dict[str, Any]
) -> None:
    parts = [(HERE / name).read_text() for name in (program, "answers.py")]
    run("holder", "\n".join([*parts, "serve(checks)"]))
    wait_for("the holder", lambda: "holds" in source.docker("logs", "holder"))
    lab.move("holder", target, **how)
    target.docker("kill", "--signal", "USR1", "holder")
    said = wait_for("its answer", lambda: json_lines(target, "holder"))[-1]
    assert len(said) > 15
    assert {name: answer for name, answer in said.items() if answer is not True} == {}


@pytest.mark.parametrize("name", ["smart-factory-gateway-mqtt-broker-1", "long-" * 40 + "1"])
def test_a_container_with_a_long_name(lab: Lab, source: Host, target: Host, run: Run, name: str) -> None:
    run(name, "import time\nwhile True: time.sleep(1)")
    lab.move(name, target)
    assert (source.state(name), target.state(name)) == ("absent", "running")


RELEASE = """
import fcntl, os
for path, _directories, names in os.walk("/data"):
    for one in [path, *(os.path.join(path, name) for name in names)]:
        fcntl.ioctl(os.open(one, os.O_RDONLY), 0x40086602, bytes(4))
"""


def test_protected_files_and_marks_move_there_and_back(
    lab: Lab, source: Host, target: Host, run: Run
) -> None:
    parts = [(HERE / name).read_text() for name in ("keeper.py", "answers.py")]
    run(
        "keeper",
        "\n".join([*parts, "serve(checks)"]),
        *("--volume", "keeper:/data", "--cap-add", "LINUX_IMMUTABLE", "--cap-add", "IPC_LOCK"),
    )
    wait_for("the keeper", lambda: "holds" in source.docker("logs", "keeper"))
    here, there = source, target
    try:
        # The third time what was left behind on the target is protected, too.
        for _turn in range(3):
            lab.move("keeper", there)
            there.docker("kill", "--signal", "USR1", "keeper")
            said = wait_for("its answer", lambda: json_lines(there, "keeper"))[-1]  # noqa: B023
            assert said
            assert {name: answer for name, answer in said.items() if answer is not True} == {}
            here, there = there, here
    finally:
        # Else Docker could not remove them. What is protected in its own layer it removes.
        for host in (source, target):
            host.docker(
                *("run", "--rm", "--cap-add", "LINUX_IMMUTABLE", "--volume", "keeper:/data"),
                *("mec-demo/load", "python3", "-c", RELEASE),
                check=False,
            )


def test_what_the_target_has_mounted_below_a_bind_mount_stays(
    lab: Lab, source: Host, target: Host, start: StartService
) -> None:
    there, below = "/run/mec-e2e-bind", "/run/mec-e2e-bind/below"
    try:
        for host in (source, target):
            # Shared, as systemd makes all mounts of a host.
            host.run(f"mkdir -p {below} && mount --bind {there} {there} && mount --make-shared {there}")
            host.run(f"mount -t tmpfs below {below} && touch {below}/kept")
        start("load", source, "--volume", f"{there}:/bound", MEMORY_MIB="16", DIRTY_PAGES="1")
        lab.move("load", target)
        assert target.run(f"ls {below}") == "kept\n"
        assert target.docker("exec", "load", "ls", "/bound/below") == "kept"
    finally:
        for host in (source, target):
            host.docker("rm", "--force", "load", check=False)
            host.run(f"umount {below} {there}; rm -r {there}", check=False)


def test_large_files_that_are_written_all_the_time(lab: Lab, source: Host, target: Host, run: Run) -> None:
    run("database", (HERE / "database.py").read_text(), "--volume", "database:/data")
    wait_for("the database", lambda: "writes" in source.docker("logs", "database"))
    for answers, host in enumerate((target, source), start=1):
        report = lab.move("database", host)
        assert report["frozen_bytes"] < 8 << 20
        host.docker("kill", "--signal", "USR1", "database")
        said = wait_for("its answer", lambda: json_lines(host, "database")[answers - 1 :])  # noqa: B023
        assert len(said[-1]) == 7
        assert {name: pages for name, pages in said[-1].items() if pages} == {}


def json_lines(host: Host, container: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in host.docker("logs", container).splitlines() if "{" in line]


def test_a_privileged_container_moves(lab: Lab, source: Host, target: Host, start: StartService) -> None:
    start("load", source, "--privileged", MEMORY_MIB="16", DIRTY_PAGES="1")
    looks = ["grep CapEff /proc/1/status", "ls /dev"]
    before = [source.docker("exec", "load", *look.split()) for look in looks]
    lab.move("load", target)
    assert target.inspect("load")["HostConfig"]["Privileged"] is True
    assert [target.docker("exec", "load", *look.split()) for look in looks] == before


# A line is one write: of a line that a move cuts Docker keeps two entries, which --tail counts as two.
TALK = """
import itertools, os, time
for number in itertools.count():
    os.write(1, b"%d\\n" % number)
    time.sleep(0.02 if number > 2000 else 0)
"""
# A file is full after some seconds, so that Docker begins others during a move and after it.
FILES = ("max-size=20k", "max-file=20")


@pytest.mark.parametrize(
    "driver",
    [
        ("json-file",),
        ("json-file", "max-size=1m"),
        ("json-file", "max-size=200k", "max-file=2"),
        ("json-file", "compress=true", *FILES),
        ("local", *FILES),
    ],
    ids=" ".join,
)
def test_docker_logs_go_on(driver: tuple[str, ...], lab: Lab, source: Host, target: Host, run: Run) -> None:
    options = [word for each in driver[1:] for word in ("--log-opt", each)]
    run("talker", TALK, "--log-driver", driver[0], *options)
    here, there = source, target
    wait_for("some lines", lambda: numbers(source)[-1:] > [2000])
    for _turn in range(2):
        before = numbers(here)
        lab.move("talker", there)
        wait_for("lines there", lambda: numbers(there)[-1] > before[-1] + 100)  # noqa: B023
        after = numbers(there)
        # Of files that are full Docker keeps a few, here as there; one holds more than 200 lines.
        kept_from = max(before[-1], after[-1] - 200)
        assert after[0] == before[0] or ("max-file" in str(driver) and after[0] <= kept_from)
        assert [pair for pair in itertools.pairwise(after) if pair[1] != pair[0] + 1] == []
        assert len(numbers(there, "--tail", "70")) == 70
        here, there = there, here


def numbers(host: Host, *options: str) -> list[int]:
    return [int(line) for line in host.docker("logs", *options, "talker").split()]


HALF = """
import os, signal
os.write(1, b"one\\nha")
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"lf\\nend\\n"))
while True:
    signal.pause()
"""


@pytest.mark.parametrize("options", [(), ("--log-opt", "max-size=1m", "--log-opt", "max-file=3")])
def test_a_line_that_a_move_cuts(
    options: tuple[str, ...], lab: Lab, source: Host, target: Host, run: Run
) -> None:
    run("talker", HALF, *options)
    wait_for("a line", lambda: "one" in source.docker("logs", "talker"))
    lab.move("talker", target)
    target.docker("kill", "--signal", "USR1", "talker")
    wait_for("the end", lambda: "end" in target.docker("logs", "talker"))
    assert target.docker("logs", "talker") == "one\nhalf\nend"


# Its health check is connected for most of the time, and each of them shares one lock with the service.
ASKED = """
import os, socket, threading
server = socket.socket(socket.AF_UNIX)
server.bind("/asked")
server.listen()
while True:
    asked, _ = server.accept()
    asked.sendall(asked.recv(9) and str(os.getpid()).encode())
    asked.close()
"""
ASK = """
import socket, time
asker = socket.socket(socket.AF_UNIX)
asker.connect("/asked")
time.sleep(0.6)
asker.sendall(b"?")
raise SystemExit(asker.recv(9) != b"1")
"""


def test_a_service_moves_between_two_health_checks(lab: Lab, source: Host, target: Host, run: Run) -> None:
    """Of a check's UNIX connection CRIU could not dump the service's end alone."""
    check = f"python3 -c 'exec(bytes.fromhex(\"{ASK.encode().hex()}\"))'"
    run("asked", ASKED, "--health-cmd", check, "--health-interval", "0.5s")

    def healthy(host: Host) -> bool:
        return bool(host.inspect("asked")["State"]["Health"]["Status"] == "healthy")

    here, there = source, target
    for _turn in range(3):
        wait_for("a check", lambda: healthy(here))  # noqa: B023
        lab.move("asked", there)
        here, there = there, here
    wait_for("a check after the last move", lambda: healthy(here))


# It writes a file through its memory, and then another one to say so.
MAPS = """
import mmap, os, struct, time
file, said = (os.open(f"/data/{name}", os.O_RDWR | os.O_CREAT) for name in ("file", "said"))
os.ftruncate(file, 1 << 16)
mapped = mmap.mmap(file, 1 << 16)
count = 0
while True:
    count += 1
    mapped[40960:40968] = struct.pack("q", count)
    os.pwrite(said, struct.pack("q", count), 0)
    time.sleep(0.01)
"""
LOOK = """
import os, struct
for name, place in (("file", 40960), ("said", 0)):
    print(*struct.unpack("q", os.pread(os.open("/data/" + name, 0), 8, place)))
"""


def test_what_docker_exec_writes_to_a_mapped_file(lab: Lab, source: Host, target: Host, run: Run) -> None:
    """The process does not move, but its last words do; the times of the file do not tell of them."""
    run("mapper", "import time; time.sleep(1e6)", "--volume", "mapper:/data")
    source.docker("exec", "--detach", "mapper", "python3", "-c", MAPS)
    wait_for("some words", lambda: source.docker("exec", "mapper", "python3", "-c", LOOK) > "1")
    lab.move("mapper", target)
    written, said = map(int, target.docker("exec", "mapper", "python3", "-c", LOOK).split())
    assert said <= written <= said + 1
