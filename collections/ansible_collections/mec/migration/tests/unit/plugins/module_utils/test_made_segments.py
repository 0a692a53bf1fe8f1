# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared memory that the target makes before the freeze: it ends up as the frozen service's is."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import stat
import tempfile

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.criu.given_segments import GIVEN_FILE, LIST_FILE
from ansible_collections.mec.migration.plugins.module_utils.criu.images import (
    PE_PARENT,
    PE_PRESENT,
    PagemapEntry,
    image_names,
    write_pagemap,
)
from ansible_collections.mec.migration.plugins.module_utils.criu.segments import segment_number
from ansible_collections.mec.migration.plugins.module_utils.kernel.process_memory import PAGE_BYTES
from ansible_collections.mec.migration.plugins.module_utils.memory.made_segments import MadeSegments
from ansible_collections.mec.migration.plugins.module_utils.memory.shared_memory import (
    Segment,
    givable_segments,
)
from ansible_collections.mec.migration.plugins.module_utils.memory.source import MemorySource
from ansible_collections.mec.migration.plugins.module_utils.memory.target import MemoryTarget
from ansible_collections.mec.migration.plugins.module_utils.memory.trackers import CompareTracker
from peers import Peer

PAGES = 32
F_GET_SEALS = 1034
SEAL, SHRINK, GROW = 1, 2, 4


def page(seed):
    return bytes([seed]) * PAGE_BYTES


def spans(*pages):
    return RangeSet([(at * PAGE_BYTES, (at + 1) * PAGE_BYTES) for at in pages])


