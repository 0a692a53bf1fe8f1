"""The examples of the collection's docs/hooks, with Debian's nginx and Knot DNS, under a client."""

from __future__ import annotations

import base64
import secrets
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import StartService
from .edge import COLLECTION, Host, Lab, wait_for
from .visitor import Place, Visitor

pytestmark = pytest.mark.hooks

EXAMPLES = COLLECTION / "docs/hooks"
SERVICE_PORT = 8080
NGINX = """\
user root;
pid {directory}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/bodies;
    include {directory}/upstream.conf;
    server {{
        listen 127.0.0.1:{port};
        include {directory}/nginx-web.conf;
    }}
}}
"""
KNOT = """\
server:
  rundir: {directory}
  listen: 127.0.0.1@{port}
database:
  storage: {directory}
key:
  - id: hooks
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: hooks
    key: hooks
    action: update
zone:
  - domain: edge.test
    storage: {directory}
    file: edge.test.zone
    acl: hooks
"""
ZONE = """\
edge.test. 1 SOA ns.edge.test. admin.edge.test. 1 60 60 60 1
edge.test. 1 NS ns.edge.test.
ns.edge.test. 1 A 127.0.0.1
web.edge.test. 1 A {address}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Programs in the foreground, ended with the test."""
    started = []

    def spawn(*words: str) -> None:
        log = (tmp_path / "programs.log").open("a")
        started.append(subprocess.Popen(words, stdout=log, stderr=log))
        log.close()

    yield spawn
    for each in started:
        each.terminate()
        each.wait()


def moved(lab: Lab, target: Host, visitor: Visitor, **variables: Any) -> dict[str, Any]:
    """The report of a move of the service `web` under the visitor, who is given three more seconds."""
    wait_for("the service", lambda: '"total"' in visitor.ask("GET", 1))
    # Of the time before the service was up.
    visitor.failed, visitor.requests, visitor.repeated, visitor.longest_ms = [], 0, 0, 0.0
    visitor.start()
    report = lab.move("web", target, **variables)
    time.sleep(3)
    visitor.stop()
    print(visitor.account(report))
    return report


def servers(first: Host, other: Host) -> str:
    """As the example writes them: the first one, and both in turn."""
    backups = "".join(
        f"    server {host.address}:{SERVICE_PORT} max_fails=0 backup;\n" for host in (other, first)
    )
    return f"    server {first.address}:{SERVICE_PORT} max_fails=0;\n{backups * 2}"


def test_nginx(
    lab: Lab,
    start: StartService,
    source: Host,
    target: Host,
    tmp_path: Path,
    run: Callable[..., None],
) -> None:
    start("web", source)
    port = free_port()
    upstream = tmp_path / "upstream.conf"
    upstream.write_text(f"upstream web {{\n{servers(source, target)}}}\n")
    (tmp_path / "nginx-web.conf").write_text((EXAMPLES / "nginx.conf").read_text())
    (tmp_path / "nginx.conf").write_text(NGINX.format(directory=tmp_path, port=port))
    nginx = ["/usr/sbin/nginx", "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "errors.log")]
    run(*nginx, "-g", "daemon off;")
    visitor = Visitor(lambda: ("127.0.0.1", port))
    moved(
        lab,
        target,
        visitor,
        migrate_hooks={"after_handover": str(EXAMPLES / "nginx.yml")},
        nginx_host="localhost",
        nginx_upstream_file=str(upstream),
        nginx_reload=[*nginx, "-s", "reload"],
        service_port=SERVICE_PORT,
    )
    assert visitor.failed == []
    assert servers(target, source) in upstream.read_text()


def test_dns(
    lab: Lab,
    start: StartService,
    source: Host,
    target: Host,
    tmp_path: Path,
    run: Callable[..., None],
) -> None:
    start("web", source)
    port = free_port()
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    (tmp_path / "knot.conf").write_text(KNOT.format(directory=tmp_path, port=port, secret=secret))
    (tmp_path / "edge.test.zone").write_text(ZONE.format(address=source.address))
    (tmp_path / "key").write_text(f"hmac-sha256:hooks:{secret}\n")
    run("/usr/sbin/knotd", "-c", str(tmp_path / "knot.conf"))

    def where() -> Place:
        words = ["kdig", "@127.0.0.1", "-p", str(port), "+short", "web.edge.test", "A"]
        answer = subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()
        return (answer[0] if answer else "127.0.0.1", SERVICE_PORT)

    visitor = Visitor(where, again_after_s=0.25)
    moved(
        lab,
        target,
        visitor,
        migrate_hooks={"after_handover": str(EXAMPLES / "dns.yml")},
        dns_key_file=str(tmp_path / "key"),
        dns_server="127.0.0.1",
        dns_port=port,
        dns_zone="edge.test",
    )
    assert visitor.failed == []
    assert where() == (target.address, SERVICE_PORT)


def test_a_virtual_address(lab: Lab, start: StartService, source: Host, target: Host, tmp_path: Path) -> None:
    start("web", source)
    address = source.address.rpartition(".")[0] + ".200"
    example = yaml.safe_load((EXAMPLES / "address.yml").read_text())
    program = [*example["migrate_on_handover"][:3], address, "eth0"]
    source.run(shlex.join(program))
    try:
        visitor = Visitor(lambda: (address, SERVICE_PORT), again_after_s=0.25)
        report = moved(
            lab,
            target,
            visitor,
            migrate_on_handover=example["migrate_on_handover"],
            migrate_hooks={"after_handover": str(EXAMPLES / "address_after.yml")},
            service_address=address,
            service_device="eth0",
        )
        assert visitor.failed == []
        assert report["on_handover"]["error"] == ""
        assert address not in source.run("ip address show")
        assert address in target.run("ip address show")
    finally:
        for host in (source, target):
            host.run(f"ip address del {address}/32 dev eth0", check=False)
