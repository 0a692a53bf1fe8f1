"""A real move for each crash point and fault; what then must hold is checked, and a table is written.

python -m crash.run --inventory inventories/crash [--faults kill,error] [--points GLOB] [--sample N]
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.mec.migration.plugins.module_utils.base import crash_points
from e2e.edge import ROOT, Host, Lab, catalogue, docker_run

from .history import Clients
from .table import Result, read_results, write_page
from .watch import Watch, first_process, running

SERVICE = "redis-aof"
FAULTS = ("kill", "stop", "error", "drop", "reset")
# A process that is stopped sleeps longer than all time-outs that a move can set; those are made short.
SILENCE_S, ANSWER_S, IDLE_S, STOPPED_S = 3, 3, 40, 15
TIMEOUTS = {
    "migrate_silence_timeout_s": SILENCE_S,
    "migrate_answer_timeout_s": ANSWER_S,
    "migrate_idle_timeout_s": IDLE_S,
    "migrate_health_timeout_s": 5,
}
# What only happens on a target that lacks the image.
NEEDS_NO_IMAGE = ("layers.", "docker.load_image", "docker.tag", "docker.inspect_image")
# Processes that are there whether or not anything moves.
USUAL = r"docker-init|edge-host-init|sshd|dockerd|containerd|docker-proxy|redis-server|ps ax|sh -c|\[.*\]$"
LEFT = f"""
find /run/mec-migration -mindepth 1 -not -path '*/progress*' -not -name armed
ls -d /var/lib/mec-migration/* | grep -v '/\\(locks\\|edge-host.before\\|cordoned\\)$'
for f in /var/lib/mec-migration/locks/*; do [ -e "$f" ] && ! flock -n "$f" true && echo "held lock $f"; done
find /var/lib/docker/tmp -name 'mec-migration*'
awk '$5 ~ "^/run/mec-migration/" {{print "mount", $5}}' /proc/self/mountinfo
ps ax -o args= | grep -vE {shlex.quote(USUAL)} | grep -v '^grep\\|^sed\\|^bash\\|^awk' | sed 's/^/process /'
docker network ls --format '{{{{.Name}}}}' | grep -vx 'bridge\\|host\\|none' | sed 's/^/network /'
docker volume ls -q | grep -vx redis-aof-data | sed 's/^/volume /'
true
"""


class Ended(NamedTuple):
    """Where the service is: on a host, and running; and what is left on the hosts."""

    host: Host | None
    left: list[str]


class Harness:
    """The hosts, and the service that goes from one to the other and back."""

    def __init__(self, lab: Lab, containers: list[str], scratch: Path) -> None:
        self.lab, self.hosts, self._containers, self._scratch = lab, lab.hosts[:2], containers, scratch
        self._first = {host.name: first_process(one) for host, one in zip(self.hosts, containers)}
        port = catalogue()[SERVICE]["port"]
        self._addresses = [(host.address, port) for host in self.hosts]

    def start(self) -> None:
        """Both hosts empty, the service on the first."""
        for host in self.hosts:
            host.wipe([SERVICE])
            host.run("rm -rf /var/lib/docker/tmp/mec-migration-* /var/lib/mec-migration/locks/*")
        self.hosts[0].docker(*docker_run(SERVICE, [], {}))

    def here(self) -> Host | None:
        """The one host on which the service runs."""
        found = [host for host in self.hosts for _ in running(self._first[host.name])]
        return found[0] if len(found) == 1 else None

    def left(self) -> list[str]:
        found, here = [], self.here()
        for host in self.hosts:
            found += [f"{host.name}: {line}" for line in host.run(LEFT, check=False).splitlines()]
            listed = host.docker("ps", "--all", "--format", "{{.Names}} {{.State}}").splitlines()
            if here is None or host.name != here.name:
                found += [f"{host.name}: container {line}" for line in listed]
            elif listed != [f"{SERVICE} running"]:
                found.append(f"{host.name}: containers {listed}")
        return found

    def settle(self, patience_s: float) -> Ended:
        end = time.monotonic() + patience_s
        while True:
            ended = Ended(self.here(), self.left())
            if (ended.host and not ended.left) or time.monotonic() > end:
                return ended
            time.sleep(0.3)

    def arm(self, point: str, fault: str) -> Host:
        side, stage, _call, _moment = point.split("/")
        source = self.here()
        assert source is not None, "the service is not on exactly one host"
        target = self.hosts[1 - self.hosts.index(source)]
        if stage == crash_points.FIRST and any(word in point for word in NEEDS_NO_IMAGE):
            target.run(f"docker rmi -f {catalogue()[SERVICE]['image']}", check=False)
        if "create_volume" in point:
            target.run("docker volume rm redis-aof-data", check=False)
        host = source if side == "source" else target
        in_code = {"drop": "stop", "reset": "stop"}.get(fault, fault)
        host.run(
            f"umask 077; mkdir -p /run/mec-migration; echo {point} {in_code} > {crash_points.ARMED_FILE}"
        )
        return host

    def beside(self, host: Host, fault: str) -> subprocess.Popen[str] | None:
        """What lets a process that has stopped at its point go on, once it is time to."""
        if fault in ("kill", "error"):
            return None
        peer = next(one for one in self.hosts if one is not host)
        then = f"sleep {STOPPED_S}" if fault == "stop" else host.cut_from(peer, reset=fault == "reset")
        return host.spawn(
            f"while [ -e {crash_points.ARMED_FILE} ]; do sleep 0.005; done; sleep 0.02; {then}; "
            "for s in /proc/[0-9]*/stat; do set -- $(sed 's/.*) //' $s 2>/dev/null); [ \"$1\" = T ] "
            '&& grep -q python "${s%stat}cmdline" && p=${s%/stat} && kill -CONT ${p#/proc/}; done; true'
        )

    def run(self, point: str, fault: str) -> Result:
        began = time.monotonic()
        faults: list[str] = []
        clients = Clients(self._addresses, f"{point}:{fault}")
        watch = Watch(self._containers)
        target = next(host for host in self.hosts if host is not self.here())
        host = self.arm(point, fault)
        beside = self.beside(host, fault)
        play = self.lab.migrate(
            SERVICE, target, migrate_report_dir=str(self._scratch / "reports"), **TIMEOUTS
        )
        reached = host.run(f"ls {crash_points.ARMED_FILE} 2>/dev/null", check=False) == ""
        host.run(f"rm -f {crash_points.ARMED_FILE}")
        if beside is not None:
            if not reached:
                beside.kill()
            beside.communicate(timeout=60)
        for one in self.hosts if fault in ("drop", "reset") else []:
            one.heal()
        ended = self.settle(0.0 if "mec.migration.resolve" in play.text else 6.0)
        resolved, words = "", [play]
        if ended.host is None or ended.left:
            before = ended.left
            resolve = self.lab.play("resolve", service=SERVICE)
            words.append(resolve)
            resolved = "resolve"
            if "resolve_from_older_state" in resolve.text and resolve.code != 0:
                words.append(self.lab.play("resolve", service=SERVICE, resolve_from_older_state="true"))
                resolved = "word"
            ended = self.settle(6.0)
            if ended.host is not None and ended.left == before:
                # Nobody had to decide anything: what is left is put away by the next move.
                resolved = ""
        if ended.host is None:
            faults.append("it does not run on exactly one host")
        faults += [f"left: {line}" for line in ended.left]
        if ended.host is not None:
            policy = ended.host.inspect(SERVICE)["HostConfig"]["RestartPolicy"]["Name"]
            if policy != "unless-stopped":
                faults.append(f"its restart policy is {policy}")
        wrong = clients.stop()
        if resolved == "word":
            wrong = [one for one in wrong if any(word in one for word in ("twice", "nobody", "nowhere"))]
        faults += wrong
        double, every_ms = watch.end()
        faults += [f"two copies ran: {moment}" for moment in double[:2]]
        if clients.answered < 50:
            faults.append(f"the clients had {clients.answered} answers only")
        where = "" if ended.host is None else ("target" if ended.host is target else "source")
        result = Result(
            point,
            fault,
            reached,
            play.code == 0,
            where,
            resolved,
            faults,
            clients.answered,
            round(every_ms, 1),
            round(time.monotonic() - began, 1),
        )
        if faults:
            log = self._scratch / "logs"
            log.mkdir(exist_ok=True)
            name = f"{point.replace('/', '_')}.{fault}.log"
            (log / name).write_text(
                json.dumps(result._asdict()) + "\n" + "\n".join(one.output for one in words)
            )
        return result


