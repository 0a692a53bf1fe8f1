"""Services of several users on the hosts of a testbed, each with a client that checks every answer."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml
from e2e.edge import Client, Host, Lab, Play, catalogue, docker_run
from e2e.images import copy_image

LOCKS = "/var/lib/mec-migration/locks"
# Twelve clients that write every other millisecond would need a processor of their own.
PERIOD_MS = 100
# No limit of speed: what hangs ends.
LONG_S = 3600.0


class Tenant(NamedTuple):
    """A service, its user, and where it begins."""

    name: str
    kind: str
    port: int
    user: str
    start: str
    env: Mapping[str, str] = MappingProxyType({})


class Fleet:
    """Tenants on hosts that stand somewhere on a map.

    :param places: by host its variables: ``mec_cell``, ``mec_capacity``.
    """

    def __init__(
        self, lab: Lab, directory: Path, tenants: Sequence[Tenant], places: dict[str, dict[str, Any]]
    ) -> None:
        self.lab = lab
        self.tenants = list(tenants)
        self.hosts = {host.name: host for host in lab.hosts if host.name in places}
        assert set(self.hosts) == set(places), f"the testbed has {[host.name for host in lab.hosts]}"
        self.costs = directory / "costs.jsonl"
        self._directory = directory
        self._clients: dict[str, Client] = {}
        self._places = directory / "places.yml"
        self.place(places)

    def place(self, places: dict[str, dict[str, Any]]) -> None:
        """Give the hosts other variables."""
        self._places.write_text(yaml.safe_dump({"edge_hosts": {"hosts": places}}))

    def begin(self) -> None:
        """Start every service where it begins, then its client."""
        for tenant in self.tenants:
            self.provide_image(tenant.kind, self.hosts[tenant.start])
            words = docker_run(tenant.kind, [], dict(tenant.env), tenant.name, tenant.port)
            self.hosts[tenant.start].docker(*words)
        for tenant in self.tenants:
            self._clients[tenant.name] = Client(
                self.lab,
                tenant.kind,
                self._directory,
                [f"--period-ms={PERIOD_MS}"],
                name=tenant.name,
                port=tenant.port,
                hosts=list(self.hosts.values()),
            )

    def provide_image(self, kind: str, host: Host) -> None:
        """Docker runs only what the host has; the first host has all images."""
        image = catalogue()[kind]["image"]
        if not host.docker("image", "ls", "--quiet", image):
            copy_image(image, self.lab.hosts[0], host)

    def command(self, **variables: Any) -> dict[str, Any]:
        """What each run of a playbook is given."""
        return {
            "mec_services": [{"name": one.name, "user": one.user} for one in self.tenants],
            "costs_file": str(self.costs),
            "edge_hosts_pattern": ",".join(self.hosts),
            **variables,
        }

    def options(self) -> list[str]:
        # Not the hosts' names: then services would leave a host one after the other.
        return ["-i", str(self._places), "--limit", "all"]

    def run(self, playbook: str, report: str, **variables: Any) -> Play:
        """A run whose report goes to the directory *report*."""
        given = self.command(follow_report_dir=str(self._directory / report), **variables)
        return self.lab.play(playbook, *self.options(), timeout_s=LONG_S, **given)

    def start(self, playbook: str, report: str, **variables: Any) -> subprocess.Popen[str]:
        given = self.command(follow_report_dir=str(self._directory / report), **variables)
        return self.lab.start(playbook, *self.options(), **given)

    def report(self, name: str) -> dict[str, Any]:
        (path,) = (self._directory / name).glob("*.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def records(self) -> list[dict[str, Any]]:
        """What was written down of each migration so far."""
        if not self.costs.exists():
            return []
        return [json.loads(line) for line in self.costs.read_text().splitlines()]

    def where(self) -> dict[str, list[str]]:
        """By service the hosts where Docker calls it running."""
        found: dict[str, list[str]] = {tenant.name: [] for tenant in self.tenants}
        for host in self.hosts.values():
            for name in host.docker("ps", "--filter", "status=running", "--format", "{{.Names}}").split():
                if name in found:
                    found[name].append(host.name)
        return found

    def lost_nothing(self) -> dict[str, dict[str, Any]]:
        """Each service runs once, and its client got every answer right; the accounts by service."""
        assert {name: len(hosts) for name, hosts in self.where().items()} == dict.fromkeys(self.where(), 1)
        accounts = {name: client.lost_nothing() for name, client in self._clients.items()}
        for host in self.hosts.values():
            assert host.run(f"ls {LOCKS} 2>/dev/null", check=False) == ""
            assert host.leftovers() == []
        return accounts

    def end(self) -> None:
        for client in self._clients.values():
            client.end()
        self.wipe()

    def wipe(self) -> None:
        for host in self.hosts.values():
            host.wipe([tenant.name for tenant in self.tenants])
            host.run(f"rm -f {LOCKS}/*")


def moves(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [move for done in report["rounds"] for move in done["moves"]]


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    """By service how its move ended, where none was to move twice."""
    found = moves(report)
    assert max(Counter(move["service"] for move in found).values(), default=0) <= 1
    return {move["service"]: move["outcome"] for move in found}


def entry(report: dict[str, Any], number: int, service: str) -> dict[str, Any]:
    """What was decided for *service* in that round, the first being 1."""
    (found,) = [one for one in report["rounds"][number - 1]["services"] if one["service"] == service]
    decided: dict[str, Any] = found
    return decided


def explained(report: dict[str, Any]) -> None:
    """Every move has its decision, which says why it is made and where to."""
    for done in report["rounds"]:
        decided = {one["service"]: one for one in done["services"]}
        for move in done["moves"]:
            decision = decided[move["service"]]["decision"]
            assert decision["migrate"]
            assert decision["target"] == move["target"]
            assert move["reason"].startswith(decision["reason"])
            assert decision["expected_costs"][move["target"]] < decision["expected_costs"][move["source"]]


def costs_told(output: str) -> dict[str, float]:
    """What the playbook said at its end."""
    told = {}
    for line in output.splitlines():
        name, _, rest = line.strip().removeprefix("- ").partition("  ")
        if name in ("this run", "never", "always, nearest", "offline optimum"):
            told[name] = float(rest.split()[0])
    return told
