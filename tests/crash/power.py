"""Power off and on again, at crash points of a move between two virtual machines.

python -m crash.power --inventory inventories/power [--points GLOB] [--results docs/crash-points.jsonl]

The process that comes to the point stops there, and the machine's emulator is killed: what its kernel had not
yet written to the disk is lost. The emulator starts again at once, and the machine boots from what there is.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from ansible_collections.mec.migration.plugins.module_utils.base import crash_points
from e2e.edge import HERE, ON_HOST, ROOT, Host, Lab, Patience, docker_run, wait_for
from e2e.spans import Span, at_the_same_time, spans_of

from .history import Clients
from .run import (
    FAULTS,
    NEEDS_NO_IMAGE,
    RESULTS,
    SERVICE,
    all_points,
    keep_log,
    legal,
    outcome,
    try_all,
)
from .service import Moved, containers_of, start
from .table import POWER, Result, read_results, write_page
from .watch import first_process

# Emulated machines are slow: a whole move takes them minutes, and so does a boot.
PATIENCE = 5.0
BOOT_TIMEOUT_S = 100
TIMEOUTS = {
    "migrate_silence_timeout_s": 20,
    "migrate_answer_timeout_s": 20,
    "migrate_idle_timeout_s": 60,
    "migrate_health_timeout_s": 40,
}


class Machine:
    """A host whose power can be cut: *carrier* is the container on this machine in which it is emulated."""

    def __init__(self, host: Host, carrier: str) -> None:
        self.host = host
        self._carrier = first_process(carrier)

    def _emulator(self) -> int:
        """:raises AssertionError: it does not run."""
        processes = [self._carrier]
        for pid in processes:
            if Path(f"/proc/{pid}/comm").read_text().startswith("qemu-system"):
                return pid
            processes += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        raise AssertionError(f"{self.host.name} has no emulator: it is no virtual machine, or it is off")

    def cut_power(self) -> None:
        """It comes back by itself, after a second, and boots."""
        os.kill(self._emulator(), signal.SIGKILL)
        # What SSH has kept open leads nowhere, and would be waited for.
        *options, user_at_host = self.host.ssh
        subprocess.run([*options, "-O", "exit", user_at_host], capture_output=True, check=False)

    def answers(self) -> bool:
        """Whether it has booted so far that it can be looked at; Docker may not yet run."""
        words = [*self.host.ssh[:-1], "-o", "ConnectTimeout=3", self.host.ssh[-1], "true"]
        try:
            return subprocess.run(words, capture_output=True, check=False, timeout=30).returncode == 0
        except subprocess.TimeoutExpired:
            return False


class Seen:
    """When a copy of the service ran on which host, on this machine's clock; a host may boot meanwhile."""

    def __init__(self, hosts: list[Host]) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._ahead_s = {host.name: host.clock_ahead() for host in hosts}
        self._watches = {host.name: self._start(host) for host in hosts}
        self._spans: list[Span] = []

    @staticmethod
    def _start(host: Host) -> subprocess.Popen[str]:
        return host.spawn(f"python3 {ON_HOST} watch")

    def power_was_cut(self, name: str) -> None:
        """Whatever ran there ended now, and the watch with it."""
        now = time.monotonic()
        self._watches[name].kill()
        self._take(name, cut=now)

    def is_back(self, name: str) -> None:
        """It can be looked at again: by its sshd, which it starts before Docker."""
        host = self._hosts[name]
        host.run(f"cat > {ON_HOST}", stdin=(HERE / "on_host.py").read_text())
        self._watches[name] = self._start(host)
        self._ahead_s[name] = host.clock_ahead()

    def end(self) -> list[str]:
        """The moments in which two copies ran."""
        for name in self._hosts:
            self._take(name)
        return at_the_same_time(self._spans)

    def give_up(self) -> None:
        for process in self._watches.values():
            process.kill()
            process.wait()

    def _take(self, name: str, cut: float | None = None) -> None:
        """What the watch on that host has told since it began.

        :param cut: when its power was, on this machine's clock.
        """
        output, _ = self._watches[name].communicate(timeout=Patience.of(60))
        self._spans += spans_of(name, output, self._ahead_s[name], cut)


class Emulated(Moved):
    """A service on virtual machines, whose processes this machine does not see."""

    def here(self) -> Host | None:
        found = [host for host in self.hosts for _one in host.running()]
        return found[0] if len(found) == 1 else None


