# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images between containerd's store and overlay2, in all pairings, over a real channel."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import socket
import struct
import sys
import tarfile
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import (
    MigrationError,
    PreflightError,
)
from ansible_collections.mec.migration.plugins.module_utils.image import opened
from ansible_collections.mec.migration.plugins.module_utils.image.decompress import (
    read_ahead,
    unpacked,
)
from ansible_collections.mec.migration.plugins.module_utils.image.layers import host_layers_info
from ansible_collections.mec.migration.plugins.module_utils.image.opened import open_store
from ansible_collections.mec.migration.plugins.module_utils.image.overlay2 import Overlay2Store
from ansible_collections.mec.migration.plugins.module_utils.image.receive import LayerReceiver
from ansible_collections.mec.migration.plugins.module_utils.image.store import (
    TarFile,
    chain_ids,
    load_problem,
)
from ansible_collections.mec.migration.plugins.module_utils.image.sync import sync_image
from ansible_collections.mec.migration.plugins.module_utils.image.tarscan import tar_parts
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from fake_containerd import PACKERS, FakeContainerd
from fake_docker import FakeDocker, sha256, tar_of
from peers import Peer


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


BASE = tar_of({"bin/": b"", "bin/sh": noise(1, 200_000), "etc/": b"", "etc/issue": b"hello\n"})
FILES = {f"app/d{n % 7}/f{n}": noise(n, 20_000) for n in range(50)}
APP = tar_of({**FILES, "app/big": noise(99, 2_000_000), "app/tiny": b"x" * 40})
KINDS = {"containerd": FakeContainerd, "overlay2": FakeDocker}


class Hosts:
    def __init__(self, base: Path, source: str, target: str) -> None:
        self.source = KINDS[source](base / "source")
        self.target = KINDS[target](base / "target")
        self.staging = base / "staging"

    def sync(self, name: str = "app:1", *, back: bool = False, **options):
        source, target = (self.target, self.source) if back else (self.source, self.target)
        receiver = LayerReceiver(target, str(self.staging))
        with Peer(receiver.handlers) as peer:
            self.kinds = peer.received
            result = sync_image(source, peer.channel, name, **options)
        assert not self.staging.exists() or not result["changed"]
        receiver.close()
        return result


@pytest.fixture(params=[("containerd", "containerd"), ("containerd", "overlay2"), ("overlay2", "containerd")])
def hosts(tmp_path, request):
    return Hosts(tmp_path, *request.param)


@pytest.fixture
def stores(tmp_path):
    return Hosts(tmp_path, "containerd", "containerd")


def is_whole(docker, image_id, tars):
    """The image is complete there, layer by layer."""
    store = open_store(docker)
    image = store.find(image_id)
    assert image is not None
    assert image.diff_ids == tuple(map(sha256, tars))
    for number, tar in enumerate(tars):
        layer = store.layer(image, number)
        assert layer is not None
        assert b"".join(layer.tar()) == tar
        layer.close()
    return image


def test_there_and_back_between_any_two_stores(hosts):
    image_id = hosts.source.build("app:1", [BASE, APP])
    result = hosts.sync()
    assert result["image_info"]["id"] == image_id
    assert len(result["layers_missing"]) == 2
    is_whole(hosts.target, image_id, [BASE, APP])
    assert open_store(hosts.target).image("app:1").id == image_id
    again = hosts.sync()
    assert (again["changed"], hosts.kinds) == (False, ["layers.have"])
    assert not hosts.sync(image_id, back=True)["changed"]


@pytest.mark.parametrize("pack", list(PACKERS))
def test_files_of_held_layers_are_reused_however_the_layer_is_packed(hosts, pack):
    changed = tar_of({**FILES, "app/big": noise(99, 1_000_000) + b"!" + noise(98, 900_000)})
    arguments = [pack] if isinstance(hosts.source, FakeContainerd) else []
    image_id = hosts.source.build("app:2", [BASE, changed], *arguments)
    hosts.target.build("app:1", [BASE, APP])
    result = hosts.sync("app:2")
    assert result["layers_missing"] == [sha256(changed)]
    assert result["reused_bytes"] > 50 * 20_000
    assert result["sent_bytes"] < 1_150_000
    is_whole(hosts.target, image_id, [BASE, changed])


def test_of_a_layer_that_is_held_the_blob_stays_as_it_is_packed(stores):
    stores.target.build("base:1", [BASE], "zstd")
    image_id = stores.source.build("app:1", [BASE, APP])
    stores.sync()
    is_whole(stores.target, image_id, [BASE, APP])
    (loaded,) = stores.target.loads
    assert "blobs/sha256/" + sha256(APP)[7:] in loaded
    assert len(loaded) == 3, "the manifest, the configuration and one layer"


