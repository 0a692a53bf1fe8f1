"""Moves between Docker's image stores: containerd's on both sides, and beside overlay2.

On a testbed with hosts of both kinds: ``make e2e-store``.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Serve
from .edge import Host, Lab

pytestmark = pytest.mark.store
HERE = Path(__file__).resolve().parent
STORE, OVERLAY2 = "overlayfs", "overlay2"
THERE_AND_BACK = {
    "store-store": (STORE, STORE),
    "overlay2-store": (OVERLAY2, STORE),
    "store-overlay2": (STORE, OVERLAY2),
}
Plain = Callable[[str], dict[str, Any]]


def pair_of(lab: Lab, kinds: tuple[str, str]) -> Lab:
    """The testbed with a source and a target of these kinds in front."""
    free = {host: host.docker("info", "--format", "{{.Driver}}") for host in lab.hosts}
    chosen = []
    for kind in kinds:
        host = next((host for host, driver in free.items() if driver == kind), None)
        assert host is not None, f"this testbed has too few hosts with {kind}: see the head of {__file__}"
        del free[host]
        chosen.append(host)
    found = copy.copy(lab)
    found.hosts = [*chosen, *free]
    return found


@pytest.fixture
def lab(lab: Lab, request: pytest.FixtureRequest) -> Lab:
    found = pair_of(lab, getattr(request, "param", (STORE, STORE)))
    if not request.config.getoption("--prepared"):
        found.play("prepare").ok()
    if not found.hosts[0].docker("image", "ls", "--quiet", "mec-demo/redis"):
        found.play("deploy", service="redis", target=found.hosts[0].name).ok()
        found.hosts[0].docker("rm", "--force", "--volumes", "redis")
    return found


@pytest.fixture
def without_image(lab: Lab) -> None:
    """The target has neither the image nor any layer of it, nor what a build there went through."""
    lab.hosts[1].docker("image", "prune", "--all", "--force")


def described(host: Host, image: str) -> dict[str, Any]:
    """What Docker says of an image, as far as it may not differ between hosts."""
    inspected = json.loads(host.docker("image", "inspect", image))[0]
    history = host.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    kept = ("RepoTags", "RootFS", "Architecture", "Os", "Created")
    config = {key: value for key, value in inspected["Config"].items() if value}
    return {"Config": config, "History": history, **{key: inspected[key] for key in kept}}


def is_usable(host: Host, container: str, image: str) -> None:
    """Docker can do with the image and the container what it could before."""
    saved = host.run(f"docker save {image} | tar -xO manifest.json")
    layers = json.loads(saved)[0]["Layers"]
    listed = host.run(f"docker save {image} | tar -t").split()
    assert set(layers) <= set(listed), "a layer is not in what docker save writes"
    host.docker("commit", container, "committed:1")
    # Not run: the watch would take it for a second copy of the service.
    host.docker("create", "--name=committed", "committed:1")
    assert host.run("docker cp committed:/kept - | tar -xO") == "kept\n"
    host.docker("rm", "committed")
    host.docker("image", "rm", "committed:1")


@pytest.mark.parametrize(
    "lab",
    [
        pytest.param(kinds, id=name, marks=[pytest.mark.docker28] if name == "store-store" else [])
        for name, kinds in THERE_AND_BACK.items()
    ],
    indirect=True,
)
@pytest.mark.usefixtures("without_image")
def test_redis_there_and_back(serve: Serve) -> None:
    redis = serve("redis", client=["--preload-mib=16"])
    here, there = redis.source, redis.target
    image = str(here.inspect("redis")["Config"]["Image"])
    before = described(here, image)
    redis.source.docker("exec", "redis", "sh", "-c", "echo kept > /kept; rm /etc/issue")
    report = redis.move(there)
    assert report["image_bytes"] > 10_000_000
    assert described(there, image) == before
    assert there.inspect("redis")["Config"]["Image"] == image
    changes = there.docker("diff", "redis").splitlines()
    assert {"A /kept", "D /etc/issue"} <= set(changes), changes
    is_usable(there, "redis", image)
    report = redis.move(here)
    assert report["image_bytes"] < 100_000, "the image was there already"
    assert described(here, image) == before
    account = redis.lost_nothing()
    assert account["same_process"]
    assert len(account["switches"]) == 2


@pytest.fixture
def plain(lab: Lab) -> Iterator[Plain]:
    """Make an image, run it, move the container there and back; gives the report of the way there."""

    def move(kind: str) -> dict[str, Any]:
        source, target = lab.hosts[:2]
        name = f"made-{kind}:1"
        script = (HERE / "make_image.py").read_text()
        source.run(f"python3 - {kind} mec-demo/redis {name}", stdin=script)
        source.docker("run", "--detach", "--name=plain", "--entrypoint=sleep", name, "100000")
        before = described(source, name)
        report = lab.move("plain", target)
        assert target.state("plain") == "running"
        assert target.docker("exec", "plain", "cat", "/made") == kind
        assert described(target, name) == before
        ids = [host.docker("image", "inspect", "--format", "{{.Id}}", name) for host in (source, target)]
        lab.move("plain", source)
        assert source.docker("exec", "plain", "cat", "/made") == kind
        return dict(report, same_id=ids[0] == ids[1])

    yield move
    for host in lab.hosts[:2]:
        host.wipe(["plain"])
        host.run(
            "docker image ls --format '{{.Repository}}:{{.Tag}}' | grep ^made- | xargs -r docker image rm"
        )


@pytest.mark.docker28
def test_an_image_of_buildx(plain: Plain) -> None:
    """An index, an attestation, an absent platform; layers as gzip of two members, as zstd, unpacked."""
    report = plain("buildx")
    assert "packed as blob" in report["image_exact_reason"]
    assert not report["same_id"]


def test_an_image_of_61_layers(plain: Plain) -> None:
    plain("many")


@pytest.mark.parametrize("lab", [pytest.param((STORE, OVERLAY2), id="store-overlay2")], indirect=True)
def test_an_image_of_buildx_to_overlay2(plain: Plain) -> None:
    plain("buildx")


@pytest.mark.usefixtures("without_image")
def test_an_image_of_unpacked_layers_keeps_its_id(plain: Plain) -> None:
    report = plain("plain")
    assert report["same_id"]
    assert report["image_exact_reason"] == ""


@pytest.mark.usefixtures("without_image")
def test_a_container_whose_image_has_no_name(lab: Lab, plain: Plain) -> None:
    """And one that was started by the digest of its manifest."""
    source, target = lab.hosts[:2]
    script = (HERE / "make_image.py").read_text()
    source.run("python3 - buildx mec-demo/redis made-nameless:1", stdin=script)
    digest = source.docker("image", "inspect", "--format", "{{.Id}}", "made-nameless:1")
    name = f"made-nameless@{digest}"
    source.docker("run", "--detach", "--name=plain", "--entrypoint=sleep", name, "100000")
    source.docker("image", "rm", "--force", "made-nameless:1")
    lab.move("plain", target)
    assert target.docker("exec", "plain", "cat", "/made") == "buildx"
    lab.move("plain", source)
    assert source.docker("exec", "plain", "cat", "/made") == "buildx"


# Runs on a host: a directory of files that cannot be packed, the same for the same numbers.
FILES = """
import os, random, sys
where, seed, count, size = sys.argv[1], *map(int, sys.argv[2:])
os.makedirs(where, exist_ok=True)
for number in range(count):
    content = random.Random(1000 * seed + number).randbytes(size)
    open(f"{where}/{number:04}", "wb").write(content)
