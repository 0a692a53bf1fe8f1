# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared memory of real processes: read as a whole, sent in rounds, found where CRIU would read it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.criu.images import (
    PE_PARENT,
    PE_PRESENT,
    PagemapEntry,
    image_names,
    read_pagemap,
    write_pagemap,
)
from ansible_collections.mec.migration.plugins.module_utils.criu.segments import SYSTEM_V
from ansible_collections.mec.migration.plugins.module_utils.kernel.process_memory import PAGE_BYTES
from ansible_collections.mec.migration.plugins.module_utils.memory.shared_memory import (
    SYSTEM_V as SYSTEM_V_PATH,
)
from ansible_collections.mec.migration.plugins.module_utils.memory.shared_memory import (
    SegmentReader,
    segments,
    shared_bytes,
)
from ansible_collections.mec.migration.plugins.module_utils.memory.source import MemorySource
from ansible_collections.mec.migration.plugins.module_utils.memory.target import MemoryTarget
from ansible_collections.mec.migration.plugins.module_utils.memory.trackers import CompareTracker
from ansible_collections.mec.migration.plugins.module_utils.source import final_images
from ansible_collections.mec.migration.plugins.module_utils.source.final_images import FinalImages
from peers import Peer

PAGES = 64
PROGRAM = f"""
import mmap, os, sys
size = {PAGES} * mmap.PAGESIZE
if sys.argv[1] == "memfd":
    made = os.memfd_create("ours")
    os.ftruncate(made, size)
    shared = mmap.mmap(made, size)
elif sys.argv[1] == "system v":
    import ctypes
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    made = libc.shmget(0, size, 0o1600)
    shared = memoryview((ctypes.c_char * size).from_address(libc.shmat(made, None, 0))).cast("B")
    # It stays until the last one has let go of it.
    libc.shmctl(made, 0, None)
else:
    shared = mmap.mmap(-1, size)
child = os.fork()
for line in sys.stdin if child else ():
    page, seed = map(int, line.split())
    # By the child, as it were: nobody's page tables are to matter.
    writer = os.fork()
    if writer == 0:
        at = page * mmap.PAGESIZE
        shared[at : at + mmap.PAGESIZE] = bytes([seed, page]) * (mmap.PAGESIZE // 2)
        os._exit(0)
    os.waitpid(writer, 0)
    print("done", flush=True)
if child == 0:
    import time
    time.sleep(600)
os.kill(child, 9)
"""


