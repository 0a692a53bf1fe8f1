# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage that two hosts share: recognised, and left alone by a round of files."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.mec.migration.plugins.module_utils.files.apply import FileReceiver
from ansible_collections.mec.migration.plugins.module_utils.files.sync import FileSync
from ansible_collections.mec.migration.plugins.module_utils.files.trees import Tree
from ansible_collections.mec.migration.plugins.module_utils.kernel.storage import Storage, storage
from peers import Peer

NFS = Storage("nfs4", "server:/export/data", "one", 40, 7, 1)


def test_a_directory_is_the_same_as_itself_and_no_other(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to("a")
    assert storage(str(tmp_path / "a")).is_same(storage(str(tmp_path / "link")))
    assert not storage(str(tmp_path / "a")).is_same(storage(str(tmp_path / "b")))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts")
def test_a_bind_mount_is_the_directory_it_shows(tmp_path):
    for name in ("data/inner", "there"):
        (tmp_path / name).mkdir(parents=True)
    subprocess.run(["mount", "--bind", tmp_path / "data", tmp_path / "there"], check=True)
    try:
        assert storage(str(tmp_path / "there" / "inner")).is_same(storage(str(tmp_path / "data" / "inner")))
        assert storage(str(tmp_path / "there" / "inner")).location.endswith("data/inner")
    finally:
        subprocess.run(["umount", tmp_path / "there"], check=True)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        # Two clients of one server, by the same name and by another one.
        ({"kernel": "two", "device": 51, "changed_ns": 9}, True),
        ({"kernel": "two", "device": 51, "location": "10.0.0.9:/export/data"}, True),
        ({"kernel": "two", "location": "other:/export/data", "changed_ns": 9}, False),
    ],
)
def test_between_two_machines(changes, same):
    assert NFS.is_same(NFS._replace(**changes)) is same
    assert NFS._replace(**changes).is_same(NFS) is same


def test_local_disks_of_two_machines_are_never_the_same():
    ours = NFS._replace(kind="ext4", location="/dev/vda/srv")
    assert not ours.is_same(ours._replace(kernel="two"))


def test_what_both_hosts_share_is_neither_written_nor_emptied(tmp_path):
    shared, own, copy = tmp_path / "shared", tmp_path / "own", tmp_path / "copy"
    for path in (shared, own, copy):
        path.mkdir()
    (shared / "log").write_text("line 1\n")
    (own / "file").write_text("moves")
    (copy / "stale").write_text("goes")
    before = os.stat(shared / "log")
    sync = FileSync(
        [
            Tree("/data", str(shared), destination="/data"),
            Tree("/own", str(own), destination="/own"),
        ]
    )
    receiver = FileReceiver({"/data": str(shared), "/own": str(copy)})
    with Peer(receiver.handlers) as peer:
        sync.prepare(peer.channel)
        assert sync.shared == {"/data"}
        # What another host writes there meanwhile.
        (shared / "other").write_text("stays")
        sync.round(peer.channel)
        (shared / "late").write_text("stays, too")
        sync.prepare(peer.channel)
        sync.round(peer.channel)
    after = os.stat(shared / "log")
    assert (before.st_ino, before.st_ctime_ns) == (after.st_ino, after.st_ctime_ns)
    assert sorted(os.listdir(shared)) == ["late", "log", "other"]
    assert os.listdir(copy) == ["file"]
