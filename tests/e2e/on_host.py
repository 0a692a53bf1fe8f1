"""Runs on an edge host during a test: watches who runs there, and does things at the right moment.

on_host.py watch                     a JSON line whenever the set of running containers changes
on_host.py when CONDITION COMMAND S  waits for the condition, S seconds at most, then runs the command, which
                                     may name the processes $HANDOVER and $RECEIVER
on_host.py clock                     the time on CLOCK_MONOTONIC for every line
on_host.py pid handover|receiver     the process of the migration that runs here
"""

from __future__ import annotations

import glob
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable

POLL_S = 0.01
JOURNALS = "/var/lib/mec-migration"
RUN = "/run/mec-migration"
SIGKILL_PENDING = 1 << 8
# Processes of the container's cgroup that are not yet, or not, the service's own.
TOOLS = ("criu", "runc", "runc:[1:CHILD]", "runc:[2:INIT]")
ROLES = ("handover", "receiver")
# The restore waits here, in the container's cgroup, before it becomes CRIU, and what CRIU calls.
GATE = ("/gate/criu", "/criu_gate.py", "/criu_actions", "/fill_system_v.py")


def cgroups() -> list[str]:
    """The cgroup directory of every container."""
    v1 = os.path.isdir("/sys/fs/cgroup/freezer")
    return glob.glob("/sys/fs/cgroup/" + ("freezer/" if v1 else "") + "docker/*/")


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def is_frozen(cgroup: str) -> bool:
    return read(cgroup + "freezer.state").strip() == "FROZEN" or "frozen 1" in read(cgroup + "cgroup.events")


def executes(pid: str) -> bool:
    """Whether the process runs the service's code: not dying, not held by CRIU, no tool."""
    fields = dict(line.split(":\t", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    if not fields or fields["Name"] in TOOLS or fields["State"][0] in "tZX":
        return False
    words = read(f"/proc/{pid}/cmdline")
    # None: it is on its way out, or into another program.
    if not words or any(word.endswith(GATE) for word in words.split("\0")):
        return False
    pending = int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)
    return not pending & SIGKILL_PENDING


def running() -> list[str]:
    """Containers of which at least one process runs."""
    found = []
    for cgroup in cgroups():
        # In this order: what is killed gets its signal before it is thawed.
        if is_frozen(cgroup):
            continue
        if any(executes(pid) for pid in read(cgroup + "cgroup.procs").split()):
            found.append(cgroup.rstrip("/").rsplit("/", 1)[1][:12])
    return sorted(found)


def watch() -> None:
    """Until the standard input ends."""
    last: list[str] | None = None
    seen = time.monotonic()
    while True:
        now = time.monotonic()
        current = running()
        if current != last:
            print(json.dumps({"until": seen, "from": now, "running": current}), flush=True)
            last = current
        seen = now
        if select.select([sys.stdin], [], [], max(POLL_S, 9 * (time.monotonic() - now)))[0]:
            break
    print(json.dumps({"until": seen, "from": seen, "running": []}), flush=True)


def journal(side: str, state: str) -> bool:
    return any(f'"state": "{state}"' in read(path) for path in glob.glob(f"{JOURNALS}/*.{side}.json"))


def frozen() -> bool:
    return any(is_frozen(cgroup) for cgroup in cgroups())


def memory_round(number: str, directory: str = RUN) -> bool:
    """On the target: this round has begun to arrive."""
    return bool(glob.glob(f"{directory}/*/images/{number}/pages-*"))


def gate() -> bool:
    """On the target: the restore waits for its word, and goes no further once it is stopped."""
    waits = any(GATE[1] in read(path) for path in glob.glob("/proc/[0-9]*/cmdline"))
    return waits and not glob.glob(f"{RUN}/*/restore/gate.sock")


def sending() -> bool:
    """On the source: it is in the middle of the first round."""
    return bool(glob.glob(f"{RUN}/*/memory-*"))


CONDITIONS: dict[str, Callable[..., bool]] = {
    "journal": journal,
    "frozen": frozen,
    "round": memory_round,
    "gate": gate,
    "sending": sending,
}


def when(condition: str, command: str, timeout_s: float) -> int:
    name, *arguments = condition.split(":")
    end = time.monotonic() + timeout_s
    print("waiting", flush=True)
    looked = time.monotonic()
    while not CONDITIONS[name](*arguments):
        if time.monotonic() > end:
            print(f"{condition} never came", flush=True)
            return 3
        # Where looking is slow it leaves some of the processor to the migration.
        time.sleep(max(0.002, 2 * (time.monotonic() - looked)))
        looked = time.monotonic()
    # Found here and not by the command: a start of Python takes seconds on a host that is emulated.
    named = {role.upper(): str(find(role)) for role in ROLES if f"${role.upper()}" in command}
    environment = {**os.environ, **named}
    done = subprocess.run(
        ["bash", "-ec", command], env=environment, capture_output=True, text=True, check=False
    )
    print(f"{condition}: {done.returncode} {done.stdout}{done.stderr}", flush=True)
    return done.returncode


def holders(wanted: Callable[[str], bool]) -> set[int]:
    """Processes that have a file open whose link is *wanted*."""
    found = set()
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if wanted(os.readlink(link)):
                found.add(int(link.split("/")[2]))
        except OSError:
            continue
    return found


def find(role: str) -> int | None:
    """The process of the handover (its guard is a child of it), or of the receiver."""
    if role == "handover":
        pids = holders(lambda link: link.startswith(RUN) and "/memory-" in link)
    else:
        inodes = [
            line.split()[6] for line in read("/proc/net/unix").splitlines() if line.endswith("/control.sock")
        ]
        pids = holders(lambda link: link in [f"socket:[{inode}]" for inode in inodes])
    for one in sorted(pids):
        parent = int(read(f"/proc/{one}/stat").rsplit(")", 1)[1].split()[1])
        if parent not in pids:
            return one
    return None


def pid(role: str) -> int:
    found = find(role)
    if found is None:
        print(f"no {role} runs here", file=sys.stderr)
        return 1
    print(found)
    return 0


def main() -> int:
    command, *arguments = sys.argv[1:]
    if command == "watch":
        watch()
        return 0
    if command == "clock":
        for _line in iter(sys.stdin.readline, ""):
            print(time.monotonic(), flush=True)
        return 0
    return when(arguments[0], arguments[1], float(arguments[2])) if command == "when" else pid(arguments[0])


if __name__ == "__main__":
    sys.exit(main())