class PowerCut:
    """Cuts a machine's power as soon as a process there has stopped at its crash point."""

    def __init__(self, machine: Machine, seen: Seen) -> None:
        self._machine, self._seen = machine, seen
        self.struck = self._over = False
        self._waits = machine.host.spawn(
            f"while [ -e {crash_points.ARMED_FILE} ]; do sleep 0.02; done; echo passed"
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        assert self._waits.stdout is not None
        if self._waits.stdout.readline().strip() != "passed" or self._over:
            return
        self.struck = True
        self._machine.cut_power()
        name = self._machine.host.name
        self._seen.power_was_cut(name)
        wait_for(f"{name} has booted", self._machine.answers, BOOT_TIMEOUT_S)
        self._seen.is_back(name)

    def end(self) -> None:
        """Wait until the machine is back; if the point was not passed, wait no more."""
        if not self.struck:
            # To end ssh here would not do: what it has started there would keep its output open.
            self._over = True
            self._machine.host.run(f"rm -f {crash_points.ARMED_FILE}")
        self._thread.join(Patience.of(BOOT_TIMEOUT_S))
        assert not self._thread.is_alive(), f"{self._machine.host.name} has not come back"
        self._machine.host.heal()


class Harness:
    """A service that goes from one machine to the other and back, each time past a crash point."""

    def __init__(self, service: Emulated, machines: list[Machine], scratch: Path) -> None:
        self.service, self._scratch = service, scratch
        self._machines = {machine.host.name: machine for machine in machines}

    def run(self, point: str, fault: str) -> Result:
        began = time.monotonic()
        service = self.service
        source, target = service.certain(), service.away()
        host = source if point.startswith("source/") else target
        seen = Seen(service.hosts)
        with contextlib.ExitStack() as ends:
            ends.callback(seen.give_up)
            clients = Clients(service.addresses, point, period_s=0.1)
            ends.callback(clients.give_up)
            host.run(f"umask 077; mkdir -p /run/mec-migration; echo {point} stop > {crash_points.ARMED_FILE}")
            cut = PowerCut(self._machines[host.name], seen)
            play = service.move()
            cut.end()
            ended = service.end_it(play, [])
            faults = service.faults(ended) + legal(clients.stop(Patience.of(20)), ended) + seen.end()
        result = outcome((point, fault), cut.struck, target, ended, faults, clients.answered, 0.0, began)
        keep_log(self._scratch, result, ended)
        return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--inventory", type=Path, default=Path("inventories/power"))
    parser.add_argument("--points", default="*", help="shell pattern of their names, or several with commas")
    parser.add_argument("--minutes", type=float, default=0, help="begin no more after so long")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, help="write docs/crash-points.md anew from all results")
    parser.add_argument("--again", action="store_true", help="also what the results have already")
    arguments = parser.parse_args()
    Patience.factor = PATIENCE
    scratch = ROOT / "reports/crash"
    scratch.mkdir(parents=True, exist_ok=True)
    # In the order of the patterns, so that a run that ends in time has had the first ones.
    points = [
        point
        for pattern in arguments.points.split(",")
        for point in crash_points.points()
        if fnmatch.fnmatchcase(point, pattern) and not any(word in point for word in NEEDS_NO_IMAGE)
    ]
    done = {one["point"] for one in read_results(arguments.results) if one["fault"] == POWER}
    points = [point for point in dict.fromkeys(points) if arguments.again or point not in done]
    cases = [(point, POWER) for point in points]
    with tempfile.TemporaryDirectory(prefix="power-") as short:
        lab = Lab(ROOT / arguments.inventory, Path(short))
        containers = containers_of(ROOT / arguments.inventory)
        machines = [Machine(host, carrier) for host, carrier in zip(lab.hosts, containers)]
        # What it has acknowledged must be on its disk: else it would be lost without any move.
        run = [*docker_run(SERVICE, [], {}), "--appendfsync", "always"]
        service = Emulated(lab, containers, SERVICE, "redis", run)
        service.options = {name: str(seconds) for name, seconds in TIMEOUTS.items()}
        # With soft-dirty, which these kernels have, each round freezes, and the last stage would begin there.
        service.options["migrate_tracker"] = "compare"
        start([service])
        harness = Harness(service, machines, scratch)
        broken = try_all(cases, harness.run, service, arguments.results, arguments.minutes)
        for host in service.hosts:
            host.wipe([SERVICE])
    if arguments.page:
        write_page(arguments.page, all_points(), FAULTS, read_results(arguments.results))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