def traced(harness: Harness) -> list[str]:
    """The points that a move passes which the registry does not have."""
    source = harness.here()
    assert source is not None
    target = next(host for host in harness.hosts if host is not source)
    target.run(f"docker rmi -f {catalogue()[SERVICE]['image']}; docker volume rm redis-aof-data", check=False)
    for host in harness.hosts:
        host.run(f"umask 077; echo trace > {crash_points.ARMED_FILE}")
    clients = Clients([(host.address, catalogue()[SERVICE]["port"]) for host in harness.hosts], "trace")
    harness.lab.migrate(SERVICE, target).ok()
    assert clients.stop() == []
    passed: set[str] = set()
    for host in harness.hosts:
        passed |= set(host.run(f"cat {crash_points.TRACE_FILE}").split())
        host.run(f"rm -f {crash_points.ARMED_FILE} {crash_points.TRACE_FILE}")
    known = set(crash_points.points())
    print("not passed in a move without faults:", ", ".join(sorted(known - passed)) or "none", flush=True)
    return sorted(passed - known)


def commit() -> str:
    words = ["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def chosen(points: list[str], faults: list[str], sample: int, seed: str) -> list[tuple[str, str]]:
    """All cases, or a sample that the commit's hash chooses."""
    cases = [(point, fault) for fault in faults for point in points]
    if sample:
        cases.sort(key=lambda case: hashlib.sha256(f"{seed} {case}".encode()).digest())
        cases = cases[:sample]
    return cases


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--inventory", type=Path, default=Path("inventories/crash"))
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--points", default="*", help="shell pattern of their names, or several with commas")
    parser.add_argument("--sample", type=int, default=0, help="so many cases, chosen by the commit's hash")
    parser.add_argument("--results", type=Path, default=ROOT / "reports/crash/results.jsonl")
    parser.add_argument("--page", type=Path, help="write docs/crash-points.md anew from all results")
    parser.add_argument("--again", action="store_true", help="also what the results have already")
    arguments = parser.parse_args()
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    patterns = arguments.points.split(",")
    points = [p for p in crash_points.points() if any(fnmatch.fnmatchcase(p, one) for one in patterns)]
    cases = chosen(points, arguments.faults.split(","), arguments.sample, commit())
    if not arguments.again and not arguments.sample:
        done = {(one["point"], one["fault"]) for one in read_results(arguments.results) if not one["faults"]}
        cases = [case for case in cases if case not in done]
    broken = 0
    with tempfile.TemporaryDirectory(prefix="crash-") as short:
        lab = Lab(ROOT / arguments.inventory, Path(short))
        containers = containers_of(ROOT / arguments.inventory)
        harness = Harness(lab, containers, arguments.results.parent)
        harness.start()
        unknown = traced(harness)
        assert not unknown, f"points that the registry lacks: {unknown}"
        for number, (point, fault) in enumerate(cases, 1):
            try:
                result = harness.run(point, fault)
            except AssertionError as error:
                result = Result(point, fault, False, False, "", "", [f"the test broke: {error}"], 0, 0, 0)
            told = dict(result._asdict(), commit=commit(), date=time.strftime("%Y-%m-%d", time.gmtime()))
            with arguments.results.open("a") as out:
                out.write(json.dumps(told) + "\n")
            print(f"{number}/{len(cases)} {result.words()}", flush=True)
            if result.faults:
                broken += 1
                harness.start()
        for host in harness.hosts:
            host.wipe([SERVICE])
    if arguments.page:
        write_page(arguments.page, crash_points.points(), FAULTS, read_results(arguments.results))
    return 1 if broken else 0


def containers_of(inventory: Path) -> list[str]:
    import yaml

    hosts: dict[str, Any] = yaml.safe_load((inventory / "hosts.yml").read_text())["edge_hosts"]["hosts"]
    return [str(host["testbed_container"]) for host in hosts.values()][:2]


if __name__ == "__main__":
    sys.exit(main())
