"""A service that is moved between two hosts or more, and what must be so after each move."""

from __future__ import annotations

import random
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from e2e.edge import Host, Lab, Patience, Play, catalogue, docker_run

from .watch import first_process, running

# Processes that are there whether or not anything moves.
USUAL = (
    r"docker-init|edge-host-init|sshd|dockerd|containerd|docker-proxy|redis-server|web\.py|postgres|ps ax"
    r"|on-host\.py watch|sh -c|^(grep|sed|awk|sleep|bash|python3 -) |\[.*\]$"
)
LEFT = f"""
find /run/mec-migration -mindepth 1 -not -path '*/progress*' -not -name armed
ls -d /var/lib/mec-migration/* | grep -v '/\\(locks\\|edge-host.before\\|cordoned\\)$'
for f in /var/lib/mec-migration/locks/*; do [ -e "$f" ] && ! flock -n "$f" true && echo "held lock $f"; done
find /var/lib/docker/tmp -name 'mec-migration*'
awk '$5 ~ "^/run/mec-migration/|/criu-root$" {{print "mount", $5}}' /proc/self/mountinfo
ps ax -o args= | grep -vE {shlex.quote(USUAL)} | sed 's/^/process /'
docker network ls --format '{{{{.Name}}}}' | grep -vx 'bridge\\|host\\|none' | sed 's/^/network /'
docker volume ls -q | grep -vx redis-aof-data | sed 's/^/volume /'
docker ps --all --format 'container {{{{.Names}}}} {{{{.State}}}}'
true
"""


def containers_of(inventory: Path, number: int = 2) -> list[str]:
    """The containers on this machine that the first hosts of an inventory are."""
    hosts: dict[str, Any] = yaml.safe_load((inventory / "hosts.yml").read_text())["edge_hosts"]["hosts"]
    return [str(host["testbed_container"]) for host in hosts.values()][:number]


# Short, so that a test need not wait for what they end.
TIMEOUTS = {
    "migrate_silence_timeout_s": 3,
    "migrate_answer_timeout_s": 3,
    "migrate_idle_timeout_s": 40,
    "migrate_health_timeout_s": 5,
}


class Ended(NamedTuple):
    """How a move ended.

    :ivar host: where the service runs; None if that is not exactly one.
    :ivar left: what is left on the hosts that should not be.
    :ivar resolved: empty, ``resolve``, or ``word`` where it asked for ``resolve_from_older_state``.
    :ivar plays: those that it took.
    """

    host: Host | None
    left: list[str]
    resolved: str
    plays: list[Play]


class Moved:
    """One service.

    :param containers: that are the hosts it goes round, the first ones of the testbed.
    :param program: how its processes' name begins.
    :param run: the words of ``docker run``, and *port*, where the catalogue does not have it.
    """

    def __init__(
        self,
        lab: Lab,
        containers: list[str],
        name: str,
        program: str,
        run: list[str] | None = None,
        port: int = 0,
    ) -> None:
        self.lab, self.name, self._program = lab, name, program
        self.hosts = lab.hosts[: len(containers)]
        self.run = run or docker_run(name, [], {})
        self._first = {host.name: first_process(one) for host, one in zip(self.hosts, containers)}
        self.usual: set[str] = set()
        # What its moves are given besides.
        self.options: dict[str, str] = {}
        port = port or int(catalogue()[name]["port"])
        self.addresses = [(host.address, port) for host in self.hosts]
        self._limit = "--limit", ",".join(host.name for host in self.hosts)

    def here(self) -> Host | None:
        """The one host on which it runs."""
        found = [
            host
            for host in self.hosts
            for one in running(self._first[host.name])
            if one.startswith(self._program)
        ]
        return found[0] if len(found) == 1 else None

    def certain(self) -> Host:
        """:raises AssertionError: it does not run on exactly one host."""
        here = self.here()
        assert here is not None, f"{self.name} does not run on exactly one host"
        return here

    def away(self, dice: random.Random | None = None) -> Host:
        """The other one; of several the first, or one by chance."""
        here = self.certain()
        others = [host for host in self.hosts if host is not here]
        return dice.choice(others) if dice else others[0]

    def start_move(self, source: Host, target: Host) -> subprocess.Popen[str]:
        """A move by the role's tasks."""
        names = {"service": self.name, "source": source.name, "target": target.name}
        return self.lab.start("../tests/crash/move", *self._limit, **{**names, **TIMEOUTS, **self.options})

    def move(self, target: Host | None = None) -> Play:
        """To that host, or the other one."""
        source, target = self.certain(), target or self.away()
        began = time.monotonic()
        playing = self.start_move(source, target)
        output, _ = playing.communicate(timeout=Patience.of(400))
        return Play(playing.returncode, output, 0, time.monotonic() - began)

    def left(self, others: list[Moved]) -> list[str]:
        """What is on the hosts besides the service and *others*, each in its place."""
        found: list[str] = []
        expected: dict[str, list[str]] = {}
        for one in (self, *others):
            here = one.here()
            if here is not None:
                expected[here.name] = [*expected.get(here.name, []), f"container {one.name} running"]
        for host in self.hosts:
            lines = host.run(LEFT, check=False).splitlines()
            found += [f"{host.name}: {line}" for line in lines if line not in expected.get(host.name, [])]
        return [line for line in found if line not in self.usual]

    def settle(self, patience_s: float, others: list[Moved]) -> tuple[Host | None, list[str]]:
        end = time.monotonic() + patience_s
        while True:
            here, left = self.here(), self.left(others)
            if (here and not left) or time.monotonic() > end:
                return here, left
            time.sleep(0.3)

    def end_it(self, play: Play, others: list[Moved]) -> Ended:
        """After a move: wait until all is quiet; if it is not, resolve, once."""
        here, left = self.settle(0.0 if "mec.migration.resolve" in play.text else Patience.of(6), others)
        plays = [play]
        if here is not None and not left:
            return Ended(here, left, "", plays)
        plays.append(self.lab.play("resolve", *self._limit, service=self.name))
        resolved = "resolve"
        if "resolve_from_older_state" in plays[-1].text and plays[-1].code != 0:
            word = {"resolve_from_older_state": "true"}
            plays.append(self.lab.play("resolve", *self._limit, service=self.name, **word))
            resolved = "word"
        # An agent of the target that is settled waits half a minute for the source's word that it is, too.
        here, left = self.settle(40.0, others)
        return Ended(here, left, resolved, plays)

    def faults(self, ended: Ended) -> list[str]:
        """What is not as it must be, of what can be seen on the hosts."""
        found = [f"left: {line}" for line in ended.left]
        if ended.host is None:
            return [f"{self.name} does not run on exactly one host", *found]
        policy = ended.host.inspect(self.name)["HostConfig"]["RestartPolicy"]["Name"]
        return found if policy == "unless-stopped" else [f"its restart policy is {policy}", *found]


def start(services: list[Moved]) -> None:
    """All hosts empty, then all services on the first; what is there besides them is not of their making."""
    hosts = services[0].hosts
    for host in hosts:
        host.wipe([service.name for service in services])
        host.run("rm -rf /var/lib/docker/tmp/mec-migration-* /var/lib/mec-migration/locks/*")
    usual = {f"{host.name}: {line}" for host in hosts for line in host.run(LEFT).splitlines()}
    for service in services:
        service.usual = usual
        hosts[0].docker(*service.run)
