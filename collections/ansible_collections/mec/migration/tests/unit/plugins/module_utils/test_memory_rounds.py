# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of a real process: what is read of it, sent in rounds, and found in the target's chain of images."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import shutil
import tempfile

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError, TransferError
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import Range, RangeSet
from ansible_collections.mec.migration.plugins.module_utils.criu.images import (
    PE_PARENT,
    PE_PRESENT,
    entry_keys,
    read_pagemap,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel import process_memory
from ansible_collections.mec.migration.plugins.module_utils.kernel.process_memory import (
    PAGE_BYTES,
    Area,
    Pagemap,
    Reader,
    anonymous_ranges,
)
from ansible_collections.mec.migration.plugins.module_utils.memory import page_delta
from ansible_collections.mec.migration.plugins.module_utils.memory.sent import WINDOW_BYTES, Digests, Mirror
from ansible_collections.mec.migration.plugins.module_utils.memory.source import MemorySource
from ansible_collections.mec.migration.plugins.module_utils.memory.target import MemoryTarget
from ansible_collections.mec.migration.plugins.module_utils.memory.trackers import CompareTracker
from peers import Peer
from victim import Victim


def tmpfs():
    """A directory for mirrors: sparse files of the size of an address space, which ext4 refuses."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else "/run"


@pytest.fixture
def directory():
    path = tempfile.mkdtemp(dir=tmpfs(), prefix="mec-test-")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def victim():
    with Victim() as process:
        yield process


class Migration:
    """A source and a target in one process; ``round`` sends what changed."""

    def __init__(self, directory, lean=False):
        self.state = os.path.join(directory, "source")
        self.images = os.path.join(directory, "target")
        os.makedirs(self.state)
        os.makedirs(self.images)
        self.target = MemoryTarget(self.images)
        self.peer = Peer(self.target.handlers)
        self.source = MemorySource(self.state, CompareTracker(), lean=lean)
        self._read = {}

    def round(self, numbers, **options):
        done = self.source.round(self.peer.channel, numbers, **options)
        self.peer.channel.answer("memory.round_end")
        self.source.acknowledged()
        return done

    def page(self, process, address):
        """What plain CRIU would find for a page: in the last directory, else down the chain of parents."""
        number = self.target.last_round
        while True:
            where = self._entries(number, process).get(address)
            assert where is not None, f"no page {address:#x} in round {number}"
            if where >= 0:
                with open(os.path.join(self.images, str(number), f"pages-{process}.img"), "rb") as content:
                    content.seek(where)
                    return content.read(PAGE_BYTES)
            assert os.readlink(os.path.join(self.images, str(number), "parent")) == f"../{number - 1}"
            number -= 1

    def _entries(self, number, process):
        """Where each page of a round lies in its file, -1 if in the parent's."""
        if (number, process) not in self._read:
            path = os.path.join(self.images, str(number), f"pagemap-{process}.img")
            pages_id, entries = read_pagemap(path)
            assert pages_id == process
            places, offset = {}, 0
            for start, pages, flags in entries:
                for address in range(start, start + pages * PAGE_BYTES, PAGE_BYTES):
                    assert address not in places
                    places[address] = -1 if flags == PE_PARENT else offset
                    offset += 0 if flags == PE_PARENT else PAGE_BYTES
            assert os.path.getsize(path.replace("pagemap", "pages")) == offset
            self._read[number, process] = places
        return self._read[number, process]

    def check(self, process, victim):
        """Every page that the process has is found in the chain, and in the memory of the target."""
        with Pagemap(victim.pid) as pagemap:
            present = pagemap.present(anonymous_ranges(victim.pid))
        for start, end in present:
            for address in range(start, end, PAGE_BYTES):
                assert self.page(process, address) == victim.memory(address, address + PAGE_BYTES), hex(
                    address
                )
        extents = self.target.extents(process, present)
        assert RangeSet((start, end) for start, end, _source in extents) == present
        assert extents == sorted(extents)
        assert self.target.named_by(entry_keys(present)) == present
        for start, end, source in extents:
            assert ctypes.string_at(source, end - start) == victim.memory(start, end), hex(start)
        return present.size_bytes // PAGE_BYTES

    def close(self):
        self.peer.close()


@pytest.fixture
def migration(directory):
    made = Migration(directory)
    yield made
    made.close()


# -- reading ----------------------------------------------------------------------------------------


AREAS = {
    "heap": (Area(0, 1, "rw-p", 0, "[heap]"), True),
    "anonymous": (Area(0, 1, "rw-p", 0, ""), True),
    "named by prctl": (Area(0, 1, "rw-p", 0, "[anon:arena]"), True),
    "guard": (Area(0, 1, "---p", 0, ""), True),
    "library": (Area(0, 1, "r-xp", 77, "/usr/lib/libc.so.6"), False),
    "data of a library": (Area(0, 1, "rw-p", 77, "/usr/lib/libc.so.6"), False),
    "shared memory": (Area(0, 1, "rw-s", 5, "/dev/zero (deleted)"), False),
    "vdso": (Area(0, 1, "r-xp", 0, "[vdso]"), False),
    "vvar": (Area(0, 1, "r--p", 0, "[vvar]"), False),
}


@pytest.mark.parametrize(("area", "lazy"), AREAS.values(), ids=AREAS.keys())
def test_what_counts_as_private_anonymous_memory(area, lazy):
    assert area.private_anonymous is lazy


def own(victim):
    return RangeSet([(victim.base, victim.base + victim.pages * PAGE_BYTES)])


@pytest.mark.parametrize("scan", [True, False], ids=["PAGEMAP_SCAN", "plain"])
def test_pages_are_present_once_they_are_written(victim, scan):
    with Pagemap(victim.pid) as pagemap:
        pagemap._scan = scan
        assert not pagemap.present(own(victim))
        victim.do("write", 3, 2)
        victim.do("zero", 9)
        # Reading maps the shared page of zeros, which holds nothing to send.
        victim.do("read", 20, 5)
        base = victim.base
        expected = RangeSet((base + page * PAGE_BYTES, base + (page + 1) * PAGE_BYTES) for page in (3, 4, 9))
        if scan and not pagemap.scan_works:
            pytest.skip("this kernel has no PAGEMAP_SCAN")
        found = pagemap.present(own(victim))
        assert expected - found == RangeSet()
        if scan:
            assert found == expected
        victim.do("drop", 3, 7)
        assert not pagemap.present(RangeSet([(base, base + 10 * PAGE_BYTES)]))


def test_both_ways_of_asking_agree_on_a_whole_process(victim):
    victim.do("write", 0, 30)
    with Pagemap(victim.pid) as one, Pagemap(victim.pid) as other:
        scanned = one.present(anonymous_ranges(victim.pid))
        if not one.scan_works:
            pytest.skip("this kernel has no PAGEMAP_SCAN")
        other._scan = False
        assert scanned - other.present(anonymous_ranges(victim.pid)) == RangeSet()


def test_more_regions_than_one_scan_returns(monkeypatch, victim):
    monkeypatch.setattr(process_memory, "SCAN_REGIONS", 4)
    for page in range(0, 40, 2):
        victim.do("write", page)
    with Pagemap(victim.pid) as pagemap:
        assert pagemap.present(own(victim)).size_bytes == 20 * PAGE_BYTES


def test_batches_carry_what_the_process_holds(victim):
    victim.do("write", 0, victim.pages)
    pages = own(victim)
    got = {}
    for batch in Reader(victim.pid).batches(pages):
        offset = 0
        for start, end in batch.ranges:
            got[start] = bytes(batch.data[offset : offset + end - start])
            offset += end - start
        assert offset == len(batch.data)
    assert b"".join(got[start] for start in sorted(got)) == victim.memory(*pages.ranges[0])


def test_pages_that_went_away_are_left_out(victim):
    victim.do("write", 0, victim.pages)
    victim.do("unmap", 10, 5)
    found = RangeSet(piece for batch in Reader(victim.pid).batches(own(victim)) for piece in batch.ranges)
    hole = RangeSet([(victim.base + 10 * PAGE_BYTES, victim.base + 15 * PAGE_BYTES)])
    assert found == own(victim) - hole


def test_guard_pages_are_no_pages(victim):
    victim.do("write", 0, victim.pages)
    victim.do("guard", 10, 5)
    guarded = victim.memory(victim.base, victim.base + 10 * PAGE_BYTES)
    got = list(Reader(victim.pid).batches(own(victim)))
    found = RangeSet(piece for batch in got for piece in batch.ranges)
    with open(f"/proc/{victim.pid}/mem", "rb", buffering=0) as memory:
        try:
            os.preadv(memory.fileno(), [bytearray(PAGE_BYTES)], victim.base + 10 * PAGE_BYTES)
            hole = RangeSet()  # a kernel without guard pages (before 6.13) refuses to install them
        except OSError:
            hole = RangeSet([(victim.base + 10 * PAGE_BYTES, victim.base + 15 * PAGE_BYTES)])
    assert found == own(victim) - hole
    assert bytes(got[0].data[: len(guarded)]) == guarded


def shared_bytes(pid, start):
    """What the mapping at *start* shares with other processes."""
    found = 0
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as lines:
        inside = False
        for line in lines:
            word = line.split()[0]
            if "-" in word:
                first, last = (int(part, 16) for part in word.split("-"))
                inside = first <= start < last
            elif inside and word in ("Shared_Clean:", "Shared_Dirty:"):
                found += int(line.split()[1]) * 1024
    return found


def test_reading_leaves_what_is_shared_copy_on_write_shared():
    with Victim(pages=256) as victim:
        victim.do("write", 0, victim.pages)
        victim.do("fork", 0)
        (child,) = victim.children
        pages = RangeSet([(victim.base, victim.base + victim.pages * PAGE_BYTES)])
        before = shared_bytes(child, victim.base)
        assert before >= pages.size_bytes
        assert Reader(child).content(pages) == Reader(victim.pid).content(pages)
        assert shared_bytes(child, victim.base) == before
        assert shared_bytes(victim.pid, victim.base) == before


def test_a_process_that_ended_has_nothing(victim):
    pages = own(victim)
    victim.kill()
    assert list(Reader(victim.pid).batches(pages)) == []
    assert anonymous_ranges(victim.pid) == RangeSet()


def test_more_ranges_than_one_call_takes():
    with Victim(pages=2500) as victim:
        victim.do("write", 0, victim.pages)
        every_other = RangeSet(
            (victim.base + page * PAGE_BYTES, victim.base + (page + 1) * PAGE_BYTES)
            for page in range(0, victim.pages, 2)
        )
        size = sum(len(batch.data) for batch in Reader(victim.pid).batches(every_other))
        assert size == every_other.size_bytes


# -- what was sent ----------------------------------------------------------------------------------


@pytest.mark.parametrize("top", [1 << 47, 1 << 48, 1 << 52], ids=["x86-64", "arm64", "arm64 with LPA2"])
def test_a_mirror_reaches_to_the_top_of_the_address_space(directory, top):
    mirror = Mirror(os.path.join(directory, "mirror"))
    page = ctypes.create_string_buffer(b"x" * PAGE_BYTES, PAGE_BYTES)
    there = Range(top - PAGE_BYTES, top)
    assert mirror.compare(*there, ctypes.addressof(page)) == ([there], [])
    mirror.write(*there, ctypes.addressof(page))
    assert mirror.compare(*there, ctypes.addressof(page)) == ([], [there])
    assert mirror.read(*there) == page.raw
    mirror.close()


@pytest.mark.parametrize("lean", [False, True], ids=["mirror", "digests"])
def test_changed_pages_are_told_from_equal_ones(lean, directory):
    sent = Digests() if lean else Mirror(os.path.join(directory, "mirror"))
    start = 5 * WINDOW_BYTES - 3 * PAGE_BYTES  # over the edge of a window
    data = bytearray(os.urandom(8 * PAGE_BYTES))
    view = (ctypes.c_char * len(data)).from_buffer(data)
    end = start + len(data)
    assert RangeSet(sent.compare(start, end, ctypes.addressof(view))[0]) == RangeSet([(start, end)])
    sent.write(start, end, ctypes.addressof(view))
    assert sent.compare(start, end, ctypes.addressof(view))[0] == []
    assert lean or sent.read(start, end) == data
    data[2 * PAGE_BYTES + 7] ^= 1
    data[-1] ^= 1
    changed, equal = sent.compare(start, end, ctypes.addressof(view))
    expected = RangeSet(
        [(start + 2 * PAGE_BYTES, start + 3 * PAGE_BYTES), (start + 7 * PAGE_BYTES, start + 8 * PAGE_BYTES)]
    )
    assert RangeSet(changed) == expected
    assert RangeSet(equal) == RangeSet([(start, end)]) - expected
    sent.clear()
    zeros = mmap.mmap(-1, PAGE_BYTES)
    address = ctypes.addressof(ctypes.c_char.from_buffer(zeros))
    assert sent.compare(start, start + PAGE_BYTES, address) == ([], [Range(start, start + PAGE_BYTES)])
    if not lean:
        sent.close()


# -- rounds -----------------------------------------------------------------------------------------


def test_the_chain_holds_what_the_process_holds_after_each_of_many_rounds(migration, victim):
    """Writes, zeros, dropped, unmapped and newly mapped pages, at random; nothing may be missed."""
    choice = random.Random(42)
    for number in range(1, 9):
        for _step in range(12):
            first = choice.randrange(victim.pages)
            count = choice.randint(1, victim.pages - first)
            what = choice.choice(["write", "write", "zero", "read", "drop", "map"])
            victim.do(what, first, min(count, 9), choice.randrange(1 << 30))
        done = migration.round({victim.pid: 1})
        assert done.number == migration.target.last_round == number
        assert migration.check(1, victim) > 50


def test_digests_miss_nothing_either(directory):
    """As above; and what the source keeps is a small part of the memory."""
    choice = random.Random(7)
    migration = Migration(directory, lean=True)
    with Victim() as victim:
        for _round in range(6):
            for _step in range(12):
                what = choice.choice(["write", "write", "zero", "read", "drop", "map"])
                victim.do(what, choice.randrange(victim.pages - 9), 9, choice.randrange(1 << 30))
            migration.round({victim.pid: 1})
            assert migration.check(1, victim) > 50
        assert os.listdir(migration.state) == []
    migration.close()


def test_a_round_after_nothing_changed_sends_almost_nothing(migration, victim):
    victim.do("write", 0, victim.pages)
    first = migration.round({victim.pid: 1})
    assert first.pages_changed >= victim.pages
    # What was written is noise, which does not compress.
    assert first.sent_bytes > victim.pages * PAGE_BYTES
    again = migration.round({victim.pid: 1})
    assert again.pages_scanned >= victim.pages
    assert again.pages_changed == 0
    assert again.sent_bytes < 1000


def test_only_changed_pages_travel(migration, victim):
    victim.do("write", 0, victim.pages)
    migration.round({victim.pid: 1})
    victim.do("write", 7, 3, seed=9)
    # Written with what was there before: no change.
    victim.do("write", 40, 5, seed=40)
    done = migration.round({victim.pid: 1})
    changed = {
        page
        for page in range(victim.pages)
        if (victim.base + page * PAGE_BYTES) in set(present_in(migration, 1))
    }
    assert changed == {7, 8, 9}
    # Beside them the interpreter's own.
    assert 3 <= done.pages_changed < 60


def present_in(migration, process):
    path = os.path.join(migration.images, str(migration.target.last_round), f"pagemap-{process}.img")
    for start, pages, flags in read_pagemap(path)[1]:
        if flags & PE_PRESENT:
            yield from range(start, start + pages * PAGE_BYTES, PAGE_BYTES)


def test_pages_that_changed_a_little_travel_as_what_changed(migration, victim):
    victim.do("write", 0, 64, seed=1)
    numbers = {victim.pid: 1}
    migration.round(numbers)
    for seed in range(1, 4):
        victim.do("touch", 8, 40, seed=seed)
        done = migration.round(numbers)
        assert done.pages_changed >= 40
        assert done.sent_bytes < 0.1 * done.changed_bytes
        migration.check(1, victim)


def test_pages_written_anew_travel_as_they_are(migration, victim):
    victim.do("write", 0, 64, seed=1)
    numbers = {victim.pid: 1}
    migration.round(numbers)
    for seed in range(100, 400, 100):
        victim.do("write", 0, 64, seed=seed)
        done = migration.round(numbers)
        assert done.sent_bytes > 64 * PAGE_BYTES
        migration.check(1, victim)


def test_a_difference_to_a_page_that_never_came_is_refused(migration):
    channel = migration.peer.channel
    channel.send("memory.round", number=1)
    channel.send("memory.pages", bytes(PAGE_BYTES), process=1, runs=[4096, 3], delta=True)
    with pytest.raises(MigrationError, match="of process 1 never came, 4096 bytes from 0x1000000 on"):
        channel.answer("memory.pages")


@pytest.mark.parametrize("have_numpy", [True, False])
def test_exclusive_or(monkeypatch, have_numpy):
    monkeypatch.setattr(page_delta, "numpy", None)
    monkeypatch.setattr(page_delta, "_looked_for", False)
    if have_numpy:
        page_delta.load_numpy()
        assert page_delta.numpy is not None
    # More than what is done at once, and not a multiple of it.
    size = 3 * page_delta.PIECE_BYTES + PAGE_BYTES
    one, other = os.urandom(size), os.urandom(size)
    delta = page_delta.xor(one, other)
    assert delta == bytes(a ^ b for a, b in zip(one, other))
    assert page_delta.xor(memoryview(delta), other) == one


def test_numpy_is_loaded_between_rounds_once_much_was_compared(monkeypatch, migration):
    monkeypatch.setattr(page_delta, "numpy", None)
    monkeypatch.setattr(page_delta, "_looked_for", False)
    deltas, page = page_delta.DeltaEncoder(), os.urandom(PAGE_BYTES)
    changed = b"x" + page[1:]
    deltas.encode(migration.peer.channel, changed, page)
    deltas.between_rounds()
    assert page_delta.numpy is None
    for _turn in range(page_delta.WITHOUT_NUMPY_BYTES // PAGE_BYTES):
        deltas.encode(migration.peer.channel, changed, page)
    assert page_delta.numpy is None, "it may be in the frozen window"
    deltas.between_rounds()
    assert page_delta.numpy is not None


def test_pages_of_zeros_take_no_bandwidth(migration):
    with Victim(pages=2000) as victim:
        victim.do("zero", 0, victim.pages)
        done = migration.round({victim.pid: 1})
        assert done.changed_bytes < victim.pages * PAGE_BYTES / 2
        assert done.pages_scanned >= victim.pages
        assert done.sent_bytes < victim.pages * PAGE_BYTES / 2
        migration.check(1, victim)


def test_a_page_that_becomes_zero_is_sent_as_one(migration, victim):
    victim.do("write", 0, 4)
    migration.round({victim.pid: 1})
    victim.do("drop", 1)
    victim.do("zero", 1)
    migration.round({victim.pid: 1})
    assert migration.page(1, victim.base + PAGE_BYTES) == bytes(PAGE_BYTES)


def test_several_processes_are_kept_apart(migration, victim):
    with Victim() as other:
        victim.do("write", 0, 10, seed=1)
        other.do("write", 0, 10, seed=2)
        migration.round({victim.pid: 1, other.pid: 23})
        other.do("write", 5, 1, seed=3)
        migration.round({victim.pid: 1, other.pid: 23})
        migration.check(1, victim)
        migration.check(23, other)


def test_a_process_that_comes_later_and_one_that_ends(migration, victim):
    migration.round({victim.pid: 1})
    with Victim() as later:
        later.do("write", 0, 10)
        migration.round({victim.pid: 1, later.pid: 2})
        migration.check(2, later)
        pid = later.pid
    # Gone between being listed and being read.
    migration.round({victim.pid: 1, pid: 2})
    migration.check(1, victim)


def test_nothing_of_an_earlier_process_of_the_same_number_is_believed(migration):
    with Victim() as first:
        first.do("write", 0, 20, seed=5)
        migration.round({first.pid: 1})
    with Victim() as second:
        second.do("zero", 0, 20)
        migration.round({second.pid: 1})
        migration.check(1, second)


def test_a_round_that_was_cut_cannot_be_gone_on_from(migration, victim):
    migration.source.round(migration.peer.channel, {victim.pid: 1})
    migration.peer.channel.answer("memory.round_end")
    # Not acknowledged: the source does not know what the target has of it.
    with pytest.raises(MigrationError, match="stopped in the middle") as caught:
        migration.source.round(migration.peer.channel, {victim.pid: 1})
    assert caught.value.container_state == "running"


def test_a_round_can_be_told_what_to_look_at(migration, victim):
    victim.do("write", 0, 10)
    wanted = RangeSet([(victim.base, victim.base + 2 * PAGE_BYTES)])
    done = migration.round({victim.pid: 1}, frozen=True, only={1: wanted})
    assert done.pages_scanned == done.pages_changed == 2
    assert migration.source.known(1) == wanted


def test_mirrors_and_images_are_for_root_alone(migration, victim):
    victim.do("write", 0)
    migration.round({victim.pid: 1})
    for folder in (migration.state, os.path.join(migration.images, "1")):
        for name in os.listdir(folder):
            if name.startswith(("memory-", "page")):
                assert os.stat(os.path.join(folder, name)).st_mode & 0o077 == 0, name
    assert os.stat(os.path.join(migration.images, "1")).st_mode & 0o077 == 0


# -- what the target refuses ------------------------------------------------------------------------


def test_a_round_out_of_order_is_refused(migration):
    with pytest.raises(TransferError, match="round 2 was announced after round 0"):
        migration.target.handlers["memory.round"](message(number=2), migration.peer.channel)


# Gap before it and twice the pages plus one, of each run.
BAD_RUNS = {
    "backwards": [9, 3, -9, 3],
    "empty": [1, 1],
    "negative": [1, -2],
    "without its data": [1, 17],
}


@pytest.mark.parametrize("runs", BAD_RUNS.values(), ids=BAD_RUNS.keys())
def test_pages_that_make_no_sense_are_refused(migration, runs):
    handlers = migration.target.handlers
    handlers["memory.round"](message(number=1), migration.peer.channel)
    with pytest.raises(TransferError, match=r"out of order|missing"):
        handlers["memory.pages"](message(bytes(4 * PAGE_BYTES), process=1, runs=runs), migration.peer.channel)


def message(body=b"", **fields):
    from ansible_collections.mec.migration.plugins.module_utils.transport.wire import Message

    return Message("memory", fields, body)


def test_pages_that_never_came_are_missed(migration, victim):
    victim.do("write", 0, 10)
    migration.round({victim.pid: 1}, only={1: RangeSet([(victim.base, victim.base + PAGE_BYTES)])})
    wanted = RangeSet([(victim.base, victim.base + 2 * PAGE_BYTES)])
    with pytest.raises(TransferError, match="pages of process 1 never came"):
        migration.target.extents(1, wanted)