def test_an_image_of_buildx(hosts):
    if isinstance(hosts.source, FakeDocker):
        hosts.source, hosts.target = hosts.target, hosts.source
    image_id = hosts.source.build("app:1", [BASE, APP], index=True)
    local_id = hosts.source.names["app:1"]
    for name in ("app:1", local_id, image_id):
        assert open_store(hosts.source).image(name).id == image_id
    hosts.sync(image_id)
    is_whole(hosts.target, image_id, [BASE, APP])


def test_a_dangling_image_and_one_with_two_names(stores):
    image_id = stores.source.build("app:1", [BASE])
    local_id = stores.source.names.pop("app:1")
    stores.source.names[f"moby-dangling@{local_id}"] = local_id
    assert stores.sync(image_id)["image_info"]["references"] == []
    is_whole(stores.target, image_id, [BASE])
    stores.source.tag(local_id, "app", "1")
    stores.source.tag(local_id, "registry:5000/app", "stable")
    stores.sync(image_id)
    assert set(stores.target.names) == {"app:1", "registry:5000/app:stable"}
    assert len(stores.target.loads) == 1, "a name needs no load"


def test_one_configuration_under_two_manifests_is_one_image(stores):
    image_id = stores.source.build("app:1", [BASE], "gzip")
    assert stores.source.build("app:2", [BASE], "tar") == image_id
    store = open_store(stores.source)
    assert store.image(image_id).references == ("app:1", "app:2")
    assert store.image("app:2").local_id == stores.source.names["app:2"]


def test_61_layers(hosts):
    tars = [tar_of({f"f{n}": noise(n, 300)}) for n in range(61)]
    image_id = hosts.source.build("app:1", tars)
    hosts.sync()
    is_whole(hosts.target, image_id, tars)


@pytest.mark.parametrize("index", [False, True])
def test_an_image_of_unpacked_blobs_keeps_its_manifest(stores, index):
    stores.source.build("app:1", [BASE, APP], "tar", index=index)
    stores.target.build("base:1", [BASE], "tar")
    result = stores.sync()
    assert (result["exact"], result["exact_reason"]) == (True, "")
    assert stores.target.names["app:1"] == stores.source.names["app:1"]


def test_why_an_image_does_not_keep_its_manifest(hosts):
    hosts.source.build("app:1", [BASE])
    result = hosts.sync()
    assert not result["exact"]
    assert ("packed as blob" in result["exact_reason"]) == all(
        isinstance(docker, FakeContainerd) for docker in (hosts.source, hosts.target)
    )


def test_an_image_that_vanishes_meanwhile_is_sent_whole(stores):
    stores.target.build("base:1", [BASE])
    image_id = stores.source.build("app:1", [BASE, APP])

    def remove():
        stores.target.before_load = None
        stores.target.remove("base:1")

    stores.target.before_load = remove
    result = stores.sync()
    assert sorted(result["layers_missing"]) == sorted([sha256(BASE), sha256(APP)])
    is_whole(stores.target, image_id, [BASE, APP])


def test_an_image_that_vanishes_again_and_again(stores):
    stores.source.build("app:1", [BASE, APP])

    def remove():
        (stores.target.blobs / sha256(BASE)[7:]).unlink(missing_ok=True)

    load = stores.target.load_image

    def load_and_remove(data):
        answers = load(data)
        remove()
        return answers

    stores.target.load_image = load_and_remove
    with pytest.raises(MigrationError, match="is not complete there"):
        stores.sync()


def test_what_docker_could_not_unpack_is_a_failure(stores):
    stores.source.build("app:1", [BASE])
    stores.target.load_image = lambda data: [
        {"stream": "Error unpacking image app:1: no space left on device\n"} for _whole in [b"".join(data)]
    ]
    with pytest.raises(MigrationError, match="Error unpacking image app:1: no space left"):
        stores.sync()


def test_errors_in_the_stream_of_a_load():
    assert load_problem([{"stream": "Loaded image: app:1"}, "text"]) == ""
    assert load_problem([{"error": "old", "errorDetail": {"message": "new"}}]) == "new"
    assert load_problem([{"errorDetail": {"message": "alone"}}]) == "alone"
    assert load_problem([{"error": "old"}]) == "old"


def test_a_snapshot_without_its_blob_does_not_count(stores):
    stores.target.build("base:1", [BASE])
    for blob in stores.target.blobs.iterdir():
        if blob.stat().st_size > 100_000:
            blob.unlink()
    image_id = stores.source.build("app:1", [BASE])
    assert open_store(stores.target).held() == {}
    stores.sync()
    is_whole(stores.target, image_id, [BASE])


