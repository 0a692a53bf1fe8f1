# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images between two stores on disk, over a real channel."""

from __future__ import annotations

import json
import os
import random
import struct
import sys
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import (
    MigrationError,
    PreflightError,
)
from ansible_collections.mec.migration.plugins.module_utils.image import sync as image_sync
from ansible_collections.mec.migration.plugins.module_utils.image.delta import (
    MAX_CHUNK_BYTES,
    HeldFiles,
    chunks,
)
from ansible_collections.mec.migration.plugins.module_utils.image.layers import (
    host_layers_info,
    layer_diff,
    shown_difference,
)
from ansible_collections.mec.migration.plugins.module_utils.image.opened import open_store
from ansible_collections.mec.migration.plugins.module_utils.image.receive import LayerReceiver
from ansible_collections.mec.migration.plugins.module_utils.image.sync import sync_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from fake_docker import FakeDocker, sha256, tar_of
from peers import Peer


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


BASE = tar_of({"bin/": b"", "bin/sh": noise(1, 200_000), "etc/": b"", "etc/issue": b"hello\n"})
FILES = {f"app/d{n % 7}/f{n}": noise(n, 20_000) for n in range(50)}
APP = tar_of({**FILES, "app/big": noise(99, 2_000_000), "app/tiny": b"x" * 40})


class Hosts:
    def __init__(self, base: Path) -> None:
        self.source = FakeDocker(base / "source")
        self.target = FakeDocker(base / "target")
        self.staging = base / "staging"

    def sync(self, name: str = "app:1", **options):
        receiver = LayerReceiver(self.target, str(self.staging))
        with Peer(receiver.handlers) as peer:
            self.kinds = peer.received
            return sync_image(self.source, peer.channel, name, **options)


@pytest.fixture
def hosts(tmp_path):
    return Hosts(tmp_path)


def test_a_layer_is_assembled_as_it_was(hosts):
    names = tar_of(
        {os.fsdecode(b"not utf-8 \xff"): b"12345", f"{'y' * 150}/{'z' * 150}": b"long", "empty": b""}
    )
    for tar in (BASE, APP, names, tar_of(FILES, pax=True)):
        hosts.source.build("x:1", [tar])
        assert b"".join(open_store(hosts.source).rebuild(sha256(tar))) == tar


def test_info_and_difference(hosts):
    image_id = hosts.source.build("app:1", [BASE, APP])
    hosts.target.build("base:1", [BASE])
    on_source = host_layers_info(hosts.source, ["app:1"])
    on_target = host_layers_info(hosts.target, [])
    image = on_source["images"][0]
    assert image["id"] == image_id
    assert [layer["diff_id"] for layer in image["layers"]] == [sha256(BASE), sha256(APP)]
    assert len(on_source["chain_ids"]) == 2
    difference = layer_diff(image, on_target["diff_ids"], {})
    assert [layer["diff_id"] for layer in difference["missing_layers"]] == [sha256(APP)]
    assert difference["missing_bytes"] == image["layers"][1]["size_bytes"]
    assert difference["missing_references"] == ["app:1"]


@pytest.mark.parametrize("reuse", [True, False])
def test_only_the_missing_layer_travels(hosts, reuse):
    image_id = hosts.source.build("app:1", [BASE, APP])
    hosts.source.references["app:also"] = image_id
    hosts.target.build("base:1", [BASE])
    lines = []
    result = hosts.sync(reuse=reuse, progress=lines.append)
    assert result["changed"]
    assert "1 of 2 layers are missing" in result["reason"]
    assert result["layers_missing"] == [sha256(APP)]
    assert hosts.target.loaded_layers == [sha256(APP)]
    assert result["layer_bytes"] == len(APP)
    assert len(APP) * 0.95 < result["sent_bytes"] < len(APP) * 1.02
    assert hosts.target.references == {"app:1": image_id, "base:1": hosts.target.references["base:1"]}
    assert [line["layers_left"] for line in lines] == [1, 0]
    assert lines[1]["sent_bytes"] > len(APP) * 0.95
    assert not hosts.staging.exists()
    assert "1 of" not in shown_difference(result)["after"]


def test_an_image_that_is_there_costs_one_round_trip(hosts):
    hosts.source.build("app:1", [BASE, APP])
    hosts.target.build("app:1", [BASE, APP])
    result = hosts.sync()
    assert (result["changed"], result["layer_bytes"], result["reason"]) == (False, 0, "")
    assert hosts.kinds == ["layers.have"]
    shown = shown_difference(result)
    assert shown["before"] == shown["after"]


