"""Services move, and nobody notices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Serve, StartService
from .edge import Host, Lab, wait_for

REPORT_KEYS = {
    *("service", "source", "target", "memory_bytes", "total_bytes", "frozen_bytes", "rounds", "frozen_ms"),
    *("downtime_client_ms", "acknowledged_writes", "lost_writes", "tracker"),
}
LIMITS = ["--memory=512m", "--cpu-shares=512", "--ulimit=nofile=4096:8192", "--log-opt=max-size=1m"]


def specification(inspected: dict[str, Any]) -> dict[str, Any]:
    """What must be the same after a move.

    Not the same: the container's id, the runtime, addresses, and where volumes lie on the host. A volume
    without a name is found by its generated one, so that stands in ``Binds`` and changes its ``Mode``.
    """
    host_config = {k: v for k, v in inspected["HostConfig"].items() if k not in ("Runtime", "Binds")}
    mounts = [
        {k: v for k, v in mount.items() if k not in ("Source", "Mode")} for mount in inspected["Mounts"]
    ]
    return {
        **{key: inspected[key] for key in ("Name", "Image", "Path", "Args", "Config")},
        "HostConfig": host_config,
        "Mounts": sorted(mounts, key=lambda mount: str(mount["Destination"])),
        "Networks": sorted(inspected["NetworkSettings"]["Networks"]),
        "Ports": inspected["NetworkSettings"]["Ports"],
    }


def is_normal(host: Host, container: str) -> None:
    """Docker does everything with it that it does with others."""
    assert host.docker("exec", container, "echo", "here") == "here"
    host.docker("logs", container)
    host.docker("restart", "--time=5", container)
    host.docker("stop", "--time=5", container)
    assert host.state(container) == "exited"
    host.docker("start", container)
    wait_for(f"{container} runs again", lambda: len(host.running()) == 1)


def test_redis_there_and_back_three_times(lab: Lab, serve: Serve) -> None:
    redis = serve("redis", client=["--preload-mib=64"], docker=[*LIMITS, "--label=team=edge"])
    here, there = redis.source, redis.target
    before = specification(here.inspect("redis"))
    for _ in range(6):
        report = redis.move(there)
        assert here.state("redis") == "absent"
        assert specification(there.inspect("redis")) == before
        assert here.leftovers() + there.leftovers() == []
        assert not REPORT_KEYS - set(report)
        assert report["memory_bytes"] > 64 << 20
        assert report["frozen_bytes"] < report["memory_bytes"] / 4
        assert report["image_bytes"] < 100_000 or there is redis.target, "the image was there already"
        here, there = there, here
    account = redis.lost_nothing()
    assert account["same_process"], "Redis is another process than at the beginning"
    assert len(account["switches"]) == 6, account["switches"]
    is_normal(here, "redis")


def test_tracker_that_asks_the_kernel(lab: Lab, serve: Serve) -> None:
    redis = serve("redis", client=["--preload-mib=128"])
    here, there = redis.source, redis.target
    for _ in range(2):
        report = redis.move(there, migrate_tracker="uffd")
        assert report["tracker"] == "uffd"
        assert report["tracker_reason"] == "asked for", "a process could not be tracked"
        # Only what was written is looked at, but in the first round of each of the two modules.
        scanned = sorted(done["pages_scanned"] for done in report["rounds"])
        assert sum(scanned[:-2]) < report["memory_bytes"] // 4096 / 4, scanned
        assert 0 < report["window"]["pages_scanned"] < report["memory_bytes"] // 4096 / 20
        here, there = there, here
    account = redis.lost_nothing()
    assert account["same_process"], "Redis is another process than at the beginning"


# What the container's processes see of their tmpfs mounts and of their network's settings. Masked files are
# the container's /dev/null before a move and the host's, as runc restores them, after it.
INSIDE = """
cd /proc/$(docker inspect -f '{{.State.Pid}}' redis)
awk '$4 != "/null" {print $5, $6, $7, $8, $9, $10, $11}' mountinfo | grep tmpfs | sort
nsenter --net=ns/net cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/core/somaxconn
cd root
find dev dev/shm small large -xdev -printf '%p %M %U %G %s %l\\n' | sort
find dev/shm small large -printf '%p %T@ %n\\n' | sort
python3 -c 'import os; print(os.getxattr("large/file", "user.kind"))'
find dev/shm small large -type f -exec sha256sum {} + | sort
"""
FILL = """
cd /proc/$(docker inspect -f '{{.State.Pid}}' redis)/root
mkdir -m 750 small/folder && head -c 3000 /dev/urandom > small/folder/file && chown 33:44 small/folder/file
ln -s folder/file small/link && mkfifo -m 600 small/fifo && touch -d 2020-02-02 small/folder/file
head -c 3000000 /dev/urandom > large/file && head -c 500 /dev/urandom > dev/shm/segment
mkdir -m 700 large/folder && ln large/file large/folder/second && chown 55:66 large/file
python3 -c 'import os; os.setxattr("large/file", "user.kind", b"of its own")'
"""


def test_tmpfs_mounts_and_network_settings_move(serve: Serve) -> None:
    mounts = ["--tmpfs=/small:size=1m,mode=1770", "--tmpfs=/large"]
    redis = serve("redis", docker=[*mounts, "--sysctl=net.core.somaxconn=512"])
    redis.source.run(FILL)
    before = redis.source.run(INSIDE)
    assert "small/folder/file" in before
    assert "\n512\n" in before
    report = redis.move(redis.target)
    assert redis.target.run(INSIDE).splitlines() == before.splitlines()
    # The large file was sent before the freeze.
    assert report["frozen_bytes"] < 1_000_000
    redis.lost_nothing()


def test_redis_with_a_file_on_a_volume(serve: Serve) -> None:
    redis = serve("redis-aof", client=["--preload-mib=8"])
    redis.move(redis.target)
    # What the source's volume held at the freeze is how the target's file begins.
    go = "cd $(docker volume inspect -f '{{.Mountpoint}}' redis-aof-data) && "
    name = redis.target.run(go + "find . -name '*.incr.aof'").strip()
    size, digest = redis.source.run(f"{go} stat -c %s {name} && sha256sum {name}").split()[:2]
    assert int(size) > 8 << 20
    assert redis.target.run(f"{go} head -c {size} {name} | sha256sum").split()[0] == digest
    # Redis reads the file at a restart, and the client finds every write in it.
    redis.target.docker("restart", "redis-aof")
    redis.lost_nothing()


def test_service_of_several_processes(serve: Serve) -> None:
    web = serve("web")
    web.move(web.target)
    web.lost_nothing()
    is_normal(web.target, "web")


def test_shared_memory_travels_before_the_freeze(serve: Serve) -> None:
    web = serve("web", SHARED_MIB="64")
    ballast = web.source.run("curl -s http://localhost:8080/ballast")
    digest = json.loads(ballast)["digest"]
    here, there = web.source, web.target
    # On the way back it is a memfd, for that is what CRIU makes of it.
    for _ in range(2):
        report = web.move(there)
        assert report["memory_bytes"] > 64 << 20
        assert report["frozen_bytes"] < 8 << 20
        assert json.loads(there.run("curl -s http://localhost:8080/ballast"))["digest"] == digest
        here, there = there, here
    web.lost_nothing()


@pytest.mark.parametrize(("dirty_pages", "memory"), [(0, "full"), (500, "lean"), (5000, "full")])
def test_load_generator(dirty_pages: int, memory: str, serve: Serve) -> None:
    load = serve("load", MEMORY_MIB="64", DIRTY_PAGES=str(dirty_pages))
    # Both hosts have the room, so that lean must be asked for.
    report = load.move(load.target, migrate_memory="auto" if memory == "full" else memory)
    assert report["memory"] == memory
    account = load.lost_nothing()
    assert account["wrong_pages"] == 0
    assert account["pages"] == 64 << 8
    if not dirty_pages:
        assert report["frozen_bytes"] < report["memory_bytes"] / 10


# The CPU quota that a container's cgroup has, of version 1 or 2.
QUOTA = """
id=$(docker inspect -f '{{.Id}}' load)
find /sys/fs/cgroup -path "*$id*" \\( -name cpu.cfs_quota_us -o -name cpu.max \\) -exec cat {} +
"""


def test_a_service_that_writes_faster_than_the_link_is_slowed_down(serve: Serve) -> None:
    load = serve("load", MEMORY_MIB="16", DIRTY_PAGES="4000")
    before = load.source.run(QUOTA)
    assert before.split()[0] in ("-1", "max"), before
    report = load.move(load.target, migrate_bandwidth_limit_mbit=20)
    assert report["throttle_obstacle"] == ""
    assert 20 <= report["cpu_percent"] <= 60
    shares = [done["cpu_percent"] for done in report["rounds"]]
    assert shares[0] == 100
    assert min(shares) == report["cpu_percent"]
    # There it has what it had here.
    assert load.target.run(QUOTA) == before
    account = load.lost_nothing()
    assert account["wrong_pages"] == 0


def test_nothing_to_do_and_only_a_plan(lab: Lab, source: Host, target: Host, start: StartService) -> None:
    start("redis", source)
    before = [host.fingerprint() for host in (source, target)]

    lab.migrate("redis", target, "--check").ok()
    assert [host.fingerprint() for host in (source, target)] == before

    there = lab.migrate("redis", source).ok()
    assert there.changed == 0, there.output
    assert [host.fingerprint() for host in (source, target)] == before