"""
COUNT, SIZE = 200, 1 << 20
Moved = Callable[[str], int]


@pytest.fixture
def moved(lab: Lab) -> Iterator[Moved]:
    """Move a container of an image to the target; gives the bytes of the image that were sent."""
    source, target = lab.hosts[:2]

    def move(image: str) -> int:
        source.docker("run", "--detach", "--name=plain", "--entrypoint=sleep", image, "100000")
        report = lab.move("plain", target)
        target.docker("rm", "--force", "plain")
        return int(report["image_bytes"])

    yield move
    for host in (source, target):
        host.wipe(["plain"])
        host.run(
            "docker image ls --format '{{.Repository}}:{{.Tag}}' | grep ^bytes- | xargs -r docker image rm"
        )
    source.run("rm -rf /root/bytes")


def built(source: Host, name: str) -> None:
    """Build an image whose one layer over the base is the directory of files."""
    dockerfile = "FROM mec-demo/redis\nCOPY data /data\n"
    source.run(f"cd /root/bytes && cat > Dockerfile && docker build --quiet --tag {name} .", stdin=dockerfile)


def packed_bytes(source: Host, image: str) -> int:
    """How long the image is as a registry would send it: all of its layers, each packed by gzip."""
    return int(source.run(f"docker save {image} | tar -xO --wildcards 'blobs/sha256/*' | gzip -1 | wc -c"))


def test_what_the_target_has_of_an_image_is_not_sent(lab: Lab, moved: Moved) -> None:
    """A new version of a big layer, and a new image of mostly the same files; prints the figures."""
    source = lab.hosts[0]
    source.run(f"python3 - /root/bytes/data 1 {COUNT} {SIZE}", stdin=FILES)
    built(source, "bytes-base:1")
    sent = {"a layer of 200 MiB, new": moved("bytes-base:1")}

    # 1 MiB in the middle of a file of 20 MiB is another one; its layer is packed anew.
    source.run("cd /root/bytes/data && cat 00[01]? > joined && rm 00[01]?")
    built(source, "bytes-joined:1")
    moved("bytes-joined:1")
    source.run("dd if=/dev/urandom of=/root/bytes/data/joined bs=1M count=1 seek=9 conv=notrunc status=none")
    built(source, "bytes-joined:2")
    changed = packed_bytes(source, "bytes-joined:2")
    sent["1 MiB of a file of it changed"] = moved("bytes-joined:2")

    # An image of one layer of its own, a tenth of whose files no other image has.
    source.run(f"python3 - /root/bytes/data 2 {COUNT // 10} {SIZE}", stdin=FILES)
    built(source, "bytes-other:1")
    source.run(
        "docker create --name=other --entrypoint=sleep bytes-other:1 1; docker export other"
        " | docker import - bytes-new:1; docker rm other; docker image rm bytes-other:1"
    )
    whole = packed_bytes(source, "bytes-new:1")
    sent["an image of mostly known files"] = moved("bytes-new:1")

    print(f"\ndocker save | gzip: the changed image {changed / 1e6:.1f} MB, the new one {whole / 1e6:.1f} MB")
    for what, count in sent.items():
        print(f"{what}: {count / 1e6:.2f} MB")
    assert sent["a layer of 200 MiB, new"] > COUNT * SIZE
    assert sent["1 MiB of a file of it changed"] < 3e6
    assert sent["an image of mostly known files"] < 0.15 * whole
