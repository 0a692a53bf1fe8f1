"""A real move for each crash point and fault; what then must hold is checked, and a table is written.

python -m crash.run --inventory inventories/crash [--faults kill,error] [--points GLOB] [--sample N]
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ansible_collections.mec.migration.plugins.module_utils.base import crash_points
from e2e.edge import ROOT, Host, Lab, catalogue
from e2e.images import copy_image

from .history import Clients
from .service import Ended, Moved, containers_of, start
from .table import Result, read_results, write_page
from .watch import Watch

SERVICE = "redis-aof"
# What was run so far; the page is made of it.
RESULTS = ROOT / "docs/crash-points.jsonl"
FAULTS = ("kill", "stop", "error", "drop", "reset")
# Longer than all time-outs that a move can set.
STOPPED_S = 15
# What only happens on a target that lacks the image.
NEEDS_NO_IMAGE = ("layers.", "docker.load_image", "docker.tag", "docker.inspect_image")


class Harness:
    """A service that goes from one host to the other and back, each time past a crash point."""

    def __init__(self, service: Moved, containers: list[str], scratch: Path) -> None:
        self.service, self._containers, self._scratch = service, containers, scratch

    def arm(self, point: str, fault: str) -> Host:
        side, stage, _call, _moment = point.split("/")
        target = self.service.away()
        source = next(host for host in self.service.hosts if host is not target)
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
        peer = next(one for one in self.service.hosts if one is not host)
        then = f"sleep {STOPPED_S}" if fault == "stop" else host.cut_from(peer, reset=fault == "reset")
        return host.spawn(
            f"while [ -e {crash_points.ARMED_FILE} ]; do sleep 0.005; done; sleep 0.02; {then}; "
            "for s in /proc/[0-9]*/stat; do set -- $(sed 's/.*) //' $s 2>/dev/null); [ \"$1\" = T ] "
            '&& grep -q python "${s%stat}cmdline" && p=${s%/stat} && kill -CONT ${p#/proc/}; done; true'
        )

    def run(self, point: str, fault: str) -> Result:
        began = time.monotonic()
        service = self.service
        clients = Clients(service.addresses, f"{point}:{fault}")
        watch = Watch(self._containers)
        target = service.away()
        host = self.arm(point, fault)
        beside = self.beside(host, fault)
        play = service.move()
        reached = host.run(f"ls {crash_points.ARMED_FILE} 2>/dev/null", check=False) == ""
        host.run(f"rm -f {crash_points.ARMED_FILE}")
        if beside is not None:
            if not reached:
                beside.kill()
            beside.communicate(timeout=60)
            for one in service.hosts:
                one.heal()
        ended = service.end_it(play, [])
        faults = service.faults(ended) + legal(clients.stop(), ended)
        double, every_ms = watch.end()
        faults += [f"two copies ran: {moment}" for moment in double[:2]]
        result = outcome((point, fault), reached, target, ended, faults, clients.answered, every_ms, began)
        if result.faults or not reached:
            keep_log(self._scratch, result, ended)
        return result


def outcome(
    case: tuple[str, str],
    reached: bool,
    target: Host,
    ended: Ended,
    faults: list[str],
    answered: int,
    look_every_ms: float,
    began: float,
) -> Result:
    """What came of a case that was begun at *began*, by time.monotonic()."""
    moved = ended.plays[0].code == 0
    faults = list(faults)
    if not reached and not moved:
        faults.append("the move failed, and not by this fault: it did not come to the point")
    if answered < 50:
        faults.append(f"the clients had {answered} answers only")
    return Result(
        *case,
        reached,
        moved,
        "" if ended.host is None else ("target" if ended.host is target else "source"),
        ended.resolved,
        faults,
        answered,
        round(look_every_ms, 1),
        round(time.monotonic() - began, 1),
    )


def keep_log(scratch: Path, result: Result, ended: Ended) -> None:
    """What the playbooks of a case have printed."""
    directory = scratch / "logs"
    directory.mkdir(exist_ok=True)
    words = [json.dumps(result._asdict()), *(one.output for one in ended.plays)]
    (directory / f"{result.point.replace('/', '_')}.{result.fault}.log").write_text("\n".join(words))


def try_all(
    cases: list[tuple[str, str]],
    attempt: Callable[[str, str], Result],
    service: Moved,
    results: Path,
    minutes: float = 0,
) -> int:
    """Each case, what came of it written at once; returns how many were not as they must be.

    :param minutes: begin no more after so long; 0 is for ever.
    """
    broken, began = 0, time.monotonic()
    for number, (point, fault) in enumerate(cases, 1):
        if minutes and time.monotonic() - began > 60 * minutes:
            break
        try:
            result = attempt(point, fault)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            result = Result(point, fault, False, False, "", "", [f"the test broke: {error}"], 0, 0, 0)
        told = dict(result._asdict(), commit=commit(), date=time.strftime("%Y-%m-%d", time.gmtime()))
        with results.open("a") as out:
            out.write(json.dumps(told) + "\n")
        print(f"{number}/{len(cases)} {result.words()}", flush=True)
        if result.faults:
            broken += 1
            start([service])
    return broken


def legal(wrong: list[str], ended: Ended) -> list[str]:
    """Of what the clients saw, what must not be; by the operator's word writes may be lost."""
    if ended.resolved != "word":
        return wrong
    return [one for one in wrong if any(word in one for word in ("twice", "nobody", "nowhere"))]


