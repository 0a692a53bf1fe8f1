# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File synchronisation between two directories; needs root (owners, devices, trusted xattrs)."""

from __future__ import annotations

import contextlib
import mmap
import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError, TransferError
from ansible_collections.mec.migration.plugins.module_utils.files.apply import FileReceiver
from ansible_collections.mec.migration.plugins.module_utils.files.scan import scan
from ansible_collections.mec.migration.plugins.module_utils.files.sync import FileSync
from ansible_collections.mec.migration.plugins.module_utils.files.tree_digest import tree_listing
from ansible_collections.mec.migration.plugins.module_utils.files.trees import Tree
from ansible_collections.mec.migration.plugins.module_utils.kernel import inode_flags
from ansible_collections.mec.migration.plugins.module_utils.kernel.mapped_files import shared_writable_files
from ansible_collections.mec.migration.plugins.module_utils.kernel.rooted import Root
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from peers import Peer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: owners, devices, xattrs")

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
ACL = bytes.fromhex(
    "02000000 01000600ffffffff 0200040001000000 04000400ffffffff 10000400ffffffff 20000000ffffffff"
)


class Pair:
    """A source tree, a target tree, and the two ends between them."""

    def __init__(self, base: Path) -> None:
        self.source = base / "source"
        self.target = base / "target"
        for path in (self.source, self.target):
            path.mkdir(parents=True)
        self.tree = Tree("volume:data", str(self.source), destination="/data")
        self.sync = FileSync([self.tree])
        self.receiver = FileReceiver({"volume:data": str(self.target)})

    def connect(self, limit: int | None = None) -> Peer:
        return Peer(self.receiver.handlers, limit=limit)

    def round(self, limit=None, **options):
        with self.connect(limit) as peer:
            self.sync.prepare(peer.channel)
            return self.sync.round(peer.channel, **options)

    def check(self) -> None:
        assert tree_listing(str(self.target)) == tree_listing(str(self.source))

    def settle(self) -> None:
        """Let the clock of the file system move on, so that the times of files can be trusted."""
        time.sleep(0.03)
        self.round()


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


def test_every_kind_of_file_arrives(pair):
    source = pair.source
    (source / "a directory").mkdir(mode=0o2750)
    (source / "a directory" / "small").write_bytes(b"small")
    (source / "empty").touch()
    (source / "big").write_bytes(random.Random(1).randbytes(3_000_001))
    os.symlink("/etc/shadow", source / "symlink")
    os.mkfifo(source / "fifo", 0o640)
    os.mknod(source / "device", stat.S_IFBLK | 0o600, os.makedev(7, 200))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "socket"))
    os.link(source / "big", source / "a directory" / "other name")
    os.link(source / "fifo", source / "fifo too")
    (source / "setuid").write_bytes(b"#!")
    os.chown(source / "setuid", 1000, 1001)
    os.setxattr(source / "setuid", "security.capability", CAPABILITY)
    os.chmod(source / "setuid", 0o6755)
    os.setxattr(source / "empty", "user.note", b"\x00binary\xff")
    os.setxattr(source / "symlink", "trusted.note", b"on a symlink", follow_symlinks=False)
    os.setxattr(source / "empty", "system.posix_acl_access", ACL)
    os.setxattr(source / "a directory", "system.posix_acl_default", ACL)
    os.setxattr(source, "user.root", b"1")
    with open(os.fsencode(source) + b"/not utf-8 \xff\xfe", "wb") as stream:
        stream.write(b"x")
    os.utime(source / "empty", ns=(1, 1_234_567_891))
    os.chown(source, 999, 999)
    os.chmod(source, 0o700)
    result = pair.round()
    pair.check()
    assert result.scanned == len(tree_listing(str(source)))
    assert os.getxattr(pair.target / "setuid", "security.capability") == CAPABILITY


def test_nothing_changed_costs_nothing(pair):
    (pair.source / "file").write_bytes(b"content")
    pair.round()
    pair.settle()
    with pair.connect() as peer:
        pair.sync.prepare(peer.channel)
        result = pair.sync.round(peer.channel)
    assert (result.sent_bytes, result.changed_files, result.deleted_files) == (0, 0, 0)
    assert peer.received == ["files.begin"]


def test_volume_loses_what_the_source_never_had(pair):
    (pair.target / "from the image").mkdir()
    (pair.target / "from the image" / "file").touch()
    (pair.source / "file").touch()
    pair.round()
    pair.check()