def test_check_mode_asks_and_sends_nothing(hosts):
    hosts.source.build("app:1", [BASE, APP])
    result = hosts.sync(check_mode=True)
    assert result["changed"]
    assert len(result["layers_missing"]) == 2
    assert result["layer_bytes"] == 200_006 + 3_000_040
    assert hosts.kinds == ["layers.have"]
    assert not hosts.target.images


def test_a_missing_tag_needs_no_layers(hosts):
    image_id = hosts.source.build("app:1", [BASE])
    hosts.target.build("app:1", [APP])
    hosts.target.build("other:1", [BASE])
    result = hosts.sync()
    assert result["reason"].startswith("on the target app:1 is not")
    assert hosts.kinds == ["layers.have", "layers.load"]
    assert hosts.target.references["app:1"] == image_id


def test_by_id_all_references_arrive(hosts):
    image_id = hosts.source.build("app:1", [BASE])
    hosts.source.references["app:stable"] = image_id
    hosts.sync(image_id)
    assert set(hosts.target.references) == {"app:1", "app:stable"}


def test_a_layer_above_another_parent_is_rebuilt_on_the_target(hosts):
    hosts.source.build("app:1", [BASE, APP])
    hosts.target.build("base:1", [BASE])
    hosts.target.build("strange:1", [APP])
    result = hosts.sync()
    assert result["layers_missing"] == []
    assert result["sent_bytes"] < 5000
    assert hosts.target.loaded_layers == [sha256(APP)]


def test_a_layer_that_is_listed_twice_travels_once(hosts):
    hosts.source.build("app:1", [APP, BASE, APP])
    result = hosts.sync()
    assert hosts.kinds.count("layers.end") == 2
    assert hosts.target.loaded_layers == [sha256(APP), sha256(BASE), sha256(APP)]
    assert result["layer_bytes"] == len(APP) + len(BASE)


def test_one_changed_file_of_a_layer(hosts):
    changed = {**FILES, "app/big": noise(99, 2_000_000), "app/tiny": b"x" * 40}
    changed["app/d3/f3"] = noise(1003, 20_000)
    changed["app/d4/renamed"] = changed.pop("app/d4/f4")
    new = tar_of(changed)
    hosts.source.build("app:2", [BASE, new])
    hosts.target.build("app:1", [BASE, APP])
    result = hosts.sync("app:2")
    assert hosts.target.loaded_layers == [sha256(new)]
    assert result["sent_bytes"] < 30_000
    assert result["reused_bytes"] == 49 * 20_000 + 2_000_000


def test_an_insertion_into_a_large_file(hosts):
    big = noise(99, 2_000_000)
    hosts.target.build("app:1", [tar_of({"app/big": big})])
    hosts.source.build("app:2", [tar_of({"app/big": big[:700_000] + b"inserted" + big[700_000:]})])
    result = hosts.sync("app:2")
    assert hosts.target.loaded_layers
    assert result["sent_bytes"] < 150_000


def test_a_damaged_held_file_does_no_harm(hosts):
    """Reuse that yields another digest is thrown away, and the layer goes over whole."""
    hosts.target.build("app:1", [APP])
    new = tar_of({**FILES, "app/big": noise(98, 1_500_000)})
    hosts.source.build("app:2", [new])
    original = HeldFiles.same

    def wrong(self, wanted):
        held = original(self, wanted)
        if wanted.name == "app/d5/f5":
            (Path(held.diff_dir) / held.name).write_bytes(bytes(20_000))
        return held

    HeldFiles.same = wrong
    try:
        result = hosts.sync("app:2")
    finally:
        HeldFiles.same = original
    assert hosts.kinds.count("layers.end") == 2
    assert hosts.target.loaded_layers == [sha256(new)]
    assert result["layer_bytes"] == len(new)
    assert result["reused_bytes"] == 0


@pytest.mark.parametrize("damage", ["missing", "changed", "no tar-split"])
def test_a_store_that_cannot_be_read_falls_back_to_docker_save(hosts, damage):
    hosts.source.build("app:1", [APP, BASE])
    hosts.source.saved = (APP, BASE)
    path = hosts.source.diff_dir(APP) / "app" / "big"
    if damage == "missing":
        path.unlink()
    elif damage == "changed":
        path.write_bytes(bytes(2_000_000))
    else:
        (hosts.source.store / "layerdb" / "sha256" / sha256(APP)[7:] / "tar-split.json.gz").unlink()
    hosts.sync()
    assert hosts.target.loaded_layers == [sha256(APP), sha256(BASE)]
    assert not os.listdir(hosts.source.root / "tmp")