def test_an_incomplete_image_is_not_sent(stores):
    stores.source.build("app:1", [BASE])
    for blob in stores.source.blobs.iterdir():
        if blob.stat().st_size > 100_000:
            blob.unlink()
    with pytest.raises(PreflightError, match="1 of its blobs are missing"):
        stores.sync()


@pytest.mark.parametrize("pack", list(PACKERS))
def test_a_damaged_blob_is_never_loaded(stores, pack):
    stores.source.build("app:1", [BASE], pack)
    (blob,) = (blob for blob in stores.source.blobs.iterdir() if blob.stat().st_size > 100_000)
    content = bytearray(blob.read_bytes())
    content[100_000] ^= 1
    blob.write_bytes(content)
    with pytest.raises(MigrationError, match="is damaged on this host"):
        stores.sync()
    assert not stores.target.names
    assert not list((stores.source.root / "tmp").iterdir())


def test_sizes_are_of_files_not_of_packed_blobs(stores):
    stores.source.build("app:1", [BASE, APP])
    (image,) = host_layers_info(stores.source, ["app:1"])["images"]
    assert [layer["size_bytes"] for layer in image["layers"]] == [1000, 1001]
    stores.source.history = lambda name: []
    (image,) = host_layers_info(stores.source, ["app:1"])["images"]
    assert image["size_bytes"] > 2_500_000


@pytest.mark.parametrize("snapshotter", ["stargz", "native", "erofs", "btrfs", "overlay2"])
def test_other_snapshotters_are_refused_by_name(stores, snapshotter):
    stores.source.snapshotter = snapshotter
    with pytest.raises(PreflightError, match=f"{snapshotter}.*daemon.json"):
        stores.sync()


def test_other_storage_drivers_are_refused_by_name(tmp_path):
    docker = FakeDocker(tmp_path / "docker")
    docker.info = lambda: {"Driver": "btrfs", "DriverStatus": [], "DockerRootDir": str(tmp_path)}
    with pytest.raises(PreflightError, match="uses storage driver btrfs"):
        open_store(docker)


def test_a_containerd_of_another_host(stores, monkeypatch):
    monkeypatch.setattr(opened, "_roots", lambda info: ["/nowhere"])
    with pytest.raises(PreflightError, match=r"no content store.*/nowhere.*DOCKER_HOST"):
        stores.sync()


def test_the_directory_of_the_containerd_behind_a_socket(tmp_path):
    """The process that listens is asked by the kernel, and has its database open."""
    root = tmp_path / "elsewhere"
    (root / "io.containerd.metadata.v1.bolt").mkdir(parents=True)
    address = str(tmp_path / "containerd.sock")
    with (
        open(root / "io.containerd.metadata.v1.bolt" / "meta.db", "w"),
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(address)
        listener.listen()
        assert opened.containerd_root({"Containerd": {"Address": address}}) == str(root)


# -- damaged input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([[0, -5, "f"]], "no number of bytes"),
        ([[-1, 5, "f"]], "no number of bytes"),
        ([[0, True, "f"]], "no number of bytes"),
        ([[0, 5.0, "f"]], "no number of bytes"),
        ([[0, 1 << 80, "f"]], "no number of bytes"),
        ([[0, 5, 7]], "no file name"),
        ([[0, 5]], "damaged"),
        ([[1 << 40, 5, "f"]], "too short"),
    ],
)
def test_an_offer_that_is_none(hosts, rows, word):
    receiver = LayerReceiver(hosts.target, str(hosts.staging))
    with Peer(receiver.handlers) as peer:
        peer.channel.request("layers.have", image_id=sha256(b""), references=[], layers=[])
        peer.channel.send("layers.skeleton", b"abc", first=True)
        table = json.dumps(rows).encode()
        body = struct.pack("!I", len(table)) + table + bytes(16 * len(rows))
        with pytest.raises(MigrationError, match=word):
            peer.channel.request("layers.offer", body, diff_id=sha256(b""))