def test_deletes_and_type_changes(pair):
    source = pair.source
    for name in ("dir/sub/file", "gone/x", "file", "link-to-be"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    pair.round()
    shutil.rmtree(source / "dir")
    (source / "dir").write_text("now a file")
    shutil.rmtree(source / "gone")
    (source / "file").unlink()
    (source / "file").mkdir()
    (source / "file" / "inside").write_text("x")
    (source / "link-to-be").unlink()
    os.symlink("file", source / "link-to-be")
    result = pair.round()
    pair.check()
    assert result.deleted_files >= 2


def test_only_changed_blocks_of_a_big_file_travel(pair):
    content = random.Random(2).randbytes(12 << 20)
    (pair.source / "db").write_bytes(content)
    pair.round()
    pair.settle()
    with open(pair.source / "db", "r+b") as stream:
        stream.seek(5_000_000)
        stream.write(b"changed")
    result = pair.round()
    pair.check()
    assert result.changed_files == 1
    assert result.sent_bytes < 20_000
    with open(pair.source / "db", "ab") as stream:
        stream.write(random.Random(3).randbytes(10_000))
    result = pair.round()
    pair.check()
    assert result.sent_bytes < 40_000
    os.truncate(pair.source / "db", 4_000_000)
    result = pair.round()
    pair.check()
    assert result.sent_bytes < 20_000


def test_sparse_files_stay_sparse(pair):
    path = pair.source / "sparse"
    with open(path, "wb") as stream:
        stream.truncate(1 << 28)
        stream.seek(200 << 20)
        stream.write(b"island")
    with open(pair.source / "small", "wb") as stream:
        stream.seek(40_000)
        stream.write(b"end")
    result = pair.round()
    pair.check()
    assert result.sent_bytes < 100_000
    assert (pair.target / "sparse").stat().st_blocks * 512 < 1 << 20
    # A hole that is punched later frees the blocks on the target as well.
    with open(path, "r+b") as stream:
        stream.seek(100 << 20)
        stream.write(random.Random(4).randbytes(4 << 20))
    pair.round()
    subprocess.run(
        ["fallocate", "--punch-hole", "-o", str(101 << 20), "-l", str(2 << 20), str(path)],
        check=True,
    )
    pair.round()
    pair.check()
    assert (pair.target / "sparse").stat().st_blocks * 512 < 3 << 20


def test_hard_links_across_rounds(pair):
    source = pair.source
    (source / "m").write_bytes(random.Random(5).randbytes(200_000))
    pair.round()
    (source / "d").mkdir()
    os.link(source / "m", source / "a")
    os.link(source / "m", source / "d" / "z")
    result = pair.round()
    pair.check()
    assert result.sent_bytes < 10_000
    with open(source / "a", "r+b") as stream:
        stream.write(b"through another name")
    pair.round()
    pair.check()
    # A name leaves the group, and changes.
    (source / "m").unlink()
    (source / "m").write_bytes(b"independent")
    pair.round()
    pair.check()
    (source / "a").write_bytes(b"small now")
    pair.round()
    pair.check()


def test_metadata_alone_is_cheap(pair):
    (pair.source / "big").write_bytes(bytes(range(256)) * 10_000)
    pair.round()
    os.chmod(pair.source / "big", 0o4711)
    os.setxattr(pair.source / "big", "user.a", b"b")
    result = pair.round()
    pair.check()
    assert result.sent_bytes < 1000
    os.removexattr(pair.source / "big", "user.a")
    pair.round()
    pair.check()


def test_a_second_write_within_the_clock_tick_is_noticed(pair):
    path = pair.source / "file"
    for attempt in range(100):
        path.write_bytes(f"one {attempt}".encode())
        before = path.stat()
        pair.round()
        # On a busy machine the round may come a tick later, and all is well anyway.
        if pair.sync._held["volume:data"].stats["file"].ctime_ns == -1:
            break
    else:
        pytest.fail("a file that was written in the tick of its round was trusted every time")
    path.write_bytes(f"two {attempt}".encode())
    # As a kernel with a coarse clock would leave it.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    pair.round()
    pair.check()


def test_shared_mappings_are_compared_by_content(pair):
    path = pair.source / "mapped"
    path.write_bytes(bytes(100_000))
    pair.round()
    pair.settle()
    with open(path, "r+b") as stream, mmap.mmap(stream.fileno(), 0) as view:
        view[50_000] = 7
        pair.settle()
        view[60_000] = 8  # the page is dirty already: no times change
        assert str(path) in shared_writable_files([os.getpid()])
        pair.round(mapped={"/data/mapped", "/elsewhere"}, last=True)
        pair.check()


def test_a_mapping_that_ended_between_two_rounds(pair):
    """As a log that was written through memory and is complete now: who wrote has let go of it."""
    path = pair.source / "mapped"
    path.write_bytes(bytes(100_000))
    pair.round()
    pair.settle()
    with open(path, "r+b") as stream, mmap.mmap(stream.fileno(), 0) as view:
        view[50_000] = 7
        pair.settle()
        pair.round(mapped={"/data/mapped"})
        view[50_001] = 8  # the page is dirty already: no times change
    pair.round(last=True)
    pair.check()


def test_a_mapping_that_is_gone_again_left_no_trace_on_a_tmpfs():
    """Somebody maps a file of /dev/shm, reads, writes and ends: no time tells, and no mapping is left."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="mec-test-") as base:
        pair = Pair(Path(base))
        pair.tree = pair.tree._replace(in_memory=True)
        pair.sync = FileSync([pair.tree])
        path = pair.source / "mapped"
        path.write_bytes(bytes(100_000))
        pair.round()
        pair.settle()
        before = os.stat(path)
        with open(path, "r+b") as stream, mmap.mmap(stream.fileno(), 0) as view:
            # Only a page that is not mapped yet when it is written makes the kernel change the times.
            view[50_000] = view[50_000] + 7
        now = os.stat(path)
        assert (now.st_mtime_ns, now.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)
        assert pair.round(last=True).sent_bytes > 0
        pair.check()
        assert pair.round(last=True).sent_bytes == 0


def test_another_source_starts_afresh(pair):
    (pair.source / "one").write_text("1")
    pair.round()
    for number in range(3):
        (pair.source / f"later {number}").write_text("x")
        pair.round()
    (pair.source / "later 0").unlink()
    pair.sync = FileSync([pair.tree])
    pair.round()
    pair.check()


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_cut_connection_is_repaired_by_the_next_round(pair, limit):
    for number in range(4):
        (pair.source / f"big {number}").write_bytes(random.Random(number).randbytes(1 << 20))
    (pair.source / "temporary").write_text("x")
    pair.round()
    for number in range(4):
        with open(pair.source / f"big {number}", "r+b") as stream:
            stream.write(random.Random(number + 10).randbytes(900_000))
    (pair.source / "new").write_bytes(bytes(10))
    with pytest.raises(MigrationError):
        pair.round(limit=limit)
    # What was under way goes back to what it was: only the target knows that it had changed.
    (pair.source / "new").unlink()
    for number in range(4):
        with open(pair.source / f"big {number}", "r+b") as stream:
            stream.write(random.Random(number).randbytes(1 << 20))
    pair.round()
    pair.check()


def test_a_lost_acknowledgement_is_repaired(pair):
    (pair.source / "a").write_text("1")
    pair.round()
    (pair.source / "b").write_text("2")
    with pair.connect() as peer:
        pair.sync.prepare(peer.channel)
        pair.sync.send(peer.channel)
        fields = pair.sync.commit_fields()
        peer.channel.request("files.commit", **fields)
        # ... and the answer never came.
    (pair.source / "b").unlink()
    pair.round()
    pair.check()


def test_what_lay_in_a_directory_that_a_cut_round_removed_is_sent_again(pair):
    deep = pair.source / "b" / "a"
    deep.mkdir(parents=True)
    (deep / "a").write_text("x")
    pair.round()
    shutil.rmtree(pair.source / "b")
    with contextlib.suppress(MigrationError):
        # The target hears of it, the source not that it did.
        pair.round(limit=2)
    deep.mkdir(parents=True)
    (deep / "a").write_text("x")
    pair.round()
    pair.check()


def test_failure_on_the_target_is_the_answer(pair):
    (pair.source / "file").write_text("x")
    pair.receiver = FileReceiver({"volume:other": str(pair.target)})
    with pytest.raises(MigrationError, match="no tree named volume:data; it has volume:other"):
        pair.round()


def test_no_space_says_so(tmp_path):
    pair = Pair(tmp_path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(pair.target)], check=True)
    try:
        (pair.source / "file").write_bytes(random.Random(7).randbytes(3 << 20))
        with pytest.raises(MigrationError, match=r"No space left.*bytes are free"):
            pair.round()
        (pair.source / "file").write_bytes(b"small")
        pair.round()
        pair.check()
    finally:
        pair.receiver.close()
        subprocess.run(["umount", str(pair.target)], check=True)


# -- escapes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "create", "path": "door/owned", "extents": [], "size": 0},
        {"op": "create", "path": "../outside/owned", "extents": [], "size": 0},
        {"op": "create", "path": "/etc/owned", "extents": [], "size": 0},
        {"op": "write", "path": "file door", "extents": [], "size": 0},
        {"op": "delete", "path": "door/secret"},
        {"op": "delete", "path": "door/.."},
        {"op": "directory", "path": "door/new"},
        {"op": "directory", "path": "a/./b"},
        {"op": "meta", "path": "door/secret", "meta": {"mode": 0, "uid": 1, "gid": 1, "mtime_ns": 0}},
        {"op": "link", "path": "stolen", "to": "door/secret"},
        {"op": "link", "path": "door/x", "to": "inside"},
        {"op": "symlink", "path": "door/x", "target": "y", "meta": {}},
        {"op": "node", "path": "door/x", "mode": stat.S_IFIFO, "rdev": 0, "meta": {}},
    ],
)
def test_no_operation_leaves_the_tree(tmp_path, operation):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    pair = Pair(tmp_path)
    (pair.target / "inside").write_text("x")
    os.symlink(outside, pair.target / "door")
    os.symlink(outside / "secret", pair.target / "file door")
    before = tree_listing(str(outside))
    target = pair.receiver._target("volume:data")
    # Refused, or (delete: nothing is there) without effect.
    with contextlib.suppress(OSError):
        pair.receiver._apply_one(target, operation, operation["path"], memoryview(b""))
    assert tree_listing(str(outside)) == before
    assert not (pair.target / "stolen").exists()


def test_metadata_of_a_symlink_stays_on_the_symlink(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("x")
    pair = Pair(tmp_path)
    os.symlink(outside, pair.source / "link")
    os.chown(pair.source / "link", 1234, 1234, follow_symlinks=False)
    pair.round()
    pair.check()
    assert outside.stat().st_uid == 0


def test_the_source_reads_through_no_symlink(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    tree = tmp_path / "tree"
    tree.mkdir()
    os.symlink(tmp_path / "outside", tree / "door")
    root = Root(str(tree))
    assert set(scan(root)) == {"", "door"}
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        root.open_file("door/secret")


def test_a_deep_tree_needs_few_descriptors(tmp_path):
    pair = Pair(tmp_path)
    fd = os.open(pair.source, os.O_RDONLY)
    for _level in range(1500):
        os.mkdir("d", dir_fd=fd)
        child = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = child
    os.close(os.open("leaf", os.O_CREAT, dir_fd=fd))
    os.close(fd)
    pair.round()
    pair.check()
    subprocess.run(["rm", "-rf", str(pair.source / "d")], check=True)
    pair.round()
    pair.check()


# -- random trees ------------------------------------------------------------------------------------

NAMES = ["a", "b", "c", "a-b", "\udcff", "d e"]
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["write", "patch", "append", "truncate", "mkdir", "remove", "rename", "link",
             "symlink", "fifo", "chmod", "chown", "xattr", "unxattr", "utime", "hole"]
        ),
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=3),
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=3),
        st.integers(0, 400_000),
    ),
    max_size=12,
)  # fmt: skip


def act(root: Path, action: str, first: list[str], second: list[str], number: int) -> None:  # noqa: PLR0912
    """One random change; one that is impossible is none."""
    path, other = root.joinpath(*first), root.joinpath(*second)
    data = random.Random(number).randbytes(number)
    regular = path.is_file() and not path.is_symlink()
    if action in ("write", "mkdir", "symlink", "fifo") and not path.parent.is_dir():
        path.parent.mkdir(parents=True)
    if action == "write" and (regular or not os.path.lexists(path)):
        path.write_bytes(data)
    elif action in ("patch", "append", "truncate", "hole") and regular:
        with open(path, "r+b") as stream:
            if action == "patch":
                stream.seek(number // 2)
                stream.write(data[:1000])
            elif action == "append":
                stream.seek(0, os.SEEK_END)
                stream.write(data[:5000])
            elif action == "truncate":
                stream.truncate(number)
            else:
                stream.seek(number * 3)
                stream.write(b"x")
    elif action == "mkdir":
        path.mkdir(exist_ok=True)
    elif action == "remove":
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    elif action == "rename":
        path.rename(other)
    elif action == "link":
        os.link(path, other, follow_symlinks=False)
    elif action == "symlink":
        os.symlink("/".join(second), path)
    elif action == "fifo":
        os.mkfifo(path)
    elif action == "chmod" and os.path.lexists(path) and not path.is_symlink():
        path.chmod(number % 0o10000)
    elif action == "chown":
        os.chown(path, number % 1000, number % 77, follow_symlinks=False)
    elif action == "xattr":
        os.setxattr(path, "trusted.x", str(number).encode(), follow_symlinks=False)
    elif action == "unxattr":
        os.removexattr(path, "trusted.x", follow_symlinks=False)
    elif action == "utime":
        os.utime(path, ns=(number, number), follow_symlinks=False)


@settings(
    max_examples=int(os.environ.get("FILE_SYNC_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(rounds=st.lists(st.tuples(ACTIONS, st.booleans()), min_size=1, max_size=5))
def test_after_random_rounds_the_target_equals_the_source(rounds):
    with tempfile.TemporaryDirectory() as base:
        pair = Pair(Path(base))
        for actions, cut in rounds:
            for action in actions:
                try:
                    act(pair.source, *action)
                except OSError:
                    continue
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


def flags_of(path: Path, flags: int | None = None) -> int:
    """The flags of a file or directory, after they were set to *flags*."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if flags is not None:
            inode_flags.set_flags(fd, flags)
        return inode_flags.read_flags(fd)
    finally:
        os.close(fd)


@pytest.fixture
def flagged(pair):
    """A pair with protected files and directories, which pytest could not remove."""
    source = pair.source
    (source / "etc").mkdir()
    for name in ("etc/fixed", "log", "plain"):
        (source / name).write_bytes(b"first\n")
    os.link(source / "log", source / "log too")
    for name, flags in PROTECTED.items():
        assert flags_of(source / name, flags) == flags
    yield pair
    for tree in (pair.source, pair.target):
        with contextlib.closing(Root(str(tree))) as root:
            inode_flags.unprotect(root, "", below=True)


PROTECTED = {
    "etc/fixed": inode_flags.IMMUTABLE | inode_flags.NOATIME,
    "log": inode_flags.APPEND,
    "plain": inode_flags.NODUMP,
    "etc": inode_flags.IMMUTABLE,
}


def test_flags_of_files_and_directories_arrive(flagged):
    flagged.round()

    flagged.check()
    assert {name: flags_of(flagged.target / name) for name in PROTECTED} == PROTECTED
    flagged.settle()
    assert flagged.round().sent_bytes == 0


def test_what_is_protected_changes_with_the_source(flagged):
    source = flagged.source
    flagged.round()
    with open(source / "log", "ab") as log:
        log.write(b"second\n")
    flags_of(source / "etc", 0)
    flags_of(source / "etc/fixed", 0)
    (source / "etc/fixed").unlink()
    (source / "etc/new").write_bytes(b"new")
    os.link(source / "plain", source / "etc/plain too")
    flags_of(source / "plain", 0)
    flags_of(source / "etc", inode_flags.IMMUTABLE)

    flagged.round()

    flagged.check()
    assert flags_of(flagged.target / "etc") == inode_flags.IMMUTABLE
    assert flags_of(flagged.target / "plain") == 0


def test_what_is_protected_on_the_target_alone_goes(flagged):
    old = flagged.target / "old"
    (old / "deep").mkdir(parents=True)
    (old / "deep/file").write_bytes(b"of an earlier stay")
    (flagged.target / "plain").write_bytes(b"older")
    for path in (old / "deep/file", old / "deep", old, flagged.target / "plain", flagged.target):
        flags_of(path, inode_flags.IMMUTABLE)

    flagged.round()

    flagged.check()


def test_a_round_that_is_cut_is_made_again_with_its_flags(flagged):
    flagged.round()
    flags_of(flagged.source / "etc", 0)
    (flagged.source / "etc/new").write_bytes(b"new")
    flags_of(flagged.source / "etc", inode_flags.IMMUTABLE)
    with pytest.raises(TransferError):
        # The target gets what changed, but not the end of the round.
        flagged.round(limit=2)

    flagged.round()

    flagged.check()