def test_a_damaged_layer_is_never_loaded(hosts):
    hosts.source.build("app:1", [APP])
    (hosts.source.diff_dir(APP) / "app" / "big").write_bytes(bytes(2_000_000))
    with pytest.raises(MigrationError, match="is damaged on this host"):
        hosts.sync()
    assert not hosts.target.images


def test_no_space_is_found_out_before_anything_is_sent(hosts, monkeypatch):
    hosts.source.build("app:1", [BASE, APP])

    class Full:
        f_bavail, f_frsize = 1000, 4096

    monkeypatch.setattr(os, "statvfs", lambda path: Full)
    with pytest.raises(PreflightError, match=r"has 4096000 bytes free in .*layers need 96001"):
        hosts.sync()
    assert hosts.kinds == ["layers.have"]


def test_an_unknown_image(hosts):
    with pytest.raises(PreflightError, match="no image nothing:1 on this host"):
        hosts.sync("nothing:1")


def test_failures_on_the_target_are_told_and_leave_nothing(hosts):
    receiver = LayerReceiver(hosts.target, str(hosts.staging))
    with Peer(receiver.handlers) as peer:
        have = {"image_id": "sha256:0", "references": [], "layers": []}
        peer.channel.request("layers.have", **have)
        assert hosts.staging.exists()
        peer.channel.send("layers.whole", diff_id="../../etc/passwd")
        peer.channel.send("layers.data", b"abc")
        with pytest.raises(MigrationError, match="is no diff id"):
            peer.channel.request("layers.end", diff_id="../../etc/passwd")
        assert not hosts.staging.exists()
        peer.channel.request("layers.have", **have)
        digest = sha256(b"abc")
        peer.channel.send("layers.skeleton", b"", first=True)
        table = json.dumps([[0, 3, "f"]]).encode()
        peer.channel.request(
            "layers.offer", struct.pack("!I", len(table)) + table + bytes(16), diff_id=digest
        )
        peer.channel.send("layers.data", b"abcd")
        with pytest.raises(MigrationError, match="longer than it was said"):
            peer.channel.request("layers.end", diff_id=digest)
        peer.channel.request("layers.have", **have)
        with pytest.raises(MigrationError, match="configuration of image"):
            peer.channel.request("layers.load", b"{}", sizes=[2, 0, 0], image_id=digest, references=[])
        # After all that, it still works.
        hosts.source.build("app:1", [BASE])
        assert sync_image(hosts.source, peer.channel, "app:1")["changed"]


def test_chunks_line_up_again_behind_an_insertion(tmp_path):
    def digests(content):
        path = tmp_path / "file"
        path.write_bytes(content)
        with open(path, "rb") as stream:
            found = list(chunks(stream.fileno(), len(content)))
        assert sum(chunk.length for chunk in found) == len(content)
        assert max(chunk.length for chunk in found) <= MAX_CHUNK_BYTES
        return {chunk.digest for chunk in found}

    python = b"".join(path.read_bytes() for path in sorted(Path(os.__file__).parent.glob("*.py")))
    for content in (noise(5, 3_000_000), python):
        one, other = digests(content), digests(content[:500_000] + b"!" + content[500_000:])
        assert len(one - other) <= 8
        assert len(content) / len(one) > 6000


FILE_SETS = st.dictionaries(
    st.sampled_from(["a", "b", "d/a", "d/b", "d/e/f", "g"]),
    st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 128, 129, 5000, 40_000, 300_000])),
    max_size=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(old=st.lists(FILE_SETS, max_size=3), new=st.lists(FILE_SETS, min_size=1, max_size=3))
def test_any_image_arrives_whatever_is_there(tmp_path_factory, old, new):
    hosts = Hosts(tmp_path_factory.mktemp("hosts"))
    image_sync.MIN_OFFER_BYTES, before = 0, image_sync.MIN_OFFER_BYTES
    try:
        layers = [
            [tar_of({name: noise(*content) for name, content in files.items()}) for files in image]
            for image in (old, new)
        ]
        if layers[0]:
            hosts.target.build("app:0", layers[0])
        image_id = hosts.source.build("app:1", layers[1])
        hosts.sync()
        assert hosts.target.references["app:1"] == image_id
        store = open_store(hosts.target)
        for tar in layers[1]:
            assert b"".join(store.rebuild(sha256(tar))) == tar
    finally:
        image_sync.MIN_OFFER_BYTES = before
