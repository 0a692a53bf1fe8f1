"""Services go round three hosts under load while a nemesis picks faults at random; writes what came of it.

python -m soak.run --inventory inventories/soak --moves 1000 [--seed N] [--page docs/soak.md]

A run adds to those that the record has already, and may be ended at any time.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from crash.run import commit
from crash.service import Moved, containers_of, start
from crash.watch import Watch
from e2e.edge import ROOT, Host, Lab
from e2e.real import SERVICES_MOVED, bring_image, run_words

from .faults import FAULTS, ControllerKilled, Scene, struck
from .load import DATABASE, REDIS, WEB, Load
from .page import Counted, Move, Record, write_page

HOSTS = 3
# Moves between two counts.
COUNT_EVERY = 20
# What is counted on each host before and after: whatever grows with every move is a leak.
COUNT = """
for name in dockerd containerd; do
  pid=$(pgrep -xo $name)
  echo "$name KiB $(awk '/^VmRSS/ {print $2}' /proc/$pid/status)"
  echo "$name descriptors $(ls /proc/$pid/fd | wc -l)"
done
echo "processes $(ls -d /proc/[0-9]* | wc -l)"
echo "files $(find /run/mec-migration /var/lib/mec-migration /var/lib/docker/tmp -type f | wc -l)"
echo "namespaces $(ls /run/docker/netns 2>/dev/null | wc -l)"
echo "interfaces $(ls /sys/class/net | wc -l)"
echo "packet rules $(iptables-save | grep -c '^-')"
echo "cgroups $(find /sys/fs/cgroup -type d | wc -l)"
echo "mounts $(wc -l < /proc/self/mountinfo)"
echo "networks $(docker network ls -q | wc -l)"
echo "volumes $(docker volume ls -q | wc -l)"
echo "containers $(docker ps -aq | wc -l)"
echo "layers $(ls /var/lib/docker/overlay2 2>/dev/null | wc -l)"
"""


def count(hosts: list[Host]) -> dict[str, int]:
    """All hosts together."""
    found: Counter[str] = Counter()
    for host in hosts:
        for line in host.run(COUNT).splitlines():
            what, _space, number = line.rpartition(" ")
            found[what] += int(number)
    return dict(found)


class Soak:
    """The services, and what was seen of them."""

    def __init__(self, lab: Lab, inventory: Path, seed: int, scratch: Path) -> None:
        self.lab, self.dice, self._scratch = lab, random.Random(seed), scratch
        self._containers = containers_of(inventory, HOSTS)
        database = run_words(DATABASE, "--restart", "unless-stopped"), SERVICES_MOVED[DATABASE].port
        self.services = [
            Moved(lab, self._containers, REDIS, "redis"),
            Moved(lab, self._containers, WEB, "python"),
            Moved(lab, self._containers, DATABASE, "postgres", *database),
        ]
        self.hosts = self.services[0].hosts
        assert len(self.hosts) == HOSTS, f"a soak takes a testbed of {HOSTS} hosts: testbed_hosts={HOSTS}"

    def round(self) -> None:
        """What a first move makes stays: images, volumes, caches. So each goes everywhere once."""
        for service in self.services:
            for target in (*self.hosts[1:], self.hosts[0]):
                service.move(target).ok()

    def move(self, number: int) -> Move:
        """One, and whatever befalls it."""
        began = time.monotonic()
        service = self.dice.choice(self.services)
        others = [one for one in self.services if one is not service]
        source, target = service.certain(), service.away(self.dice)
        precious = service.name == WEB or any(one.here() is target for one in others)
        kind = self.dice.choices([one for one, _weight in FAULTS], [weight for _one, weight in FAULTS])[0]
        fault = kind(Scene(service, source, target, precious, self.dice))
        with contextlib.ExitStack() as ends:
            load = Load(self.lab, {one.name: one for one in self.services}, number, self._scratch)
            ends.callback(load.end)
            watch = Watch(self._containers)
            ends.callback(watch.give_up)
            fault.prepare()
            ends.callback(fault.clear)
            play = struck(fault)
            fault.heal()
            if isinstance(fault, ControllerKilled) and play.code < 0:
                # Nobody is there to put anything away: that is what the next operator does.
                play = play._replace(output=play.output + " mec.migration.resolve")
            ended = service.end_it(play, others)
            seen = load.stop(service.name, ended)
            wrong = service.faults(ended) + seen.wrong
            double, _every_ms = watch.end()
        if wrong or double:
            logs = self._scratch / "logs"
            logs.mkdir(exist_ok=True)
            words = [fault.kind(), fault.detail(), *wrong, *map(str, double[:20])]
            words += [one.output for one in ended.plays]
            (logs / f"{number}.log").write_text("\n".join(words))
        return Move(
            number,
            service.name,
            f"{source.name} to {target.name}",
            fault.kind(),
            fault.detail(),
            fault.struck,
            play.code == 0,
            ended.resolved,
            wrong,
            len(double),
            seen.answered,
            round(time.monotonic() - began, 1),
        )

    def try_move(self, number: int) -> Move:
        """Likewise; what breaks the test is wrong, too, and no reason to end."""
        try:
            return self.move(number)
        except Exception:
            told = traceback.format_exc()
            print(told, flush=True)
            wrong = [f"the test broke: {told.strip().splitlines()[-1]}"]
            return Move(number, "", "", "", "", False, False, "", wrong, 0, {}, 0.0)


def run(soak: Soak, arguments: argparse.Namespace, record: Record) -> bool:
    """Moves until it is time to end. Returns whether all was as it must be."""
    start(soak.services)
    soak.round()
    began = time.monotonic()

    def counted(number: int) -> None:
        record.count(Counted(number, count(soak.hosts)))
        if arguments.page:
            write_page(arguments.page, record.runs())

    record.begin(arguments.seed, commit(), time.strftime("%Y-%m-%d", time.gmtime()))
    counted(0)
    good, number = True, 0
    while number < arguments.moves:
        if arguments.minutes and time.monotonic() - began > 60 * arguments.minutes:
            break
        number += 1
        move = soak.try_move(number)
        record.move(move)
        print(f"{number}/{arguments.moves} {move.words()}", flush=True)
        good = good and not (move.wrong or move.double)
        if move.wrong:
            start(soak.services)
        if number % COUNT_EVERY == 0:
            counted(number)
    # Where they were when it was counted first.
    for service in soak.services:
        if service.here() is not soak.hosts[0]:
            service.move(soak.hosts[0]).ok()
    counted(number)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--inventory", type=Path, default=Path("inventories/soak"))
    parser.add_argument("--moves", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=0, help="end after so long, whatever --moves says")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--record", type=Path, default=ROOT / "docs/soak.jsonl", help="of all runs")
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    scratch = ROOT / "reports/soak"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as short:
        inventory = ROOT / arguments.inventory
        lab = Lab(inventory, Path(short))
        bring_image(lab.hosts[:HOSTS])
        made = Soak(lab, inventory, arguments.seed, scratch)
        good = run(made, arguments, Record(arguments.record))
        for host in made.hosts:
            host.wipe([service.name for service in made.services])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
