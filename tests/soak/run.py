"""Services go round two hosts under load while a nemesis picks faults at random; writes what came of it.

python -m soak.run --inventory inventories/crash --moves 1000 [--seed N] [--page docs/soak.md]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.mec.migration.plugins.module_utils.base import crash_points
from crash.history import Clients
from crash.run import commit, legal
from crash.service import Ended, Moved, containers_of, start
from crash.watch import Watch
from e2e.edge import ON_HOST, ROOT, Client, Host, Lab, Play, kill_group

from .page import Move, write_page

REDIS, WEB = "redis-aof", "web"
LIVE_RESTORE = """python3 - <<'END'
import json
path = "/etc/docker/daemon.json"
kept = json.load(open(path))
kept["live-restore"] = {on}
open(path, "w").write(json.dumps(kept, indent=4))
END
pkill -HUP -x dockerd; sleep 1"""
# What is counted on each host before and after: whatever grows with every move is a leak.
COUNT = """
for name in dockerd containerd; do
  pid=$(pgrep -xo $name)
  echo "$name KiB $(awk '/^VmRSS/ {print $2}' /proc/$pid/status)"
  echo "$name descriptors $(ls /proc/$pid/fd | wc -l)"
done
echo "processes $(ls -d /proc/[0-9]* | wc -l)"
echo "files $(find /run/mec-migration /var/lib/mec-migration /var/lib/docker/tmp -type f | wc -l)"
echo "mounts $(wc -l < /proc/self/mountinfo)"
echo "networks $(docker network ls -q | wc -l)"
echo "volumes $(docker volume ls -q | wc -l)"
echo "containers $(docker ps -aq | wc -l)"
echo "layers $(ls /var/lib/docker/overlay2 2>/dev/null | wc -l)"
"""


def count(hosts: list[Host]) -> dict[str, int]:
    """Both hosts together."""
    found: Counter[str] = Counter()
    for host in hosts:
        for line in host.run(COUNT).splitlines():
            what, _space, number = line.rpartition(" ")
            found[what] += int(number)
    return dict(found)


class Scene(NamedTuple):
    """One move that a fault may strike."""

    service: Moved
    source: Host
    target: Host
    dice: random.Random


class Fault:
    """Comes once after the move was started; :meth:`heal` undoes what is left of it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.after_s = scene.dice.uniform(0, 10)
        # Whether it came before the move was over.
        self.struck = False
        self.host = scene.dice.choice([scene.source, scene.target])
        self.second: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        """Before the move."""

    def strike(self, controller: subprocess.Popen[str]) -> None:
        """*after_s* seconds after its start."""

    def heal(self) -> None:
        """After the move."""

    def name(self) -> str:
        return type(self).__name__


class NoFault(Fault):
    """The move is left alone."""


class AgentKilled(Fault):
    """An agent, at any moment of its life."""

    def strike(self, controller: subprocess.Popen[str]) -> None:
        role = "handover" if self.host is self.scene.source else "receiver"
        killed = self.host.run(f"pid=$(python3 {ON_HOST} pid {role}) && kill -9 $pid && echo it", check=False)
        self.struck = "it" in killed.splitlines()


class AgentKilledAtAPoint(Fault):
    """An agent, at one of the crash points."""

    fault = crash_points.KILL

    def prepare(self) -> None:
        side = "source" if self.host is self.scene.source else "target"
        points = [point for point in crash_points.points() if point.startswith(side)]
        self.point = self.scene.dice.choice(points)
        self.host.run(f"umask 077; echo {self.point} {self.fault} > {crash_points.ARMED_FILE}")

    def heal(self) -> None:
        self.struck = self.host.run(f"ls {crash_points.ARMED_FILE} 2>/dev/null", check=False) == ""
        self.host.run(f"rm -f {crash_points.ARMED_FILE}")

    def name(self) -> str:
        return f"{type(self).__name__} {self.point}"


