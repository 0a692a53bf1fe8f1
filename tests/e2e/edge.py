"""What the end-to-end tests need of the testbed: hosts, playbooks, services, clients, a watch on who runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .spans import Span, at_the_same_time, spans_of

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ROOT / "tests" / "services"
COLLECTION = ROOT / "collections/ansible_collections/mec/migration"
HERE = Path(__file__).resolve().parent
ON_HOST = "/run/mec-e2e-on-host.py"
# Where a test mounts a file system that is soon full.
SMALL = "/run/mec-e2e-small"
PLAYBOOK_TIMEOUT_S = 600.0
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


class Patience:
    """How many times as long as usual everything may take: on hosts that are emulated, more than once."""

    factor = 1.0

    @classmethod
    def of(cls, seconds: float) -> float:
        return seconds * cls.factor


def wait_for(what: str, condition: Callable[[], Any], timeout_s: float = 180.0) -> Any:
    """The first true value of *condition*; says *what* never came true."""
    timeout_s = Patience.of(timeout_s)
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.1)
    return value


class Play(NamedTuple):
    """How a run of a playbook ended."""

    code: int
    output: str
    changed: int
    seconds: float

    @property
    def text(self) -> str:
        """The output in one line: messages are wrapped where the terminal ends."""
        return re.sub(r"\s+", " ", self.output)

    def ok(self) -> Play:
        assert self.code == 0, f"the playbook failed:\n{self.output[-6000:]}"
        return self

    def refused(self, *words: str) -> Play:
        """It failed, and its message holds all these."""
        assert self.code != 0, f"the playbook should have failed:\n{self.output[-3000:]}"
        for word in words:
            assert word in self.text, f"{word!r} is not in the message:\n{self.output[-4000:]}"
        return self


class Trigger:
    """A command that a host runs by itself as soon as a condition holds there."""

    def __init__(self, host: Host, condition: str, command: str) -> None:
        self._what = f"{condition} on {host.name}"
        words = ["python3", ON_HOST, "when", condition, command, str(Patience.of(180))]
        self._process = host.spawn(shlex.join(words))
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "waiting\n", f"cannot wait for {self._what}"

    def fired(self, play: Play | None = None) -> None:
        """The command was run, in the course of *play* or, without one, now."""
        try:
            output, _ = self._process.communicate(timeout=Patience.of(200 if play is None else 60))
        except subprocess.TimeoutExpired:
            self.end()
            assert play is not None, f"{self._what} never came"
            raise AssertionError(f"{self._what} never came:\n{play.output[-6000:]}") from None
        assert self._process.returncode == 0, f"{self._what}: {output}"

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


class Host:
    """An edge host over SSH."""

    def __init__(self, name: str, address: str, ssh: list[str]) -> None:
        self.name = name
        self.address = address
        self.ssh = ssh

    def run(self, command: str, *, check: bool = True, stdin: str = "", timeout_s: float = 300.0) -> str:
        done = subprocess.run(
            [*self.ssh, command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=Patience.of(timeout_s),
            check=False,
        )
        assert not check or done.returncode == 0, f"{self.name}: {command}: {done.stderr or done.stdout}"
        return done.stdout

    def spawn(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.ssh, command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def when(self, condition: str, command: str) -> Trigger:
        return Trigger(self, condition, command)

    def docker(self, *words: str, check: bool = True) -> str:
        return self.run(shlex.join(["docker", *words]), check=check).strip()

    def inspect(self, container: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", container))
        return found[0]

    def state(self, container: str) -> str:
        """Docker's word for it, or ``absent``."""
        listed = self.docker("ps", "--all", "--filter", f"name=^/{container}$", "--format", "{{.State}}")
        return listed or "absent"

    def running(self) -> list[str]:
        """Short ids of the containers of which a process really runs (not frozen)."""
        shown: list[str] = json.loads(self.run(f"python3 {ON_HOST} watch").splitlines()[0])["running"]
        return shown

    def leftovers(self) -> list[str]:
        """What a finished migration must not leave: journals, images, sockets, mounts of runc's."""
        command = (
            "find /var/lib/mec-migration -name '*.json*'; "
            "find /run/mec-migration -mindepth 1 -not -name armed -not -name progress; "
            "find /var/lib/docker/tmp -mindepth 1 -maxdepth 1 -name 'mec-migration-*'; "
            "awk '$5 ~ \"/criu-root$\" {print $5}' /proc/self/mountinfo"
        )
        return self.run(command, check=False).split()

    def fingerprint(self) -> str:
        """Everything that a refused migration could touch."""
        return self.run(
            "docker ps --all --no-trunc --format '{{.ID}} {{.Names}} {{.State}}'; "
            "docker ps -q | xargs -r docker inspect -f '{{.State.Pid}} {{.HostConfig.RestartPolicy}}'; "
            "docker image ls --quiet --no-trunc | sort; docker volume ls --quiet; "
            "find /var/lib/mec-migration -type f; "
            "find /run/mec-migration -mindepth 1 -not -path '*/progress*'"
        )

    def set_huge_pages(self, word: str) -> None:
        """Transparent huge pages, for memory that is mapped from now on."""
        self.run(f"echo {word} > /sys/kernel/mm/transparent_hugepage/enabled")

    def clock_ahead(self) -> float:
        """By how many seconds its CLOCK_MONOTONIC is ahead of the one here, to some milliseconds."""
        boot = "/proc/sys/kernel/random/boot_id"
        if self.run(f"cat {boot}") == Path(boot).read_text():
            return 0.0
        process = self.spawn(f"python3 {ON_HOST} clock")
        assert process.stdin is not None
        assert process.stdout is not None
        shortest, ahead = float("inf"), 0.0
        for _ in range(20):
            asked = time.monotonic()
            process.stdin.write("\n")
            process.stdin.flush()
            there = float(process.stdout.readline())
            answered = time.monotonic()
            if answered - asked < shortest:
                shortest, ahead = answered - asked, there - (asked + answered) / 2
        process.communicate(timeout=Patience.of(60))
        return ahead

    def slow_down(self, mbit: int) -> None:
        """What the host sends, peers and clients alike; :meth:`heal` ends it."""
        self.run(
            "[ -e /run/mec-e2e-qdisc ] || tc qdisc show dev eth0 root > /run/mec-e2e-qdisc; "
            f"tc qdisc replace dev eth0 root tbf rate {mbit}mbit burst 64kb latency 50ms"
        )

    def cut_from(self, peer: Host, *, reset: bool) -> str:
        """The command that cuts this host off from *peer*: it breaks every connection at once if *reset*,
        else packets vanish without a word. :meth:`heal` ends it."""
        rules = [f"-d {peer.address} -j DROP", f"-s {peer.address} -j DROP"]
        if reset:
            # Who sends is answered with a reset, which has to come through itself.
            rejects = [
                f"-p tcp {way} {peer.address} -j REJECT --reject-with tcp-reset" for way in ("-d", "-s")
            ]
            rules = ["-p tcp --tcp-flags RST RST -j ACCEPT", *rejects, *rules]
        # All but the last step is done now, so that the cut itself takes no time.
        self.run("iptables -N E2E; " + "; ".join(f"iptables -A E2E {rule}" for rule in rules))
        return "iptables -I OUTPUT -j E2E; iptables -I INPUT -j E2E"

    def heal(self) -> None:
        """Undo :meth:`slow_down`, every cut, a full file system; wait for a daemon that comes back."""
        self.run(
            "for chain in INPUT OUTPUT; do while iptables -D $chain -j E2E 2>/dev/null; do :; done; done; "
            "iptables -F E2E 2>/dev/null; iptables -X E2E 2>/dev/null; "
            "if [ -e /run/mec-e2e-qdisc ]; then "
            "  set -- $(sed 's/.* root refcnt [0-9]* //; s/.*qdisc noqueue.*//' /run/mec-e2e-qdisc); "
            "  if [ $# -gt 0 ]; then tc qdisc replace dev eth0 root tbf $*; "
            "  else tc qdisc del dev eth0 root; fi; "
            "  rm /run/mec-e2e-qdisc; fi; "
            f"while umount --lazy {SMALL} 2>/dev/null; do :; done; "
            "for i in $(seq 150); do docker version >/dev/null 2>&1 && exit; sleep 0.2; done; exit 1"
        )

    def restart_docker(self) -> None:
        """Stop the daemon in good order; the host starts it again."""
        self.run("old=$(pgrep -x dockerd); kill $old; while [ -e /proc/$old ]; do sleep 0.1; done")
        self.heal()

    def wipe(self, containers: list[str]) -> None:
        """Remove whatever a failed test has left here. Not what the tests rely on: see the fixtures."""
        self.heal()
        self.run(
            f"for role in handover receiver; do "
            f"pid=$(python3 {ON_HOST} pid $role 2>/dev/null) && kill -9 $pid; done; "
            "pkill -9 -x criu; pkill -9 -x runc; "
            "awk '$5 ~ \"^/run/mec-migration/|/criu-root$\" {print $5}' /proc/self/mountinfo | sort -r "
            "| xargs -r umount --lazy; "
            "for s in /sys/fs/cgroup/freezer/docker/*/freezer.state; do [ -e $s ] && echo THAWED > $s; done; "
            "for s in /sys/fs/cgroup/docker/*/cgroup.freeze; do [ -e $s ] && echo 0 > $s; done; "
            "docker ps -q --filter status=paused | xargs -r docker unpause; "
            f"docker rm --force --volumes {shlex.join(containers)}; "
            "docker volume ls -q | xargs -r docker volume rm --force; "
            "rm -rf /var/lib/mec-migration/*.json* /var/lib/mec-migration/cordoned /run/mec-migration/* "
            "/var/lib/docker/tmp/mec-migration-*; true"
        )
        if self.run("pgrep -x docker-proxy", check=False):
            self.restart_docker()