def test_a_list_of_layers_that_is_none(hosts):
    receiver = LayerReceiver(hosts.target, str(hosts.staging))
    with Peer(receiver.handlers) as peer:
        for layers in (7, [{"diff_id": "../x"}], [{}], ["x"], [{"diff_id": 5}] * 9):
            with pytest.raises(MigrationError, match=r"is no diff id|is not one"):
                peer.channel.request("layers.have", image_id=sha256(b""), references=[], layers=layers)


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b\x08", b"not gzip", b"cut", b"deep", b"negative"])
def test_one_damaged_layer_does_not_hide_the_others(tmp_path, damage):
    docker = FakeDocker(tmp_path / "docker")
    docker.build("app:1", [BASE, APP])
    path = docker.store / "layerdb" / "sha256" / chain_ids([sha256(BASE)])[0][7:] / "tar-split.json.gz"
    made = {
        b"cut": path.read_bytes()[:-30],
        b"deep": gzip.compress(b"[" * 200_000),
        b"negative": gzip.compress(b'{"type":1,"name":"x","size":-5}\n'),
    }
    path.write_bytes(made.get(damage, damage))
    store = Overlay2Store(docker, str(docker.root))
    names = [held.name for held in store.held_files(128)]
    assert "app/big" in names
    with contextlib.suppress(OSError, ValueError):
        assert sha256(b"".join(store.rebuild(sha256(BASE)))) != sha256(BASE)
    new = FakeDocker(tmp_path / "new")
    new.build("app:2", [tar_of({**FILES, "new": noise(5, 5000)})])
    receiver = LayerReceiver(docker, str(tmp_path / "staging"))
    with Peer(receiver.handlers) as peer:
        assert sync_image(new, peer.channel, "app:2")["reused_bytes"] == 50 * 20_000


def test_descriptions_that_are_none(stores):
    image_id = stores.source.build("app:1", [BASE])
    store = open_store(stores.source)
    parsed = json.loads(stores.source.get(stores.source.names["app:1"]))
    bad = [
        [], {"manifests": 5}, {"manifests": [5, {"digest": 7}]}, {"config": 5, "layers": []},
        dict(parsed, layers=[]), dict(parsed, layers=[{"digest": "x"}]), dict(parsed, config={}),
    ]  # fmt: skip
    for content in bad:
        stores.source.names["bad:1"] = stores.source.put(json.dumps(content).encode())
        with pytest.raises(PreflightError, match="has no manifest for this host"):
            store.image("bad:1")
        assert store.image("app:1").id == image_id
    # An index that lists itself cannot be made, but one below another can be deep.
    digest = stores.source.names["app:1"]
    for _level in range(50):
        digest = stores.source.put(json.dumps({"manifests": [{"digest": digest}]}).encode())
    stores.source.names["bad:1"] = digest
    with pytest.raises(PreflightError, match="has no manifest for this host"):
        store.image("bad:1")


# -- tars ----------------------------------------------------------------------------------------------


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60).filter(
    lambda name: name not in (".", "..")
)
MEMBERS = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=5).map("/".join),
    st.sampled_from([0, 1, 511, 512, 513, 70_000]),
    max_size=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    files=MEMBERS, kind=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]), cut=st.integers(0, 2000)
)
@example(files={"\x80\n": 1}, kind=tarfile.PAX_FORMAT, cut=0)
def test_the_files_of_any_tar_are_found(tmp_path_factory, files, kind, cut):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, size in files.items():
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(noise(size, size)))
            link = tarfile.TarInfo(name + ".link")
            link.type, link.linkname = tarfile.LNKTYPE, name
            archive.addfile(link)
    content = out.getvalue()
    path = tmp_path_factory.mktemp("tar") / "tar"
    path.write_bytes(content)
    with open(path, "rb") as stream:
        parts = list(tar_parts(stream.fileno(), len(content)))
        whole = b"".join(
            content[part.offset : part.offset + part.size_bytes] if isinstance(part, TarFile) else part
            for part in parts
        )
        assert whole == content
        found = {part.name: part.size_bytes for part in parts if isinstance(part, TarFile)}
        assert found == {name: size for name, size in files.items() if size}
    # Cut anywhere, it is refused or read as far as it goes; nothing else happens.
    path.write_bytes(content[:cut])
    with open(path, "rb") as stream, contextlib.suppress(OSError, ValueError):
        list(tar_parts(stream.fileno(), min(cut, len(content))))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=3000), at=st.integers(0, 2000), value=st.integers(0, 255))
def test_any_bytes_are_a_tar_or_refused(tmp_path_factory, content, at, value):
    damaged = bytearray(BASE[:4096])
    damaged[at] = value
    path = tmp_path_factory.mktemp("tar") / "tar"
    for data in (content, bytes(damaged)):
        path.write_bytes(data)
        with open(path, "rb") as stream, contextlib.suppress(OSError, ValueError):
            list(tar_parts(stream.fileno(), len(data)))


@pytest.mark.parametrize("pack", list(PACKERS))
def test_a_blob_is_unpacked_in_pieces(tmp_path, pack):
    content = noise(3, 3_000_000) + bytes(20_000_000)
    path = tmp_path / "blob"
    packed = PACKERS[pack][0](content)
    path.write_bytes(packed)
    pieces = list(read_ahead(unpacked(str(path))))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 1 << 20
    if pack != "tar":
        path.write_bytes(packed[:-7])
        with pytest.raises(ValueError, match="too early"):
            list(read_ahead(unpacked(str(path))))
