"""A hook at the hand-over: a client of HAProxy that knows nothing of hosts sees no failed request."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .conftest import StartService
from .edge import Host, Lab, wait_for
from .visitor import Visitor

# As in docs/hooks.md of the collection. The time-out ends what waits for the frozen source; the request is
# made again at whatever host the hook has named meanwhile.
HAPROXY = """\
global
  stats socket {stats} level admin
defaults
  mode http
  timeout connect 200ms
  timeout client 60s
  timeout server 250ms
  retries 40
  option redispatch 1
  option http-buffer-request
  retry-on conn-failure empty-response response-timeout
frontend entry
  bind {entry}
  default_backend web
backend web
  server {source} {source_address}:8080
  server {target} {target_address}:8080 disabled
"""
SWITCH = (
    "exec 3<>/dev/tcp/{host}/{port}; "
    'echo "set server web/$MEC_TARGET state ready; set server web/$MEC_SOURCE state maint" >&3; cat <&3'
)


def free_port(address: str) -> int:
    with socket.create_server((address, 0)) as listener:
        return int(listener.getsockname()[1])


class Proxy:
    """Debian's HAProxy on this machine, in front of the first host, with the second one switched off."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        program = shutil.which("haproxy") or "/usr/sbin/haproxy"
        source, target = lab.hosts[:2]
        # By which the hosts know this machine.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((source.address, 9))
            self.address = probe.getsockname()[0]
        self.stats_port = free_port(self.address)
        self.entry = ("127.0.0.1", free_port("127.0.0.1"))
        config = directory / "haproxy.cfg"
        config.write_text(
            HAPROXY.format(
                stats=f"ipv4@{self.address}:{self.stats_port}",
                entry=f"{self.entry[0]}:{self.entry[1]}",
                source=source.name,
                source_address=source.address,
                target=target.name,
                target_address=target.address,
            )
        )
        self._log = (directory / "haproxy.log").open("w")
        self._process = subprocess.Popen(
            [program, "-f", str(config), "-db"], stdout=self._log, stderr=self._log
        )

    def switch(self) -> list[str]:
        """The hook."""
        return ["bash", "-c", SWITCH.format(host=self.address, port=self.stats_port)]

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()


@pytest.fixture
def proxy(lab: Lab, tmp_path: Path) -> Iterator[Proxy]:
    made = Proxy(lab, tmp_path)
    yield made
    made.end()


def hook_tasks(directory: Path) -> dict[str, str]:
    """A file of tasks for each step, which notes that it ran."""
    files = {}
    for step in ("before_handover", "after_handover", "after_commit", "on_failure"):
        note = (
            f"{{{{ migrate_hook }}}} of {{{{ migrate_service }}}} to {{{{ migrate_target }}}} at {directory}"
        )
        task = {
            "name": "Note that it ran",
            "ansible.builtin.lineinfile": {
                "path": str(directory / "steps.txt"),
                "line": note,
                "create": True,
                "mode": "0644",
            },
            "delegate_to": "localhost",
        }
        files[step] = str(directory / f"{step}.yml")
        Path(files[step]).write_text(yaml.safe_dump([task]))
    return files


def test_a_client_behind_haproxy_sees_no_failed_request(
    lab: Lab, start: StartService, proxy: Proxy, source: Host, target: Host, tmp_path: Path
) -> None:
    start("web", source)
    first = Visitor(lambda: proxy.entry, again_after_s=1)
    wait_for("the service behind HAProxy", lambda: '"total"' in first.ask("GET", 1))
    visitor = Visitor(lambda: proxy.entry)
    visitor.start()
    report = lab.move("web", target, migrate_on_handover=proxy.switch(), migrate_hooks=hook_tasks(tmp_path))
    time.sleep(1)
    visitor.stop()
    print(visitor.account(report))
    assert visitor.failed == []
    assert visitor.requests > 20
    assert report["on_handover"]["error"] == ""
    steps = (tmp_path / "steps.txt").read_text().splitlines()
    assert [line.split()[0] for line in steps] == ["before_handover", "after_handover", "after_commit"]


def test_a_hook_that_fails_before_the_hand_over_leaves_the_service_where_it_is(
    lab: Lab, start: StartService, source: Host, target: Host, tmp_path: Path
) -> None:
    start("redis", source)
    hooks = hook_tasks(tmp_path)
    fail = [{"name": "Refuse", "ansible.builtin.fail": {"msg": "not in business hours"}}]
    Path(hooks["before_handover"]).write_text(yaml.safe_dump(fail))
    lab.migrate("redis", target, migrate_hooks=hooks).refused("not in business hours")
    assert (source.state("redis"), target.state("redis")) == ("running", "absent")
    assert (tmp_path / "steps.txt").read_text().startswith("on_failure of redis")
    Path(hooks["before_handover"]).write_text("- name: [unfinished")
    lab.migrate("redis", target, migrate_hooks=hooks).refused("before_handover.yml")
    Path(hooks["before_handover"]).write_text("name: no list")
    lab.migrate("redis", target, migrate_hooks=hooks).refused("has no list of tasks")
    missing = {"after_commit": "no-such-file.yml"}
    lab.migrate("redis", target, migrate_hooks=missing).refused("no-such-file.yml")
