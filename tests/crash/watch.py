"""Watches from this machine, every few milliseconds, on which hosts of a testbed of containers a copy runs.

As a program: ``watch.py PID...`` of the hosts' first processes; a line for every change, and one for every
moment in which two copies were seen, until its input ends.
"""

from __future__ import annotations

import glob
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from e2e.on_host import executes, is_frozen, read

POLL_S = 0.005


def first_process(container: str) -> int:
    """The number, on this machine, of a testbed host's first process."""
    for socket in ("/run/mec-testbed/docker.sock", "/var/run/docker.sock"):
        if os.path.exists(socket):
            words = ["docker", "-H", f"unix://{socket}", "inspect", "-f", "{{.State.Pid}}", container]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return int(done.stdout)
    raise AssertionError(f"{container} is no container on this machine: the watch needs one")


def running(host: int) -> list[str]:
    """Containers of that host of which at least one process executes its own code: its name, and their id.

    The name tells which service it is: that of a program, which is the same wherever a copy of it runs.
    """
    cgroups = f"/proc/{host}/root/sys/fs/cgroup/"
    if os.path.isdir(cgroups + "freezer"):
        cgroups += "freezer/"
    found = []
    for cgroup in glob.glob(cgroups + "docker/*/"):
        # In this order: what is killed gets its signal before it is thawed.
        if is_frozen(cgroup):
            continue
        for pid in read(cgroup + "cgroup.procs").split():
            if executes(pid):
                program = read(f"/proc/{pid}/comm").strip()
                found.append(f"{program} {cgroup.rstrip('/').rsplit('/', 1)[1][:12]}")
                break
    return sorted(found)


def twice(seen: list[list[str]]) -> bool:
    """Whether a program runs in two containers."""
    programs = [one.split()[0] for host in seen for one in host]
    return len(set(programs)) < len(programs)


def look(hosts: list[int]) -> tuple[list[list[str]], bool]:
    """Who runs, and whether two copies do: of what is read one after the other the first is read again."""
    seen = [running(host) for host in hosts]
    if not twice(seen):
        return seen, False
    again = [running(host) for host in hosts]
    return again, twice([sorted(set(one) & set(other)) for one, other in zip(seen, again)])


def main() -> None:
    hosts = [int(word) for word in sys.argv[1:]]
    last: list[list[str]] = []
    looks = 0
    began = time.monotonic()
    while True:
        now = time.time()
        seen, both = look(hosts)
        looks += 1
        if both or seen != last:
            print(json.dumps({"time": now, "running": seen, "twice": both}), flush=True)
            last = seen
        if select.select([sys.stdin], [], [], POLL_S)[0]:
            break
    print(json.dumps({"looks": looks, "seconds": time.monotonic() - began}), flush=True)


class Watch:
    """The program, beside a test."""

    def __init__(self, containers: list[str]) -> None:
        words = [sys.executable, __file__, *(str(first_process(name)) for name in containers)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def give_up(self) -> None:
        """Stop it, whatever it has seen."""
        self._process.kill()
        self._process.wait()

    def end(self) -> tuple[list[dict[str, object]], float]:
        """Stop it: the moments in which two copies ran, and how often it looked, in ms between two looks."""
        output, _ = self._process.communicate(timeout=30)
        lines = [json.loads(line) for line in output.splitlines()]
        assert self._process.returncode == 0, "the watch broke"
        end = lines.pop()
        assert any(any(line["running"]) for line in lines), "the service was not seen running at all"
        return [line for line in lines if line["twice"]], 1000 * end["seconds"] / end["looks"]


if __name__ == "__main__":
    main()