class CallFails(AgentKilledAtAPoint):
    """A message, journal write, call of Docker or of CRIU fails."""

    fault = crash_points.ERROR


class DockerKilled(Fault):
    """The target's Docker daemon, or with live-restore that of either host, by SIGKILL; it comes back."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.live = scene.dice.random() < 0.5
        # Without live-restore a daemon that starts ends the containers that its dead one has left.
        self.host = self.host if self.live else scene.target

    def prepare(self) -> None:
        self.host.run(LIVE_RESTORE.format(on=self.live))

    def strike(self, controller: subprocess.Popen[str]) -> None:
        self.host.run("pkill -9 -x dockerd", check=False)

    def heal(self) -> None:
        self.host.heal()
        self.host.run(LIVE_RESTORE.format(on=False))

    def name(self) -> str:
        return f"DockerKilled {'with' if self.live else 'without'} live-restore"


class NetworkCut(Fault):
    """Between the hosts, for some seconds or until the move has ended."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.reset = scene.dice.random() < 0.5

    def prepare(self) -> None:
        peer = self.scene.target if self.host is self.scene.source else self.scene.source
        self.cut = self.host.cut_from(peer, reset=self.reset)

    def strike(self, controller: subprocess.Popen[str]) -> None:
        self.host.run(self.cut)
        if self.scene.dice.random() < 0.5:
            time.sleep(self.scene.dice.uniform(0.2, 6))
            self.host.heal()

    def heal(self) -> None:
        self.host.heal()

    def name(self) -> str:
        return f"NetworkCut by {'reset' if self.reset else 'drop'}"


class ImagesFull(Fault):
    """The file system below /run/mec-migration of the target is small, and soon full."""

    def prepare(self) -> None:
        self.host = self.scene.target
        self.host.run(
            "mount -t tmpfs -o size=64m,mode=0700 mec-soak /run/mec-migration; "
            "mkdir -p /run/mec-migration/armed"
        )

    def strike(self, controller: subprocess.Popen[str]) -> None:
        self.host.run("head -c 100M /dev/zero > /run/mec-migration/fill", check=False)

    def heal(self) -> None:
        self.host.run("rm -f /run/mec-migration/fill")

    def after(self) -> None:
        self.host.run("umount --lazy /run/mec-migration")


class ControllerKilled(Fault):
    """The playbook and all that it has started on the controller."""

    def strike(self, controller: subprocess.Popen[str]) -> None:
        if controller.poll() is None:
            kill_group(controller)


class TwoOperators(Fault):
    """Somebody else moves the service, too."""

    def strike(self, controller: subprocess.Popen[str]) -> None:
        self.second = self.scene.service.start_move(self.scene.source, self.scene.target)

    def heal(self) -> None:
        if self.second is not None:
            self.second.communicate(timeout=300)


FAULTS: list[tuple[type[Fault], int]] = [
    (NoFault, 3),
    (AgentKilled, 2),
    (AgentKilledAtAPoint, 3),
    (CallFails, 2),
    (DockerKilled, 2),
    (NetworkCut, 2),
    (ImagesFull, 1),
    (ControllerKilled, 2),
    (TwoOperators, 2),
]


def struck(fault: Fault) -> Play:
    """The move, and the fault in its course."""
    scene = fault.scene
    began = time.monotonic()
    controller = scene.service.start_move(scene.source, scene.target)

    def strike() -> None:
        fault.struck = True
        fault.strike(controller)

    timer = threading.Timer(fault.after_s, strike)
    timer.start()
    output, _ = controller.communicate(timeout=400)
    timer.cancel()
    timer.join()
    return Play(controller.returncode, output, 0, time.monotonic() - began)


