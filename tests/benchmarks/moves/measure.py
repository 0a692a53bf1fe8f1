#!/usr/bin/env python3
"""One move of the load generator between two hosts of a testbed, by one method, measured.

Time is that of the command that an operator would type. Bytes are what the source's interface
sent, but for the service's answers: a service that is not silent must not pay for it. Downtime is
the longest silence that the client saw.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.moves import cells
from tests.e2e.edge import Client, Host, Lab, catalogue, docker_run

HERE = Path(__file__).resolve().parent
SERVICE = "load"
PORT = catalogue()[SERVICE]["port"]
IMAGE = "mec-demo/load"
ON_HOST = "/run/benchmark"
# The memory that `docker start --checkpoint` has restored: some such runs fill a host.
LEFT_BY_CONTAINERD = "/tmp/ctrd-checkpoint*"
TOP_MIB = 64
LONG_S = 3600.0
SETTLE_S = 3.0
LOGGED_GAP_MS = 20.0
COUNTER = "mec-benchmark"
COUNTED = f"-o eth0 -p tcp -m comment --comment {COUNTER}"
BOOT = Path("/proc/sys/kernel/random/boot_id")
# The client's connection cannot follow to another address; without this CRIU refuses to dump it.
CRIU_CONFIG = "mkdir -p /etc/criu && echo tcp-close > /etc/criu/runc.conf"


SCRIPTS = {
    "docker": "stop_and_copy.sh",
    "docker-rsync": "checkpoint_rsync.sh",
    "podman": "podman_export.sh",
}


class Bench:
    """Two hosts, the service on the first, and what one cell wants of them."""

    def __init__(self, lab: Lab, cell: cells.Cell, engine: str) -> None:
        self.lab = lab
        self.engine = engine
        self.cell = cell
        self.source, self.target = lab.hosts[:2]
        env = {
            "MEMORY_MIB": str(cell.memory_mib),
            "DIRTY_PAGES": str(cell.dirty_pages),
            "WRITE_BYTES": str(cell.write_bytes),
        }
        # Docker would start again at once what a checkpoint has ended.
        self.run_words = docker_run(SERVICE, ["--restart", "no"], env)
        # With its tag: without one `docker save` takes what other cells have built, too.
        self.image = self.known = f"{IMAGE}:latest"
        if cell.image == "top":
            self.image, self.known = f"{IMAGE}:new", f"{IMAGE}:old"
            self.run_words = [self.image if word == IMAGE else word for word in self.run_words]

    def clear(self) -> None:
        for host in (self.source, self.target):
            for engine in {"docker", self.engine}:
                host.run(f"{engine} rm --force --volumes {SERVICE} 2>/dev/null", check=False)
            host.run("rm -f /etc/criu/runc.conf")
            host.run(f"iptables -t mangle -D POSTROUTING {COUNTED} --sport {PORT} 2>/dev/null", check=False)
            host.run(f"rm -rf {ON_HOST} {LEFT_BY_CONTAINERD}; mkdir {ON_HOST}")
            shape(host, 1000)

    def provide_image(self) -> None:
        there = f"{self.engine} image ls --quiet --filter 'reference=*mec-demo/*'"
        # An image goes only after those that were built on it.
        remove = f"{there} | sort -u | xargs -r {self.engine} image rm --force"
        self.target.run(f'for turn in 1 2 3; do {remove} || true; done; test -z "$({there})"')
        if self.cell.image == "top":
            self.build_tops()
        if self.cell.image != "cold":
            copy = f"{self.engine} save {self.known} | ssh {self.target.address} {self.engine} load"
            self.source.run(copy, timeout_s=LONG_S)

    def build_tops(self) -> None:
        """Two images whose top layers of TOP_MIB differ in one file of a mebibyte."""
        folder = f"{ON_HOST}/top"
        for tag in ("old", "new"):
            make = f"mkdir -p {folder}/files && cd {folder}"
            recipe = f"printf 'FROM {IMAGE}\\nCOPY files /top\\n' > Dockerfile"
            names = f"$(seq {TOP_MIB})" if tag == "old" else "7"
            fill = f"for n in {names}; do head -c 1048576 /dev/urandom > files/$n; done"
            build = f"{self.engine} build --quiet --tag {IMAGE}:{tag} ."
            self.source.run(f"{make} && {recipe} && {fill} && {build}", timeout_s=LONG_S)

    def count_answers(self) -> None:
        """Have the packet filter count what the service sends to clients."""
        self.source.run(f"iptables -t mangle -A POSTROUTING {COUNTED} --sport {PORT}")

    def answered(self) -> int:
        """Bytes of it so far, as the interface counts them."""
        rows = self.source.run("iptables -t mangle -nvxL POSTROUTING").splitlines()
        return cells.counted(rows, COUNTER)

    def start(self) -> None:
        self.source.run(shlex.join([self.engine, *self.run_words]))
        for host in (self.source, self.target):
            shape(host, self.cell.mbit)


def shape(host: Host, mbit: int) -> None:
    """The link as the testbed shapes it: see its role."""
    burst = max(65536, mbit * 500)
    host.run(f"tc qdisc replace dev eth0 root tbf rate {mbit}mbit latency 50ms burst {burst}")


class Sampling:
    """What both hosts see while something happens."""

    def __init__(self, hosts: list[Host]) -> None:
        script = f"{ON_HOST}/sampler.py"
        for host in hosts:
            host.run(f"cat > {script}", stdin=(HERE / "sampler.py").read_text())
        self._processes = [host.spawn(f"python3 {script}") for host in hosts]

    def end(self) -> list[list[cells.Sample]]:
        return [cells.parse_samples(process.communicate()[0]) for process in self._processes]


def move_by_this(bench: Bench, tracker: str) -> dict[str, Any]:
    directory = bench.lab.scratch / "report"
    options = {"migrate_report_dir": str(directory), "migrate_tracker": tracker}
    if tracker == "postcopy":
        options.update(migrate_tracker="auto", migrate_postcopy="when_needed")
    done = bench.lab.migrate(SERVICE, bench.target, timeout_s=LONG_S, **options).ok()
    (path,) = directory.glob("*.json")
    return {"total_s": done.seconds, "report": json.loads(path.read_text())}


def move_by_script(bench: Bench, name: str) -> dict[str, Any]:
    words = [bench.target.address, SERVICE, bench.image, "create"]
    words += [word for word in bench.run_words[1:] if word != "--detach"]
    started = time.monotonic()
    said = bench.source.run(" ".join([f"{ON_HOST}/{name}", *words, "</dev/null"]), timeout_s=LONG_S)
    return {"total_s": time.monotonic() - started, "said": said.splitlines()}


@contextmanager
def script_in_place(bench: Bench, method: str) -> Iterator[Callable[[Bench], dict[str, Any]]]:
    """Whatever the method needs on the hosts besides Docker, and its function."""
    ours, _dash, tracker = method.partition("-")
    if ours == "this":
        yield lambda where: move_by_this(where, tracker or "auto")
        return
    name = SCRIPTS[method]
    bench.source.run(f"cat > {ON_HOST}/{name}; chmod +x {ON_HOST}/{name}", stdin=(HERE / name).read_text())
    for host in (bench.source, bench.target):
        host.run(CRIU_CONFIG)
    yield lambda where: move_by_script(where, name)


def measure(bench: Bench, method: str) -> dict[str, Any]:
    for host in (bench.source, bench.target):
        assert host.run(f"cat {BOOT}") == BOOT.read_text(), (
            f"{host.name} has a clock of its own: a testbed is needed"
        )
    bench.clear()
    client = None
    try:
        bench.provide_image()
        bench.start()
        bench.count_answers()
        with script_in_place(bench, method) as move:
            client = Client(
                bench.lab, SERVICE, bench.lab.scratch, ["--probe-ms=1", f"--gap-ms={LOGGED_GAP_MS:g}"]
            )
            sampling = Sampling([bench.source, bench.target])
            time.sleep(SETTLE_S)
            answered = -bench.answered()
            started = time.monotonic()
            moved = move(bench)
            ended = time.monotonic()
            answered += bench.answered()
            time.sleep(SETTLE_S)
            on_source, on_target = sampling.end()
        seen = client.lost_nothing()
    finally:
        if client is not None:
            client.end()
        bench.clear()
    window = cells.gap_of_the_move(seen["gaps"])
    return {
        "cell": vars(bench.cell),
        "method": method,
        "downtime_ms": seen["downtime_client_ms"],
        "move_gap_ms": (window[1] - window[0]) * 1000,
        "wire_bytes": cells.sent_between(on_source, started, ended) - answered,
        "answer_bytes": answered,
        "window_bytes": cells.sent_between(on_source, *window),
        "peak_source_bytes": cells.peak_growth(on_source, started, ended),
        "peak_target_bytes": cells.peak_growth(on_target, started, ended),
        "lost_writes": seen["lost_writes"],
        "wrong_pages": seen["wrong_pages"],
        "acknowledged_writes": seen["acknowledged_writes"],
        "gaps": seen["gaps"],
        "span": [started, ended],
        "load_average": os.getloadavg()[0],
        **moved,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--inventory", type=Path, required=True, help="directory of the testbed's inventory")
    options.add_argument("--output", type=Path, required=True, help="JSON file to write")
    options.add_argument("--method", choices=list(cells.METHODS), required=True)
    options.add_argument("--memory-mib", type=int, default=256)
    options.add_argument("--dirty-pages", type=int, default=1000)
    options.add_argument("--mbit", type=int, default=100)
    options.add_argument("--image", choices=cells.IMAGES, default="cold")
    options.add_argument(
        "--write-bytes", type=int, default=cells.PAGE_BYTES, help="that a write to a page changes"
    )
    given = options.parse_args()
    cell = cells.Cell(given.memory_mib, given.dirty_pages, given.mbit, given.image, given.write_bytes)
    # Sockets of SSH have short names only in a short directory.
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        lab = Lab(given.inventory.resolve(), Path(scratch))
        engine = "podman" if given.method == "podman" else "docker"
        result = measure(Bench(lab, cell, engine), given.method)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    partial = given.output.with_suffix(".part")
    partial.write_text(json.dumps(result, indent=2) + "\n")
    partial.replace(given.output)
    print(
        f"{given.method}: {cell}: {result['total_s']:.1f} s, downtime {result['downtime_ms']:.0f} ms, "
        f"{result['wire_bytes'] / 1e6:.1f} MB, {result['window_bytes'] / 1e6:.1f} MB of them inside it"
    )


if __name__ == "__main__":
    main()
