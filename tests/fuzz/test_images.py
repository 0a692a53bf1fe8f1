"""Damaged words about layers, blobs and manifests: they end in one of our errors, and soon."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import sys
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.image.content import Blobs
from ansible_collections.mec.migration.plugins.module_utils.image.decompress import unpacked
from ansible_collections.mec.migration.plugins.module_utils.image.overlay2 import Overlay2Store
from ansible_collections.mec.migration.plugins.module_utils.image.receive import LayerReceiver
from ansible_collections.mec.migration.plugins.module_utils.image.sync import sync_image
from ansible_collections.mec.migration.plugins.module_utils.image.tarscan import tar_parts
from ansible_collections.mec.migration.plugins.module_utils.transport.wire import Message

UNIT_TESTS = Path(__file__).parents[2] / "collections/ansible_collections/mec/migration/tests/unit"
sys.path.insert(0, str(UNIT_TESTS / "plugins/module_utils"))
from fake_containerd import PACKERS, FakeContainerd
from fake_docker import FakeDocker, sha256, tar_of
from peers import Peer

from .damage import damaged_bytes, damaged_value, in_time, trials

BIG = random.Random(1).randbytes(400_000)
OLD = tar_of({"app/big": BIG, "app/small": b"x" * 200})
NEW = tar_of({"app/big": BIG[:200_000] + b"!" + BIG[200_000:], "app/new": b"y" * 300})


class Answers:
    def send(self, kind, body=b"", **fields):
        return len(body)


@pytest.fixture(params=[FakeContainerd, FakeDocker])
def target(request, tmp_path):
    docker = request.param(tmp_path / "target")
    docker.build("app:1", [OLD])
    (tmp_path / "kept").write_text("kept")
    return docker


def heard(source, target, staging):
    """What a target hears of a transfer that goes well."""
    messages = []
    receiver = LayerReceiver(target, staging)

    def noted(handler):
        def handle(message, channel):
            fields = {key: value for key, value in message.fields.items() if key not in ("id", "to")}
            messages.append((message.kind, fields, bytes(message.body)))
            handler(message, channel)

        return handle

    with Peer({kind: noted(handler) for kind, handler in receiver.handlers.items()}) as peer:
        assert sync_image(source, peer.channel, "app:2")["reused_bytes"] > 300_000
    return messages


def test_messages_about_layers(seconds, target, tmp_path):
    source = FakeContainerd(tmp_path / "source")
    source.build("app:2", [NEW])
    other = type(target)(tmp_path / "other")
    other.build("app:1", [OLD])
    messages = heard(source, other, str(tmp_path / "other-staging"))
    # What Docker does with what arrives whole is no reader of ours.
    target.load_image = lambda archive: [{"error": f"{sum(map(len, archive))} bytes"}]
    staging = tmp_path / "staging"
    for choice in trials(seconds, least=60):
        receiver = LayerReceiver(target, str(staging))
        damaged = choice.randrange(len(messages))
        for number, (kind, fields, body) in enumerate(messages):
            if number == damaged and choice.random() < 0.5:
                fields = damaged_value(choice, fields)  # noqa: PLW2901
            elif number == damaged:
                body = damaged_bytes(choice, body)  # noqa: PLW2901
            if isinstance(fields, dict):
                message = Message(kind, fields, body)
                with contextlib.suppress(MigrationError):
                    in_time(10, lambda r=receiver, m=message: r.handlers[m.kind](m, Answers()))
        receiver.close()
        assert not staging.exists()
        assert (tmp_path / "kept").read_text() == "kept"


def test_records_of_a_layers_tar(seconds, tmp_path):
    docker = FakeDocker(tmp_path / "docker")
    docker.build("app:1", [OLD])
    path = docker.store / "layerdb" / "sha256" / sha256(OLD)[7:] / "tar-split.json.gz"
    valid = path.read_bytes()
    lines = gzip.decompress(valid)
    store = Overlay2Store(docker, str(docker.root))
    for choice in trials(seconds):
        if choice.random() < 0.3:
            path.write_bytes(damaged_bytes(choice, valid))
        else:
            path.write_bytes(gzip.compress(damaged_bytes(choice, lines), 1))
        in_time(10, lambda: list(store.held_files(0)))
        with contextlib.suppress(OSError, ValueError):
            in_time(10, lambda: b"".join(store.rebuild(sha256(OLD))))


@pytest.mark.parametrize("pack", list(PACKERS))
def test_blobs(seconds, tmp_path, pack):
    valid = PACKERS[pack][0](OLD)
    path = tmp_path / "blob"
    for choice in trials(seconds):
        path.write_bytes(damaged_bytes(choice, valid))
        with contextlib.suppress(OSError, ValueError):
            in_time(10, lambda: sum(map(len, unpacked(str(path)))))


def test_tars(seconds, tmp_path):
    path = tmp_path / "tar"
    head = tar_of({"a" * 150: b"1" * 600, "d/": b"", "b": b"2"}, pax=True)
    for choice in trials(seconds):
        data = damaged_bytes(choice, head)
        path.write_bytes(data)
        with contextlib.suppress(OSError, ValueError), open(path, "rb") as stream:
            fd, size_bytes = stream.fileno(), len(data)
            in_time(10, lambda fd=fd, size_bytes=size_bytes: list(tar_parts(fd, size_bytes)))


def test_manifests_and_indexes(seconds, tmp_path):
    docker = FakeContainerd(tmp_path / "docker")
    docker.build("app:1", [OLD], index=True)
    parsed = []
    for blob in docker.blobs.iterdir():
        # All but the layers and the attestation's statement.
        with contextlib.suppress(ValueError):
            parsed.append(json.loads(blob.read_bytes()))
    assert len(parsed) >= 5
    for choice in trials(seconds):
        content = json.dumps(damaged_value(choice, choice.choice(parsed))).encode()
        if choice.random() < 0.3:
            content = damaged_bytes(choice, content)
        digest = docker.put(content)
        found = Blobs(str(docker.blobs), "amd64")
        in_time(10, lambda found=found, digest=digest: found.manifest(digest))
        (docker.blobs / digest[7:]).unlink()
        docker.build("app:1", [OLD], index=True)