class Soak:
    """The services, and what was seen of them."""

    def __init__(self, lab: Lab, inventory: Path, seed: int, scratch: Path) -> None:
        self.dice, self._scratch = random.Random(seed), scratch
        self._containers = containers_of(inventory)
        self.services = [
            Moved(lab, self._containers, REDIS, "redis"),
            Moved(lab, self._containers, WEB, "python"),
        ]
        self.hosts = lab.hosts[:2]
        self.lab = lab

    def move(self, number: int) -> Move:
        began = time.monotonic()
        service = self.dice.choice(self.services)
        others = [one for one in self.services if one is not service]
        target = service.away()
        source = next(host for host in self.hosts if host is not target)
        kind = self.dice.choices([one for one, _ in FAULTS], [weight for _, weight in FAULTS])[0]
        fault = kind(Scene(service, source, target, self.dice))
        clients = Clients(self.services[0].addresses, f"soak-{number}")
        web = Client(self.lab, WEB, self._scratch, [])
        watch = Watch(self._containers)
        fault.prepare()
        play = struck(fault)
        fault.heal()
        if isinstance(fault, ControllerKilled) and play.code < 0:
            # Nobody is there to put anything away: that is what the next operator does.
            play = play._replace(output=play.output + " mec.migration.resolve")
        ended = service.end_it(play, others)
        after: Callable[[], None] | None = getattr(fault, "after", None)
        if after is not None:
            after()
        wrong = self._wrong(service, ended, clients, web)
        double, _every_ms = watch.end()
        if wrong or double:
            logs = self._scratch / "logs"
            logs.mkdir(exist_ok=True)
            words = [fault.name(), *wrong, *(one.output for one in ended.plays)]
            (logs / f"{number}.log").write_text("\n".join(words))
        return Move(
            number,
            service.name,
            fault.name() if fault.struck or kind is NoFault else f"{kind.__name__}, too late",
            play.code == 0,
            ended.resolved,
            wrong,
            len(double),
            clients.answered,
            round(time.monotonic() - began, 1),
        )

    def _wrong(self, service: Moved, ended: Ended, clients: Clients, web: Client) -> list[str]:
        wrong = service.faults(ended)
        of_redis = clients.stop()
        wrong += legal(of_redis, ended) if service.name == REDIS else of_redis
        account = web.stop()
        if not (service.name == WEB and ended.resolved == "word"):
            told = {key: account[key] for key in ("lost_writes", "wrong_answers") if account[key]}
            wrong += [f"web: {told}"] if told else []
        return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--inventory", type=Path, default=Path("inventories/crash"))
    parser.add_argument("--moves", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=0, help="end after so long, whatever --moves says")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--results", type=Path, default=ROOT / "reports/soak/moves.jsonl")
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    moves: list[Move] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as short:
        inventory = ROOT / arguments.inventory
        soak = Soak(Lab(inventory, Path(short)), inventory, arguments.seed, arguments.results.parent)
        start(soak.services)
        # What a first move makes stays: images, volumes, caches.
        for service in soak.services:
            service.move().ok()
        before = count(soak.hosts)
        for number in range(1, arguments.moves + 1):
            if arguments.minutes and time.monotonic() - began > 60 * arguments.minutes:
                break
            move = soak.move(number)
            moves.append(move)
            with arguments.results.open("a") as out:
                out.write(json.dumps(dict(move._asdict(), seed=arguments.seed)) + "\n")
            print(f"{number}/{arguments.moves} {move.words()}", flush=True)
            if move.wrong:
                start(soak.services)
        # Where they were when it was counted before.
        for service in soak.services:
            if service.here() is not soak.hosts[1]:
                service.move().ok()
        after = count(soak.hosts)
        for host in soak.hosts:
            host.wipe([service.name for service in soak.services])
    facts: dict[str, Any] = {
        "seed": arguments.seed,
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "minutes": (time.monotonic() - began) / 60,
    }
    if arguments.page:
        write_page(arguments.page, moves, before, after, facts)
    return 1 if any(move.wrong or move.double for move in moves) else 0


if __name__ == "__main__":
    sys.exit(main())