def traced(service: Moved, offered: list[str]) -> list[str]:
    """The points that a move passes which the registry does not have.

    :param offered: those that it is to pass; which it does not is printed.
    """
    target = service.away()
    target.run(f"docker rmi -f {catalogue()[SERVICE]['image']}; docker volume rm redis-aof-data", check=False)
    for host in service.hosts:
        host.run(f"umask 077; echo trace > {crash_points.ARMED_FILE}")
    clients = Clients(service.addresses, "trace")
    service.move().ok()
    wrong = clients.stop()
    assert not wrong, f"a move without faults: {wrong}"
    passed: set[str] = set()
    for host in service.hosts:
        passed |= set(host.run(f"cat {crash_points.TRACE_FILE}").split())
        host.run(f"rm -f {crash_points.ARMED_FILE} {crash_points.TRACE_FILE}")
    known, absent = set(all_points()), sorted(set(offered) - passed)
    print("not passed in a move without faults:", ", ".join(absent) or "none", flush=True)
    # Layers go in pieces where the target has some that are like them.
    elsewhere = set(crash_points.ELSEWHERE.split())
    return sorted(point for point in passed - known if point.split("/")[2] not in elsewhere)


def provide_image(hosts: list[Host]) -> None:
    """To those from which a case has taken it: the next test counts on it."""
    image = catalogue()[SERVICE]["image"]
    there = [host for host in hosts if host.docker("image", "ls", "--quiet", image)]
    for host in hosts:
        if host not in there:
            copy_image(image, there[0], host)


def all_points() -> list[str]:
    return crash_points.points() + crash_points.points(crash_points.POSTCOPY_CALLS)


def commit() -> str:
    """Ten digits of its hash; ``none`` outside a repository."""
    words = ["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or "none"


def chosen(cases: list[tuple[str, str]], sample: int, seed: str) -> list[tuple[str, str]]:
    """So many of them, as the commit's hash chooses."""
    return sorted(cases, key=lambda case: hashlib.sha256(f"{seed} {case}".encode()).digest())[:sample]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--inventory", type=Path, default=Path("inventories/crash"))
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--points", default="*", help="shell pattern of their names, or several with commas")
    parser.add_argument(
        "--sample",
        type=int,
        default=0,
        help="of the cases that have held before so many, by the commit's hash",
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--postcopy", action="store_true", help="moves with post-copy, and only its points")
    parser.add_argument("--page", type=Path, help="write docs/crash-points.md anew from all results")
    parser.add_argument("--again", action="store_true", help="also what the results have already")
    arguments = parser.parse_args()
    scratch = ROOT / "reports/crash"
    scratch.mkdir(parents=True, exist_ok=True)
    patterns = arguments.points.split(",")
    offered = (
        crash_points.points(crash_points.POSTCOPY_CALLS) if arguments.postcopy else crash_points.points()
    )
    points = [p for p in offered if any(fnmatch.fnmatchcase(p, one) for one in patterns)]
    cases = [(point, fault) for fault in arguments.faults.split(",") for point in points]
    if arguments.sample:
        held = {(one["point"], one["fault"]) for one in read_results(RESULTS) if not one["faults"]}
        cases = chosen([case for case in cases if case in held], arguments.sample, commit())
    elif not arguments.again:
        done = {(one["point"], one["fault"]) for one in read_results(arguments.results) if not one["faults"]}
        cases = [case for case in cases if case not in done]
    with tempfile.TemporaryDirectory(prefix="crash-") as short:
        lab = Lab(ROOT / arguments.inventory, Path(short))
        containers = containers_of(ROOT / arguments.inventory)
        service = Moved(lab, containers, SERVICE, "redis")
        if arguments.postcopy:
            service.options["migrate_postcopy"] = "always"
        harness = Harness(service, containers, scratch)
        start([service])
        unknown = traced(service, offered)
        assert not unknown, f"points that the registry lacks: {unknown}"
        broken = try_all(cases, harness.run, service, arguments.results)
        for host in service.hosts:
            host.wipe([SERVICE])
        provide_image(service.hosts)
    if arguments.page:
        write_page(arguments.page, all_points(), FAULTS, read_results(arguments.results))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
