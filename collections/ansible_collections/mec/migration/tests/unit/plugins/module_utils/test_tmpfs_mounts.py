# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tmpfs mounts of a container are made on the target, and that they hold the same there."""

from __future__ import annotations

import base64
import os
import pathlib

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.files import tmpfs, tmpfs_mounts
from ansible_collections.mec.migration.plugins.module_utils.files.tmpfs import (
    TmpfsMount,
    TmpfsSource,
    TmpfsTarget,
    TmpfsTrees,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel import mountinfo
from ansible_collections.mec.migration.plugins.module_utils.kernel.mountinfo import Mount


def mount(point, device="0:1", root="/", propagation=(), kind="tmpfs"):
    return Mount(device, root, point, list(propagation), kind, "tmpfs", "rw,size=64k")


def points(*mounts, external=()):
    return [each.point for each in tmpfs_mounts.candidates(list(mounts), list(external))]


def test_mounts_of_the_container_alone_are_taken():
    root = mount("/", "0:9", kind="overlay")
    assert points(root, mount("/dev"), mount("/dev/shm", "0:2")) == ["/dev", "/dev/shm"]


@pytest.mark.parametrize(
    "others",
    [
        [mount("/dev", propagation=["shared:7"])],
        [mount("/dev"), mount("/elsewhere")],
        [mount("/dev"), mount("/part", root="/part")],
        [mount("/dev"), mount("/dev", "0:2", kind="ext4")],
        [mount("/dev", root="/sub")],
        [mount("/dev", kind="devtmpfs")],
    ],
    ids=["shared", "mounted twice", "a part mounted", "mounted over", "part of another", "no tmpfs"],
)
def test_what_is_not_plain_is_left_to_criu(others):
    assert points(mount("/", "0:9", kind="overlay"), *others) == []


def test_binds_that_are_external_anyway_do_not_matter():
    masked = mount("/proc/keys", root="/null")
    assert points(mount("/dev"), masked, external=["/proc/keys"]) == ["/dev"]


def test_the_tables_escapes_are_undone():
    assert mountinfo.unescape("/with\\040space\\134") == "/with space\\"
    assert any(each.point == "/" for each in mountinfo.mounts(os.getpid()))


def test_what_the_service_writes_to_travels_in_rounds(monkeypatch):
    read_only = mount("/proc/acpi", "0:4")._replace(super_options="ro,size=0k")
    every = [
        mount("/", "0:9", kind="overlay"),
        mount("/dev"),
        mount("/dev/shm", "0:2"),
        mount("/run", "0:3"),
        read_only,
        mount("/twice", "0:5"),
        mount("/again", "0:5"),
    ]
    monkeypatch.setattr(tmpfs_mounts, "mounts", lambda pid: every)
    # Not /dev, below which something is mounted.
    assert [each.point for each in tmpfs_mounts.tree_mounts(1, [])] == ["/dev/shm", "/run"]


def test_a_tree_is_the_mount_that_was_there_first(monkeypatch, full, tmp_path):
    point = str(full)
    for module in (tmpfs, tmpfs_mounts):
        monkeypatch.setattr(module, "mounts", lambda pid: [mount(point, "0:2")])
    trees = TmpfsTrees(os.getpid(), [])
    (tree,) = trees.trees()
    (own,) = trees.mounts
    assert (tree.name, tree.destination, tree.in_memory) == (own.key, point, True)
    # Whatever has its name now.
    full.rename(tmp_path / "aside")
    full.mkdir()
    assert sorted(os.listdir(tree.path)) == ["fifo", "folder", "link"]
    source = TmpfsSource(os.getpid(), [], trees=trees)
    assert source.mounts == [own]
    assert (source.as_fields(), source.changed()) == ([], {})
    # Another one that is mounted there later is no tree; it is small.
    monkeypatch.setattr(tmpfs, "mounts", lambda pid: [mount(point, "0:8")])
    later = TmpfsSource(os.getpid(), [], trees=trees)
    assert [each.key for each in later.mounts] == ["mec-tmpfs-0"]
    trees.close()


class Source(TmpfsSource):
    """Of a directory in this process's own view of files."""

    def __init__(self, point):
        self._pid = os.getpid()
        self.mounts = [TmpfsMount("mec-tmpfs-0", point, "tmpfs", "rw")]
        self._content = {"mec-tmpfs-0": self._read(self.mounts[0], tmpfs_mounts.MAX_CONTENT_BYTES)}


@pytest.fixture
def full(tmp_path):
    point = tmp_path / "source"
    (point / "folder").mkdir(parents=True)
    (point / "folder" / "file").write_bytes(os.urandom(2000))
    os.chmod(point / "folder" / "file", 0o4711)
    os.symlink("folder/file", point / "link")
    os.mkfifo(point / "fifo", 0o600)
    os.utime(point / "folder" / "file", ns=(5, 7_000_000_001))
    return point


def listing(point):
    found = {}
    for path, folders, files in os.walk(point):
        for name in [*folders, *files, "."]:
            each = os.path.join(path, name)
            status = os.lstat(each)
            content = pathlib.Path(each).read_bytes() if os.path.isfile(each) else b""
            link = os.readlink(each) if os.path.islink(each) else ""
            found[os.path.relpath(each, point)] = (status.st_mode, status.st_mtime_ns, content, link)
    return found


def test_the_copy_is_the_same(full, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    source = Source(str(full))
    tmpfs._fill(str(copy), source.as_fields()[0]["entries"])
    assert listing(copy) == listing(full)
    assert source.changed() == {}
    (full / "folder" / "file").write_bytes(b"later")
    os.unlink(full / "link")
    target = TmpfsTarget(str(tmp_path))
    target._path = lambda key: str(copy)
    target.update(source.changed())
    assert listing(copy) == listing(full)
    assert source.changed() == {}


def test_large_files_are_left_to_criu(full):
    (full / "large").write_bytes(bytes(tmpfs_mounts.MAX_CONTENT_BYTES + 1))
    with pytest.raises(tmpfs._TooMuch, match="large has 65537 bytes, and 63536 are left"):
        Source(str(full))


def test_nothing_outside_is_read_where_a_folder_becomes_a_link(full, tmp_path, monkeypatch):
    secret = tmp_path / "elsewhere"
    secret.mkdir()
    (secret / "file").write_bytes(b"secret")
    describe = tmpfs._describe

    def exchange(root, path, device, left_bytes):
        if path == "folder/file":
            (full / "folder").rename(full / "aside")
            os.symlink(secret, full / "folder")
        return describe(root, path, device, left_bytes)

    monkeypatch.setattr(tmpfs, "_describe", exchange)
    (content,) = [
        entry[6] for entry in Source(str(full)).as_fields()[0]["entries"] if entry[0] == "folder/file"
    ]
    assert base64.b64decode(content) != b"secret"


def test_a_sparse_giant_takes_no_memory(full):
    with open(full / "giant", "wb") as giant:
        giant.truncate(1 << 40)
    with pytest.raises(tmpfs._TooMuch, match="giant has 1099511627776 bytes"):
        Source(str(full))


def test_a_deep_tree_is_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(tmpfs, "MAX_ENTRIES", 50)
    deep = os.open(tmp_path, os.O_RDONLY)
    for _level in range(tmpfs.MAX_ENTRIES + 5):
        os.mkdir("d", dir_fd=deep)
        below = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    with pytest.raises(tmpfs._TooMuch, match="more than 50 files"):
        Source(str(tmp_path))


def test_what_comes_late_and_cannot_be_taken_is_an_error(full):
    source = Source(str(full))
    os.link(full / "folder" / "file", full / "twice")
    with pytest.raises(MigrationError, match="changed during the hand-over"):
        source.changed()


def test_nothing_is_filled_outside(tmp_path):
    entry = ["../outside", 0o100600, 0, 0, 0, 0, base64.b64encode(b"x").decode()]
    with pytest.raises(OSError, match="outside of its mount"):
        tmpfs._fill(str(tmp_path), [entry])


def test_options_for_both_sides(tmp_path):
    assert TmpfsMount("mec-tmpfs-3", "/dev/shm", "shm", "rw").dump_option == "mnt[/dev/shm]:mec-tmpfs-3"
    target = TmpfsTarget("/run/x")
    target._mounts = {"mec-tmpfs-3": TmpfsMount("mec-tmpfs-3", "/dev/shm", "shm", "rw")}
    assert target.criu_config == "external mnt[mec-tmpfs-3]:/run/x/mec-tmpfs-3\n"