class Lab:
    """The hosts of an inventory, and playbooks on them."""

    def __init__(self, inventory: Path, scratch: Path) -> None:
        hosts_file = inventory / "hosts.yml"
        assert hosts_file.is_file(), f"no testbed: {hosts_file} is not there. `make lab-up` brings one up"
        group = yaml.safe_load(hosts_file.read_text())["edge_hosts"]
        self.inventory = inventory
        self.scratch = scratch
        directory = str(inventory.resolve())
        variables = {k: str(v).replace("{{ inventory_dir }}", directory) for k, v in group["vars"].items()}
        common = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
        common += ["-o", "ControlMaster=auto", "-o", "ControlPersist=120", "-o", f"ControlPath={scratch}/%C"]
        common += ["-i", variables["ansible_ssh_private_key_file"]]
        common += shlex.split(variables["ansible_ssh_common_args"])
        self.hosts = [
            Host(
                name, entry["ansible_host"], [*common, f"{variables['ansible_user']}@{entry['ansible_host']}"]
            )
            for name, entry in group["hosts"].items()
        ]
        assert len(self.hosts) >= 2, f"{hosts_file} has {len(self.hosts)} hosts, the tests need two"
        for host in self.hosts:
            host.run(f"cat > {ON_HOST}", stdin=(HERE / "on_host.py").read_text())

    def start(self, name: str, *options: str, **variables: Any) -> subprocess.Popen[str]:
        """A playbook in a process group of its own."""
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.inventory)]
        command += ["--limit", ",".join(host.name for host in self.hosts[:2])]
        command += [f"playbooks/{name}.yml", "-e", json.dumps(variables), *options]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def play(self, name: str, *options: str, timeout_s: float = PLAYBOOK_TIMEOUT_S, **variables: Any) -> Play:
        timeout_s = Patience.of(timeout_s)
        started = time.monotonic()
        process = self.start(name, *options, **variables)
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            kill_group(process)
            output, _ = process.communicate()
            raise AssertionError(f"{name} did not end in {timeout_s:g} s:\n{output[-4000:]}") from None
        changed = sum(int(counts[2]) for counts in RECAP.findall(output))
        return Play(process.returncode, output, changed, time.monotonic() - started)

    def migrate(self, service: str, target: Host, *options: str, **variables: Any) -> Play:
        if Patience.factor > 1:
            timeouts = {"silence": 10, "answer": 60, "idle": 300, "health": 30}
            patient = {f"migrate_{name}_timeout_s": Patience.of(usual) for name, usual in timeouts.items()}
            variables = {**patient, **variables}
        return self.play("migrate", *options, service=service, target=target.name, **variables)

    def runs_on(self) -> list[str]:
        """Hosts with a container of which a process really runs, frozen ones left out."""
        return [host.name for host in self.hosts[:2] for _ in host.running()]

    def move(self, service: str, target: Host, **variables: Any) -> dict[str, Any]:
        """A migration that must succeed; returns its report."""
        # A test may use a copy of the testbed with its hosts in another order, so no counter of its own here.
        directory = Path(tempfile.mkdtemp(prefix="report-", dir=self.scratch))
        self.migrate(service, target, migrate_report_dir=str(directory), **variables).ok()
        (path,) = directory.glob("*.json")
        report: dict[str, Any] = json.loads(path.read_text())
        return report


