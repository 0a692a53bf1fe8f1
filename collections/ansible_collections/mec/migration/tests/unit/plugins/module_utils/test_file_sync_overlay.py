# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an overlay upperdir through another overlay's merged mount; needs root and overlayfs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import (
    MigrationError,
    PreflightError,
)
from ansible_collections.mec.migration.plugins.module_utils.files.apply import FileReceiver
from ansible_collections.mec.migration.plugins.module_utils.files.sync import FileSync
from ansible_collections.mec.migration.plugins.module_utils.files.tree_digest import tree_listing
from ansible_collections.mec.migration.plugins.module_utils.files.trees import Tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from peers import Peer
from test_file_sync import ACTIONS, act, flags_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts overlayfs")


class Container:
    """The layers and the mount of one container's root file system."""

    def __init__(self, base: Path, image: Path) -> None:
        self.upper, work, self.merged = base / "upper", base / "work", base / "merged"
        for path in (self.upper, work, self.merged):
            path.mkdir(parents=True)
        options = f"lowerdir={image},upperdir={self.upper},workdir={work},redirect_dir=off"
        subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", str(self.merged)], check=True)


@contextlib.contextmanager
def container_pair(base: Path):
    image = base / "image"
    for name in ("a/b/c", "a/a", "b", "c/d e", "etc/hosts", "etc/passwd", "dir/x", "dir/y"):
        (image / name).parent.mkdir(parents=True, exist_ok=True)
        (image / name).write_text(f"image: {name}")
    (image / "big").write_bytes(bytes(range(256)) * 1000)
    shutil.copytree(image, base / "image2", copy_function=shutil.copy2)
    subprocess.run(["cp", "-a", f"{image}/.", str(base / "image2")], check=True)
    mounted = []
    try:
        source = Container(base / "source", image)
        mounted.append(source.merged)
        target = Container(base / "target", base / "image2")
        mounted.append(target.merged)
        yield Containers(source, target)
    finally:
        for path in mounted:
            subprocess.run(["umount", "--lazy", str(path)], check=True)


class Containers:
    def __init__(self, source: Container, target: Container) -> None:
        self.source, self.target = source, target
        self.tree = Tree("rootfs", str(source.upper), overlay=True)
        self.sync = FileSync([self.tree])
        self.receiver = FileReceiver({"rootfs": str(target.merged)})

    def round(self, limit=None):
        with Peer(self.receiver.handlers, limit=limit) as peer:
            self.sync.prepare(peer.channel)
            return self.sync.round(peer.channel)

    def check(self) -> None:
        excluded = self.tree.excluded()
        listings = [
            tree_listing(str(side.merged), excluded, overlay=True) for side in (self.target, self.source)
        ]
        assert listings[0] == listings[1]


@pytest.fixture
def pair(tmp_path):
    with container_pair(tmp_path) as containers:
        yield containers


def test_the_writable_layer_arrives(pair):
    rootfs = pair.source.merged
    (rootfs / "etc" / "hosts").write_text("Docker's own")
    (rootfs / "etc" / "passwd").write_text("changed")
    (rootfs / "b").unlink()
    shutil.rmtree(rootfs / "a" / "b")
    shutil.rmtree(rootfs / "dir")
    (rootfs / "dir").mkdir(mode=0o711)
    (rootfs / "dir" / "z").write_text("only this")
    with open(rootfs / "big", "r+b") as stream:
        stream.write(b"changed")
    os.link(rootfs / "big", rootfs / "etc" / "linked")
    pair.round()
    pair.check()
    assert (pair.target.merged / "etc" / "hosts").read_text() == "image: etc/hosts"
    assert sorted(os.listdir(pair.target.merged / "dir")) == ["z"]
    # A directory of the image, deleted and made again between two rounds.
    shutil.rmtree(rootfs / "c")
    (rootfs / "c").mkdir()
    (rootfs / "b").write_text("back again")
    pair.round()
    pair.check()
    shutil.rmtree(rootfs / "c")
    os.rename(rootfs / "dir" / "z", rootfs / "z")
    (rootfs / "c").mkdir()
    os.rename(rootfs / "z", rootfs / "c" / "z")
    pair.round()
    pair.check()


def test_flags_in_the_writable_layer_arrive(pair):
    protected = [pair.source.merged / name for name in ("etc/passwd", "dir")]
    subprocess.run(["chattr", "+i", *map(str, protected)], check=True)
    try:
        pair.round()
        pair.check()
        assert all(flags_of(pair.target.merged / name) for name in ("etc/passwd", "dir"))
    finally:
        for side in (pair.source, pair.target):
            subprocess.run(["chattr", "-R", "-i", str(side.merged)], check=True)


def test_a_repeated_whiteout_is_not_sent_again(pair):
    (pair.source.merged / "b").unlink()
    (pair.source.merged / "dir" / "x").unlink()
    pair.round()
    (pair.source.merged / "dir" / "y").unlink()  # shares the whiteouts' inode
    result = pair.round()
    assert result.deleted_files == 1
    pair.check()


@pytest.mark.parametrize("name", ["redirect", "metacopy"])
def test_what_an_upperdir_cannot_tell_is_refused(pair, name):
    (pair.source.upper / "moved").mkdir()
    path = pair.source.upper / "moved"
    if name == "metacopy":
        path = path / "file"
        path.touch()
    os.setxattr(path, f"trusted.overlay.{name}", b"/dir")
    with pytest.raises(PreflightError, match=f"/moved.*overlayfs {name}"):
        pair.round()


@settings(
    max_examples=int(os.environ.get("FILE_SYNC_EXAMPLES", "30")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(rounds=st.lists(st.tuples(ACTIONS, st.booleans()), min_size=1, max_size=4))
def test_after_random_rounds_the_merged_trees_are_equal(rounds):
    with tempfile.TemporaryDirectory() as base, container_pair(Path(base)) as pair:
        for actions, cut in rounds:
            for action in actions:
                with contextlib.suppress(OSError):
                    act(pair.source.merged, *action)
            if cut:
                with contextlib.suppress(MigrationError):
                    pair.round(limit=2)
            else:
                pair.round()
                pair.check()
        pair.round()
        pair.check()
        pair.sync.close()
        pair.receiver.close()