class Family:
    """Two processes that share a segment."""

    def __init__(self, kind: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROGRAM, kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def write(self, page: int, seed: int) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{page} {seed}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"
        return bytes([seed, page]) * (PAGE_BYTES // 2)

    @property
    def pids(self) -> list[int]:
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as children:
            return [self.pid, *map(int, children.read().split())]

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(params=["anonymous", "memfd", "system v"])
def family(request):
    made = Family(request.param)
    made.write(3, 1)
    yield made
    made.close()


def test_a_segment_is_one_whoever_has_it_mapped(family):
    assert len(family.pids) == 2
    assert len(segments(family.pids)) == 1
    path = next(iter(segments(family.pids).values()))
    reader = SegmentReader(path)
    assert reader.held() == RangeSet([(3 * PAGE_BYTES, 4 * PAGE_BYTES)])
    second = family.write(40, 2)
    assert shared_bytes(family.pids) == 2 * PAGE_BYTES
    of_system_v = 2 * PAGE_BYTES if next(iter(segments(family.pids))) <= -SYSTEM_V else 0
    assert shared_bytes(family.pids, SYSTEM_V_PATH) == of_system_v
    held = RangeSet([(at * PAGE_BYTES, (at + 1) * PAGE_BYTES) for at in (3, 40)])
    assert reader.held() == held
    assert reader.content(held) == bytes([1, 3]) * (PAGE_BYTES // 2) + second
    reader.close()


def page_of(directory, number, address):
    """What plain CRIU finds for a page of a segment: in this directory, or down the chain of parents."""
    while True:
        names = image_names(number)
        pages_id, entries = read_pagemap(os.path.join(directory, names.pagemap))
        offset = 0
        for start, pages, flags in entries:
            if start <= address < start + pages * PAGE_BYTES:
                break
            offset += pages * PAGE_BYTES if flags & PE_PRESENT else 0
        else:
            return None
        if flags & PE_PRESENT:
            with open(os.path.join(directory, f"pages-{pages_id}.img"), "rb") as content:
                content.seek(offset + address - start)
                return content.read(PAGE_BYTES)
        assert flags == PE_PARENT
        directory = os.path.join(directory, os.readlink(os.path.join(directory, "parent")))


@pytest.fixture
def on_tmpfs():
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="mec-test-") as directory:
        yield pathlib.Path(directory)


class Sent:
    """A channel that keeps the names of images."""

    def __init__(self):
        self.files = []

    def resembling(self, body):
        return body

    def send(self, kind, body, files):
        self.files += files


@pytest.mark.parametrize("compared", [True, False])
@pytest.mark.parametrize("early", [True, False])
def test_what_others_wrote_travels_and_only_that(family, on_tmpfs, monkeypatch, early, compared):
    if early:
        monkeypatch.setattr(final_images, "MIN_EARLY_BYTES", 1)
    number = next(iter(segments(family.pids)))
    shmid = -number % SYSTEM_V
    state, images = on_tmpfs / "source", on_tmpfs / "target"
    state.mkdir()
    images.mkdir()
    target = MemoryTarget(str(images), chain=False)
    numbers = {pid: at for at, pid in enumerate(family.pids, start=1)}
    wanted = {page: family.write(page, 7) for page in range(10)}
    with Peer(target.handlers) as peer:
        source = MemorySource(str(state), CompareTracker())

        def turn(frozen=False):
            done = source.round(peer.channel, numbers, frozen=frozen)
            peer.channel.answer("memory.round_end")
            source.acknowledged()
            return done

        turn()
        assert source.known(number) == RangeSet([(0, 10 * PAGE_BYTES)])
        wanted[5] = family.write(5, 8)
        wanted[20] = family.write(20, 8)
        turn()
        for page, content in wanted.items():
            assert page_of(str(images / "2"), number, page * PAGE_BYTES) == content
        # After the freeze the rounds leave it to CRIU's images.
        wanted[6] = family.write(6, 9)
        wanted[30] = family.write(30, 9)
        turn(frozen=True)
        final = images / "final"
        final.mkdir()
        finals = FinalImages(str(final), source)
        if compared:
            # Then its content need not be dumped.
            (final / "pages-5.img").symlink_to("/dev/null")
            finals.compare(family.pids)
        finals.expect({})
        # CRIU has written it and dumps on.
        steps = [lambda: dump_segment(final, shmid, wanted), lambda: None]

        def dumping():
            if steps:
                steps.pop(0)()
            return bool(steps)

        sent = Sent()
        finals.send_early(sent, dumping)
        assert {name for name, _size in sent.files} == (
            {f"pagemap-shmem-{shmid}.img", "pages-5.img"} if early else set()
        )
        assert finals.settle() == {}
        os.symlink("../3", final / "parent")
        for page, content in wanted.items():
            assert page_of(str(final), number, page * PAGE_BYTES) == content
        assert (final / "pages-5.img").stat().st_size == 2 * PAGE_BYTES


def dump_segment(directory, shmid, content):
    """As CRIU does, whatever tracker there is."""
    pages = sorted(content)
    entries = [PagemapEntry(page * PAGE_BYTES, 1, PE_PRESENT) for page in pages]
    write_pagemap(str(directory / f"pagemap-shmem-{shmid}.img"), 5, entries)
    with open(directory / "pages-5.img", "wb") as file:
        file.write(b"".join(content[page] for page in pages))