def kill_group(process: subprocess.Popen[str]) -> None:
    """SIGKILL to a playbook and all that it has started on the controller."""
    os.killpg(process.pid, signal.SIGKILL)


def catalogue() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((SERVICES / "services.yml").read_text())[
        "demo_services"
    ]
    return found


def docker_run(
    service: str, options: list[str], env: dict[str, str], name: str = "", port: int = 0
) -> list[str]:
    """The words of ``docker run`` for a demo service; *options* on top of what the catalogue says.

    :param name: where several of a kind run, its own, with a *port* of its own.
    """
    entry = catalogue()[service]
    words = ["run", "--detach", "--name", name or service, "--restart", "unless-stopped"]
    ports = [re.sub("^[0-9]+", str(port), one) for one in entry["ports"]] if port else entry["ports"]
    words += [word for one in ports for word in ("--publish", one)]
    words += [word for volume in entry["volumes"] for word in ("--volume", volume)]
    words += [word for key, value in {**entry["env"], **env}.items() for word in ("--env", f"{key}={value}")]
    return [*words, *options, entry["image"], *entry["command"]]


class Client:
    """A demo service's client, which checks every answer and follows the service.

    :param name: of the service, where it is not that of its kind; *port*: likewise.
    :param hosts: where it may be; the first two of *lab* if not given.
    """

    def __init__(
        self,
        lab: Lab,
        service: str,
        directory: Path,
        options: list[str],
        *,
        name: str = "",
        port: int = 0,
        hosts: list[Host] | None = None,
    ) -> None:
        entry, name = catalogue()[service], name or service
        self._summary, self._log = directory / f"{name}.json", directory / f"{name}.log"
        ready = directory / f"{name}.ready"
        command = [
            sys.executable,
            str(SERVICES / "clients" / entry["client"]),
            f"--give-up-s={Patience.of(900):g}",
            f"--seconds={Patience.of(3600):g}",
            # A slow host's processor is needed for the move.
            f"--period-ms={2 * Patience.factor**2:g}",
            f"--probe-ms={Patience.of(5):g}",
            f"--silence-ms={Patience.of(20):g}",
        ]
        command += [f"--summary={self._summary}", f"--ready={ready}", *options]
        command += [f"{host.address}:{port or entry['port']}" for host in hosts or lab.hosts[:2]]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(f"the first answer of {name}", lambda: ready.exists() or self._process.poll() is not None)
        assert self._process.poll() is None, f"the client ended: {self._log.read_text()}"

    def stop(self) -> dict[str, Any]:
        """Let it read everything back; returns its account."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=Patience.of(300))
        assert self._summary.exists(), f"the client left no account: {self._log.read_text()}"
        account: dict[str, Any] = json.loads(self._summary.read_text())
        return account

    def lost_nothing(self) -> dict[str, Any]:
        """Stop it; every answer must have been right. Returns its account."""
        account = self.stop()
        told = {key: account[key] for key in ("lost_writes", "wrong_answers", "wrong_examples")}
        assert told == {"lost_writes": 0, "wrong_answers": 0, "wrong_examples": []}, account
        assert account["acknowledged_writes"] > 0
        return account

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


class Watch:
    """Who ran when, on all hosts, as their freezers and processes say, on one clock."""

    def __init__(self, hosts: list[Host]) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._processes = {host.name: host.spawn(f"python3 {ON_HOST} watch") for host in hosts}

    def at_most_one(self) -> None:
        """Stop watching; no two copies may ever have run at the same time."""
        spans: list[Span] = []
        for name, process in self._processes.items():
            # The end of its input ends it.
            output, _ = process.communicate(timeout=Patience.of(120))
            spans += spans_of(name, output, self._hosts[name].clock_ahead())
        double = at_the_same_time(spans)
        assert not double, f"{double[0]}: {spans}"

    def end(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


class Service(NamedTuple):
    """A demo service that was started on the source, its client, and the watch on all copies of it."""

    name: str
    lab: Lab
    client: Client
    watch: Watch
    source: Host
    target: Host

    def migrate(self, target: Host, *options: str, **variables: Any) -> Play:
        return self.lab.migrate(self.name, target, *options, **variables)

    def move(self, target: Host, **variables: Any) -> dict[str, Any]:
        return self.lab.move(self.name, target, **variables)

    def lost_nothing(self) -> dict[str, Any]:
        """End the client and the watch: every answer right, at most one copy at any time."""
        account = self.client.lost_nothing()
        self.watch.at_most_one()
        return account

    def goes_on(self, here: Host) -> None:
        """After a fault it runs *here* and nowhere else; when all is healed it moves to the other host."""
        there = self.target if here is self.source else self.source
        wait_for(f"it runs on {here.name} only", lambda: self.lab.runs_on() == [here.name])
        policy = here.inspect(self.name)["HostConfig"]["RestartPolicy"]["Name"]
        assert policy == "unless-stopped", f"its restart policy is {policy} now"
        for host in (here, there):
            host.heal()
        self.move(there)
        assert self.lab.runs_on() == [there.name]
        assert here.state(self.name) == "absent"
        self.lost_nothing()

    def is_in_doubt(self) -> None:
        """Frozen on the source: it is there and executes nothing."""
        assert self.source.name not in self.lab.runs_on()
        assert self.source.state(self.name) != "absent"

    def resolve(self, *options: str, **words: Any) -> Play:
        """What the error message says: when both hosts can be reached, mec.migration.resolve."""
        for host in (self.source, self.target):
            host.heal()
        return self.lab.play("resolve", *options, service=self.name, **words)
