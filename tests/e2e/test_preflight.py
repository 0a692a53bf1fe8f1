"""A migration that cannot work is refused, with the reason and the remedy, before anything is touched."""

from __future__ import annotations

from .conftest import StartService
from .edge import Host, Lab


def refuses(lab: Lab, service: str, target: Host, *words: str) -> None:
    """The migration fails with these words in its message, and both hosts are as they were."""
    before = [host.fingerprint() for host in lab.hosts[:2]]
    lab.migrate(service, target).refused(*words)
    assert [host.fingerprint() for host in lab.hosts[:2]] == before


def test_port_is_taken_on_the_target(lab: Lab, source: Host, target: Host, start: StartService) -> None:
    start("redis", source)
    listen = "import socket; s = socket.create_server(('', 6379)); print('listens', flush=True); s.accept()"
    squatter = target.spawn(f'exec timeout 300 python3 -c "{listen}"')
    assert squatter.stdout is not None
    assert squatter.stdout.readline() == "listens\n"
    try:
        refuses(lab, "redis", target, "6379", "already")
    finally:
        target.run("pkill -f 'timeout 300 python[3]'")
        squatter.wait(timeout=30)


def test_terminal(lab: Lab, source: Host, target: Host, start: StartService) -> None:
    start("redis", source, "--tty")
    refuses(lab, "redis", target, "started with `-t`", "Start it without `-t`")


def test_no_such_container(lab: Lab, target: Host) -> None:
    refuses(lab, "nobody", target, "nobody must run on exactly one host", "none")


def test_namespace_of_another_container(lab: Lab, source: Host, target: Host, start: StartService) -> None:
    start("redis", source)
    source.docker(
        "run",
        "--detach",
        "--name",
        "guest",
        "--network",
        "container:redis",
        "mec-demo/redis",
        "redis-server",
        "--port",
        "7000",
    )
    try:
        refuses(lab, "guest", target, "shares a namespace of another container", "Give it its own")
    finally:
        source.docker("rm", "--force", "--volumes", "guest")


def test_what_cannot_be_meant(lab: Lab, source: Host, target: Host, start: StartService) -> None:
    """Not one of these runs nothing and says that all is well."""
    start("redis", source)
    before = [host.fingerprint() for host in lab.hosts[:2]]
    lab.play("migrate", service="redis").refused("Give a service and a target", "target none")
    lab.play("migrate", service="redis", target="edge-nowhere").refused("target edge-nowhere", "Known hosts")
    lab.play("migrate", "--tags", "precopy", service="redis", target=target.name).refused(
        "no tags", "precopy"
    )
    lab.play("migrate", "--skip-tags", "commit", service="redis", target=target.name).refused("no tags")
    assert [host.fingerprint() for host in lab.hosts[:2]] == before
