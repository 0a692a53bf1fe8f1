# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of a large file a round reads what the kernel says has changed, and no change is missed."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.files.content import BLOCK_BYTES, Content, Fresh
from ansible_collections.mec.migration.plugins.module_utils.kernel.page_cache import (
    PageCacheChanges,
    Unknown,
    is_on_reporting_device,
    is_reported,
)

sys.path.insert(0, str(Path(__file__).parent))
from test_file_sync import Pair

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts, the kernel's tracing")

FILE_BYTES = 48 << 20
HOLE_AT, HOLE_BYTES = 16 << 20, 1 << 20
PAGE = 4096
RWF_DONTCACHE = 0x80
# fallocate(2)
KEEP_SIZE, PUNCH_HOLE, COLLAPSE_RANGE, ZERO_RANGE, INSERT_RANGE, WRITE_ZEROES = 1, 2, 8, 16, 32, 128

libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def disk(base: Path, block_bytes: int = PAGE, mount: str = "loop") -> Iterator[Path]:
    """An ext4 of its own."""
    image, point = base / "image", base / "disk"
    point.mkdir()
    with open(image, "wb") as file:
        file.truncate(400 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-b", str(block_bytes), str(image)], check=True)
    subprocess.run(["mount", "-o", mount, str(image), str(point)], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


class Database:
    """A pair of trees with one large file, and every way to change it."""

    def __init__(self, base: Path, seed: int = 1) -> None:
        self.pair = Pair(base)
        self.path = self.pair.source / "data"
        self.random = random.Random(seed)
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        self.rewrite()
        self.direct_fd = os.open(self.path, os.O_RDWR | os.O_DIRECT)
        self.mapping = mmap.mmap(self.fd, FILE_BYTES)
        self.aligned = mmap.mmap(-1, 1 << 20)

    @contextlib.contextmanager
    def open(self) -> Iterator[Database]:
        try:
            yield self
        finally:
            self.pair.sync.close()
            self.pair.receiver.close()
            self.mapping.close()
            os.close(self.fd)
            os.close(self.direct_fd)

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def at(self, length: int, align: int = 1) -> int:
        return self.random.randrange(max(1, self.size - length)) // align * align

    def rewrite(self) -> None:
        os.ftruncate(self.fd, 0)
        for offset in range(0, FILE_BYTES, 1 << 20):
            os.pwrite(self.fd, self.random.randbytes(1 << 20), offset)

    def write(self) -> None:
        length = self.random.choice((1, 100, PAGE, 70_000))
        os.pwrite(self.fd, self.random.randbytes(length), self.at(length))

    def append(self) -> None:
        os.pwrite(self.fd, self.random.randbytes(self.random.choice((10, 5_000, 100_000))), self.size)

    def store(self) -> None:
        if self.size >= FILE_BYTES:
            self.mapping[self.random.randrange(FILE_BYTES)] = self.random.randrange(256)

    def direct(self) -> None:
        length = self.random.choice((PAGE, 2 * PAGE, 16 * PAGE))
        self.aligned[:length] = self.random.randbytes(length)
        os.pwritev(self.direct_fd, [memoryview(self.aligned)[:length]], self.at(length, PAGE))

    def uncached(self) -> None:
        with contextlib.suppress(OSError):  # Linux 6.14
            os.pwritev(self.fd, [self.random.randbytes(2 * PAGE)], self.at(2 * PAGE), RWF_DONTCACHE)

    def truncate(self) -> None:
        os.ftruncate(self.fd, self.at(1, self.random.choice((1, PAGE))))
        os.ftruncate(self.fd, FILE_BYTES)

    def shorten(self) -> None:
        os.ftruncate(self.fd, max(8 << 20, self.size - self.random.randrange(100_000)))

    def _fallocate(self, mode: int, offset: int, length: int) -> None:
        libc.fallocate(self.fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length))

    def punch(self) -> None:
        length = self.random.choice((512, PAGE, 5_000, 16 * PAGE))
        self._fallocate(KEEP_SIZE | PUNCH_HOLE, self.at(length, self.random.choice((1, PAGE))), length)

    def zero(self) -> None:
        length = self.random.choice((512, PAGE, 16 * PAGE, 3 << 20))
        self._fallocate(KEEP_SIZE | ZERO_RANGE, self.at(length, self.random.choice((1, PAGE))), length)

    def large_hole(self) -> None:
        self._fallocate(KEEP_SIZE | PUNCH_HOLE, HOLE_AT, HOLE_BYTES)

    def reserve(self) -> None:
        self._fallocate(0, HOLE_AT, HOLE_BYTES)

    def direct_into_hole(self) -> None:
        """No page of a hole is in the page cache, so nothing is taken out of it."""
        self.aligned[:PAGE] = self.random.randbytes(PAGE)
        at = HOLE_AT + self.random.randrange(HOLE_BYTES // PAGE) * PAGE
        os.pwritev(self.direct_fd, [memoryview(self.aligned)[:PAGE]], at)

    def write_zeroes(self) -> None:
        self._fallocate(WRITE_ZEROES, self.at(16 * PAGE, PAGE), 16 * PAGE)

    def collapse(self) -> None:
        self._fallocate(COLLAPSE_RANGE, self.at(1 << 20, PAGE), PAGE * self.random.randrange(1, 20))

    def insert(self) -> None:
        if self.size < 2 * FILE_BYTES:
            self._fallocate(INSERT_RANGE, self.at(1, PAGE), PAGE * self.random.randrange(1, 20))

    def copy(self) -> None:
        os.copy_file_range(self.fd, self.fd, 5_000, self.at(5_000) // 2, self.at(5_000) // 2 + self.size // 2)

    def flush(self) -> None:
        os.fsync(self.fd)

    def drop(self) -> None:
        os.posix_fadvise(self.fd, self.at(1 << 20), 1 << 20, os.POSIX_FADV_DONTNEED)


CHANGES = [
    *(Database.write, Database.store, Database.direct) * 3,
    *(Database.append, Database.uncached, Database.truncate, Database.shorten, Database.punch, Database.zero),
    *(
        Database.write_zeroes,
        Database.collapse,
        Database.insert,
        Database.copy,
        Database.flush,
        Database.drop,
    ),
]


@pytest.fixture
def database(tmp_path):
    with disk(tmp_path) as point, Database(point).open() as made:
        yield made


def bytes_read() -> int:
    """What this process has read so far, also out of the page cache (proc_pid_io(5))."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(lines[0].removeprefix("rchar: "))


def read_by(pair: Pair, **options) -> int:
    """How much of files a round reads; source and target are in this process, and the target reads none."""
    before = bytes_read()
    pair.round(**options)
    return bytes_read() - before


@pytest.mark.parametrize("change", [Database.write, Database.store, Database.direct])
def test_only_what_changed_is_read(database, change):
    database.pair.round()
    database.pair.settle()
    for _turn in range(10):
        change(database)
    read = read_by(database.pair, mapped=["/data/data"], last=True)
    # The largest group of pages in which one is dirty is 2 MiB.
    assert 10 * PAGE < read < FILE_BYTES // 2
    assert database.pair.sync.note == ""
    database.pair.check()
    assert read_by(database.pair, mapped=["/data/data"], last=True) < FILE_BYTES // 2


def test_an_appended_log_is_read_from_its_old_end(database):
    database.pair.round()
    for _turn in range(5):
        database.append()
    assert read_by(database.pair, last=True) < FILE_BYTES // 4
    database.pair.check()


@pytest.mark.parametrize("seed", range(6))
def test_no_change_is_missed(tmp_path, seed):
    with disk(tmp_path) as point, Database(point, seed).open() as database:
        chosen = random.Random(seed)
        for _turn in range(12):
            for change in chosen.choices(chosen.sample(CHANGES, 6), k=chosen.randrange(40)):
                change(database)
            # The last round is followed by others where the hand-over fails.
            database.pair.round(mapped=["/data/data"], last=chosen.random() < 0.5)
            if chosen.random() < 0.5:
                database.pair.round(mapped=["/data/data"], last=True)
                database.pair.check()


@pytest.mark.parametrize("reserved", [False, True])
def test_a_hole_is_filled_past_the_page_cache(database, reserved):
    pair = database.pair
    database.large_hole()
    if reserved:
        database.reserve()
    pair.round()
    pair.settle()
    for _turn in range(3):
        database.direct_into_hole()
        assert read_by(pair, last=True) < FILE_BYTES // 2
        pair.check()
    database.direct_into_hole()
    pair.round()
    database.large_hole()
    pair.round(last=True)
    pair.check()


def test_what_was_dirty_when_it_was_frozen_is_read_again_after_a_roll_back(database):
    pair = database.pair
    pair.round()
    os.pwrite(database.fd, b"before", 20 << 20)
    pair.round(last=True)
    os.pwrite(database.fd, b"after", 20 << 20)
    pair.round()
    pair.round(last=True)
    pair.check()


def test_a_file_in_the_place_of_another(database):
    pair = database.pair
    pair.round()
    other = pair.source / "other"
    other.write_bytes(database.random.randbytes(FILE_BYTES))
    pair.round()
    os.rename(database.path, pair.source / "kept")
    os.rename(other, database.path)
    pair.round(last=True)
    pair.check()
    database.write()
    os.rename(pair.source / "kept", database.path)
    pair.round(last=True)
    pair.check()


def test_a_cut_round_is_sent_again(database):
    database.pair.round()
    database.write()
    with pytest.raises(MigrationError):
        database.pair.round(limit=1)
    database.pair.round(last=True)
    database.pair.check()


def digests(path: Path) -> Content:
    fd = os.open(path, os.O_RDONLY)
    content = Content(fd)
    list(content.extents())
    os.close(fd)
    return content


def test_the_end_of_a_file_that_grew_is_read(tmp_path):
    """The last block was shorter when it was digested, and nobody wrote to it since."""
    path = tmp_path / "file"
    path.write_bytes(random.Random(3).randbytes(5 * BLOCK_BYTES + 100))
    before = digests(path)
    os.truncate(path, 8 * BLOCK_BYTES)
    fd = os.open(path, os.O_RDONLY)
    content = Content(fd, before.digests, Fresh(before.digests, set(), before.holes, before.size_bytes))
    read = [extent.offset for extent in content.extents() if extent.data is not None]
    assert read == [5 * BLOCK_BYTES]
    os.close(fd)
    assert content.digests == digests(path).digests


@pytest.mark.parametrize(
    ("block_bytes", "mount"),
    [(1024, "loop"), (PAGE, "loop,data=journal")],
    ids=["blocks smaller than pages", "a journal of data"],
)
def test_where_not_all_is_reported_all_is_read(tmp_path, block_bytes, mount):
    with disk(tmp_path, block_bytes, mount) as point, Database(point).open() as database:
        assert not (is_on_reporting_device(database.fd) and is_reported(database.fd))
        pair = database.pair
        pair.round()
        database.punch()
        os.pwrite(database.fd, b"changed", 20 << 20)
        assert read_by(pair, last=True) >= FILE_BYTES - (1 << 20)
        assert pair.sync.note == "of 1 large files the file system does not report all changes"
        pair.check()


def test_events_that_were_lost_are_noticed(database):
    changes = PageCacheChanges(1)  # as small as the kernel makes it
    try:
        changes.follow([os.fstat(database.fd).st_ino])
        os.pread(database.fd, PAGE, 0)
        assert changes.take() == {}
        for _turn in range(5_000):
            os.pwrite(database.fd, b"x", 0)
            libc.sync_file_range(database.fd, ctypes.c_int64(0), ctypes.c_int64(PAGE), 7)
        with pytest.raises(Unknown, match="more events than its buffer holds"):
            changes.take()
        os.pwrite(database.fd, b"x", 9 * PAGE)
        assert [set(pages) for pages in changes.take().values()] != []
    finally:
        changes.close()


WITHOUT_TRACING = """
import os, sys
from ansible_collections.mec.migration.plugins.module_utils.files.known_blocks import KnownBlocks
from ansible_collections.mec.migration.plugins.module_utils.kernel.rooted import Root
root, blocks = Root(sys.argv[1]), KnownBlocks()
blocks.follow(root, ["data"])
print(blocks.begin(root.open_file("data"), frozen=False), blocks.note)
"""


def test_who_may_not_trace_reads_all(database):
    collections = Path(__file__).resolve().parents[7]
    said = subprocess.run(
        [
            *("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"),
            *(sys.executable, "-c", WITHOUT_TRACING, str(database.pair.source)),
        ],
        env={**os.environ, "PYTHONPATH": f"{collections}:{os.environ.get('PYTHONPATH', '')}"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert said.startswith("None the kernel does not report which pages of files change: [Errno 1]")


def test_no_trace_is_left_behind(database):
    """An instance of the tracing that nobody uses any more, say after a kill, is removed by the next one."""
    first, second = PageCacheChanges(), PageCacheChanges()
    names = [changes._buffer._name for changes in (first, second)]
    instances = os.dup(second._buffer._instances)
    assert set(names) <= set(os.listdir(instances)), "one that is in use stays"
    os.close(first._buffer._pipe)
    os.close(first._buffer._dir)
    first._buffer._pipe = first._buffer._dir = -1
    PageCacheChanges().close()
    assert set(names) & set(os.listdir(instances)) == {names[1]}
    second.close()
    assert not set(names) & set(os.listdir(instances))
    os.close(instances)
    first.close()