class Service:
    """A memfd of this process, mapped, on its way to a target."""

    def __init__(self, directory):
        self.state = os.path.join(directory, "source")
        self.images = os.path.join(directory, "target")
        self.final = os.path.join(directory, "final")
        for path in (self.state, self.images, self.final):
            os.mkdir(path)
        self.file = os.memfd_create("ours", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.truncate(self.file, PAGES * PAGE_BYTES)
        self._mapped = mmap.mmap(self.file, PAGES * PAGE_BYTES)
        self.number = segment_number(os.fstat(self.file).st_ino)
        target = MemoryTarget(self.images, chain=False)
        self._peer = Peer(target.handlers)
        self._source = MemorySource(self.state, CompareTracker())
        self.made = MadeSegments(target)
        self.allocated = []

    def close(self):
        self.made.close()
        self._peer.close()
        self._mapped.close()
        os.close(self.file)

    def write(self, at, seed):
        os.pwrite(self.file, page(seed), at * PAGE_BYTES)

    def free(self, at):
        """A hole again."""
        self._mapped.madvise(mmap.MADV_REMOVE, at * PAGE_BYTES, PAGE_BYTES)

    def round(self):
        only = {os.getpid(): 1}
        self._source.round(self._peer.channel, only, only={1: RangeSet()})
        self._peer.channel.answer("memory.round_end")
        self._source.acknowledged()

    def make(self):
        (wanted,) = [each for each in givable_segments([os.getpid()]).values() if each.number == self.number]
        assert wanted == Segment(self.number, os.fstat(self.file).st_size, "ours")
        return self.made.make([wanted], self._allocate)

    def _allocate(self, segments):
        for path, ranges in segments:
            self.allocated += ranges
            with open(path, "r+b") as opened:
                for start, end in ranges:
                    os.posix_fallocate(opened.fileno(), start, end - start)

    def give(self, changed, unchanged, seals=0):
        """As the images of the frozen service say; returns a descriptor of what CRIU is given."""
        names = image_names(self.number)
        pieces = [(start, end, PE_PRESENT) for start, end in changed]
        pieces += [(start, end, PE_PARENT) for start, end in unchanged]
        entries = [
            PagemapEntry(start, (end - start) // PAGE_BYTES, flags) for start, end, flags in sorted(pieces)
        ]
        write_pagemap(os.path.join(self.final, names.pagemap), names.pages_id, entries)
        with open(os.path.join(self.final, names.pages), "wb") as pages:
            for start, end in changed:
                pages.write(os.pread(self.file, end - start, start).ljust(end - start, b"\0"))
        size = os.fstat(self.file).st_size
        listed = {
            "segments": [[self.number, size, os.getuid(), os.getgid(), 0o100640, seals]],
            "files": [["mec-segment-3", self.number, os.O_RDWR, 0]],
        }
        with open(os.path.join(self.final, LIST_FILE), "w", encoding="utf-8") as out:
            json.dump(listed, out)
        self.made.give(self.final, self._allocate)
        with open(os.path.join(self.final, GIVEN_FILE), encoding="utf-8") as lines:
            ((path, name, flags, position),) = json.load(lines)
        assert (name, flags, position) == ("mec-segment-3", os.O_RDWR, 0)
        return os.open(path, os.O_RDWR)

    def compared(self):
        """As it is done in the window."""
        return self._source.compare_segments([os.getpid()])

    def holds(self, given):
        """Whether it is what the service has, with the same holes."""
        status, ours = os.fstat(given), os.fstat(self.file)
        assert (status.st_size, status.st_blocks) == (ours.st_size, ours.st_blocks)
        assert os.pread(given, status.st_size, 0) == os.pread(self.file, ours.st_size, 0)
        os.close(given)


@pytest.fixture
def service():
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="mec-test-") as directory:
        made = Service(directory)
        yield made
        made.close()


def test_it_is_what_the_frozen_service_has(service):
    for at in range(10):
        service.write(at, at + 1)
    service.round()
    assert service.make() == [service.number]
    assert service.allocated == list(spans(*range(10)))
    # Sent after it was made; then changed, new and freed pages that no round has seen.
    service.write(2, 50)
    service.write(12, 51)
    service.round()
    service.write(3, 60)
    service.write(20, 61)
    service.free(5)
    service.free(12)
    given = service.give(spans(3, 20), spans(0, 1, 2, 4, *range(6, 10)), SHRINK | GROW)
    assert stat.S_IMODE(os.fstat(given).st_mode) == 0o640
    assert fcntl.fcntl(given, F_GET_SEALS) == SHRINK | GROW
    assert os.readlink(f"/proc/self/fd/{given}") == "/memfd:ours (deleted)"
    service.holds(given)
    assert service.allocated == list(spans(*range(10))) + list(spans(20))


def test_what_was_cut_off_and_grew_again_is_not_zeros(service):
    for at in range(4):
        service.write(at, at + 1)
    service.round()
    service.make()
    os.truncate(service.file, PAGE_BYTES)
    service.make()
    # The same content as before: nothing is sent again.
    os.truncate(service.file, PAGES * PAGE_BYTES)
    for at in range(1, 4):
        service.write(at, at + 1)
    service.round()
    service.holds(service.give(spans(), spans(*range(4))))


def test_a_size_that_is_no_whole_number_of_pages(service):
    os.truncate(service.file, 2 * PAGE_BYTES + 100)
    service.write(0, 1)
    os.pwrite(service.file, b"x" * 50, 2 * PAGE_BYTES)
    service.round()
    service.make()
    os.pwrite(service.file, b"end", 2 * PAGE_BYTES + 90)
    service.holds(service.give(spans(2), spans(0)))
    assert max(end for _start, end in service.allocated) == 2 * PAGE_BYTES + 100


def test_made_again_after_a_hand_over_that_failed(service):
    service.write(0, 1)
    service.round()
    service.make()
    service.write(0, 2)
    service.write(1, 3)
    service.round()
    assert service.make() == [service.number]
    service.holds(service.give(spans(), spans(0, 1)))


def test_what_the_images_do_not_want_is_let_go(service):
    service.write(0, 1)
    service.round()
    service.make()
    before = len(os.listdir("/proc/self/fd"))
    service.made.give(service.final, service._allocate)
    assert not os.path.exists(os.path.join(service.final, GIVEN_FILE))
    assert len(os.listdir("/proc/self/fd")) == before - 1


def test_pages_that_never_came_are_an_error_and_no_zeros(service):
    service.write(0, 1)
    service.round()
    service.make()
    service.write(1, 2)
    with pytest.raises(MigrationError, match="never came"):
        service.give(spans(), spans(0, 1))


def test_what_was_not_made_is_an_error(service):
    service.write(0, 1)
    service.round()
    with pytest.raises(MigrationError, match="was not made"):
        service.give(spans(), spans(0))


def test_an_image_that_is_cut_short_is_an_error(service):
    service.write(0, 1)
    service.round()
    service.make()
    service.give(spans(0), spans())
    pages = os.path.join(service.final, image_names(service.number).pages)
    os.truncate(pages, 100)
    with pytest.raises(MigrationError, match="cut short"):
        service.made.give(service.final, service._allocate)


def test_no_room_is_said_and_nothing_is_taken_for_made(service):
    service.write(0, 1)
    service.round()

    def full(segments):
        raise OSError(28, "No space left on device")

    (wanted,) = [each for each in givable_segments([os.getpid()]).values() if each.number == service.number]
    with pytest.raises(OSError, match="No space"):
        service.made.make([wanted], full)
    # Asked again, all is to be made again.
    service.make()
    service.holds(service.give(spans(), spans(0)))


def test_to_compare_it_makes_no_pages_of_it(service):
    for at in range(3):
        service.write(at, at + 1)
    service.round()
    service.free(1)
    service.write(2, 9)
    before = os.fstat(service.file).st_blocks
    (found,) = [each for number, each in service.compared().items() if number == service.number]
    assert found.same == spans(0)
    assert os.fstat(service.file).st_blocks == before


def test_which_segments_can_be_given():
    made = {name: os.memfd_create(name, os.MFD_CLOEXEC) for name in ("both", "opened", "mapped")}
    mappings, more = [], []
    try:
        for name, descriptor in made.items():
            os.truncate(descriptor, PAGE_BYTES)
            reader = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
            more += [reader] if name == "opened" else []
            mappings.append(mmap.mmap(descriptor, PAGE_BYTES))
            if name == "mapped":
                mappings.append(mmap.mmap(reader, PAGE_BYTES, prot=mmap.PROT_READ))
            if name != "opened":
                os.close(reader)
        mappings.append(mmap.mmap(-1, 2 * PAGE_BYTES))
        found = [(each.name, each.size_bytes) for each in givable_segments([os.getpid()]).values()]
        assert ("both", PAGE_BYTES) in found
        assert ("/dev/zero", 2 * PAGE_BYTES) in found
        assert not {"opened", "mapped"} & {name for name, _size in found}
    finally:
        for mapping in mappings:
            mapping.close()
        for descriptor in (*made.values(), *more):
            os.close(descriptor)
