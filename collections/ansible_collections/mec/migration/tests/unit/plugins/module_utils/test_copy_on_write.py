# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that forked processes share: found on the source, left to CRIU on the target."""

from __future__ import annotations

import os

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.criu.images import (
    PE_LAZY,
    PE_PARENT,
    PE_PRESENT,
    PagemapEntry,
    read_pagemap,
    write_pagemap,
)
from ansible_collections.mec.migration.plugins.module_utils.memory import copy_on_write
from ansible_collections.mec.migration.plugins.module_utils.memory.copy_on_write import (
    Fork,
    SharedPages,
    as_fields,
    equal_pages,
    forks,
    unpack_forks,
)
from ansible_collections.mec.migration.plugins.module_utils.memory.extents import Extent, Extents, Mapped
from victim import Victim

PAGE = 4096
BASE = 0x7F0000000000


class Received:
    """The memory of processes as rounds have brought it."""

    def __init__(self, directory):
        self.directory = directory
        self.newest = {}
        self._maps = []

    def put(self, number, start, content):
        path = self.directory / f"round-{number}-{start:x}"
        path.write_bytes(content)
        self._maps.append(Mapped(str(path)))
        extent = Extent(start, start + len(content), self._maps[-1].address)
        self.newest.setdefault(number, Extents()).put(extent)

    def content(self, number, start, end):
        found = self.newest[number].within(RangeSet([(start, end)]))
        return b"".join(copy_on_write.ctypes.string_at(source, last - first) for first, last, source in found)


def pages(*numbers):
    return RangeSet((BASE + number * PAGE, BASE + (number + 1) * PAGE) for number in numbers)


@pytest.fixture
def received(tmp_path):
    return Received(tmp_path)


@pytest.fixture
def shared(tmp_path, monkeypatch):
    monkeypatch.setattr(copy_on_write, "WORTHWHILE_BYTES", 2 * PAGE)
    return SharedPages(str(tmp_path / "shared"))


def forked(number, parent, *bounds):
    return Fork(number, parent, RangeSet([bounds or (BASE, BASE + 64 * PAGE)]))


def test_what_a_child_has_from_its_parent_is_found():
    with Victim(pages=16) as victim:
        victim.do("write", 0, victim.pages)
        victim.do("fork", 0)
        (child,) = victim.children
        pids = {victim.pid: 1, child: 7}
        (found,) = forks(pids)
        assert (found.number, found.parent) == (7, 1)
        assert any(start <= victim.base < end for start, end in found.ranges)
        fields = as_fields(pids)
        assert unpack_forks(fields["forks"]) == [found]
        assert fields["anonymous_bytes"] >= 2 * victim.pages * PAGE
        for damaged in (fields["forks"][:-1], fields["forks"][:2], [7, 1, -1]):
            with pytest.raises(ValueError, match=r"."):
                unpack_forks(damaged)


def test_equal_pages_are_found_over_the_borders_of_pieces(received):
    content = bytearray(os.urandom(40 * PAGE))
    received.put(1, BASE, bytes(content))
    content[3 * PAGE] ^= 1
    received.put(2, BASE + 2 * PAGE, bytes(content[2 * PAGE : 20 * PAGE]))
    received.put(2, BASE + 30 * PAGE, bytes(content[30 * PAGE :]))
    assert equal_pages(received.newest[1], received.newest[2]) == pages(2, *range(4, 20), *range(30, 40))


def test_images_refer_to_the_parents_pages(received, shared, tmp_path):
    content = os.urandom(8 * PAGE)
    received.put(1, BASE, content)
    received.put(2, BASE, content[: 6 * PAGE] + os.urandom(2 * PAGE))
    shared.find([forked(2, 1)], received.newest, 16 * PAGE, 0)
    assert shared.saved_bytes == 6 * PAGE
    # A round after that: of the child one page, and one of the parent.
    shared.changed(2, pages(0))
    shared.changed(1, pages(3))
    assert shared.of(1) == pages(0, 1, 2, 3, 4, 5)
    assert shared.of(2) == pages(1, 2, 4, 5)
    final, above = tmp_path / "final", tmp_path / "1"
    for directory in (final, above):
        directory.mkdir()
    for number in (1, 2):
        entries = [PagemapEntry(BASE, 8, PE_LAZY), PagemapEntry(BASE + 9 * PAGE, 1, PE_PRESENT)]
        write_pagemap(str(final / f"pagemap-{number}.img"), number, entries)
    shared.settle(str(final), str(above))
    assert read_pagemap(str(final / "pagemap-2.img")) == (
        2,
        [
            PagemapEntry(BASE, 1, PE_LAZY),
            PagemapEntry(BASE + PAGE, 2, PE_PARENT),
            PagemapEntry(BASE + 3 * PAGE, 1, PE_LAZY),
            PagemapEntry(BASE + 4 * PAGE, 2, PE_PARENT),
            PagemapEntry(BASE + 6 * PAGE, 2, PE_LAZY),
            PagemapEntry(BASE + 9 * PAGE, 1, PE_PRESENT),
        ],
    )
    # Both find the parent's pages, wherever the directory is seen.
    for number in (1, 2):
        pages_id, entries = read_pagemap(str(above / f"pagemap-{number}.img"))
        assert entries == [PagemapEntry(BASE, 6, PE_PRESENT)]
        assert (above / f"pages-{pages_id}.img").read_bytes() == content[: 6 * PAGE]
        assert not os.readlink(above / f"pages-{pages_id}.img").startswith("/")


def test_later_rounds_reach_the_parents_pages(received, shared, tmp_path):
    content = os.urandom(4 * PAGE)
    received.put(1, BASE, content)
    received.put(2, BASE, content)
    shared.find([forked(2, 1)], received.newest, 8 * PAGE, 0)
    (moved,) = received.newest[1].within(pages(2))
    copy_on_write.ctypes.memmove(moved.source, b"new", 3)
    held = (tmp_path / "shared" / "pages-1.img").read_bytes()
    assert held == content[: 2 * PAGE] + b"new" + content[2 * PAGE + 3 :]
    # The child's own content is another.
    assert received.content(2, BASE, BASE + 4 * PAGE) == content


def test_a_child_that_has_children_has_its_own_file(received, shared, tmp_path):
    content = os.urandom(6 * PAGE)
    for number, size in ((1, 6), (2, 4), (3, 6)):
        received.put(number, BASE, content[: size * PAGE])
    received.put(2, BASE + 4 * PAGE, bytes(2 * PAGE))
    shared.find([forked(2, 1), forked(3, 2)], received.newest, 18 * PAGE, 0)
    assert shared.of(3) == shared.of(2) == pages(0, 1, 2, 3)
    assert sorted(name for name in os.listdir(tmp_path / "shared") if name.startswith("pages")) == [
        "pages-1.img",
        "pages-2.img",
    ]


def test_little_is_not_worth_it_unless_the_limit_is_near(received, shared):
    for number in (1, 2):
        received.put(number, BASE, bytes(PAGE))
    shared.find([forked(2, 1)], received.newest, 2 * PAGE, 0)
    assert not shared
    shared.find([forked(2, 1)], received.newest, 2 * PAGE, 2 * PAGE)
    assert shared.of(2) == pages(0)


def test_only_mappings_that_criu_compares_count(received, shared):
    content = os.urandom(8 * PAGE)
    for number in (1, 2):
        received.put(number, BASE, content)
    shared.find([forked(2, 1, BASE + 4 * PAGE, BASE + 8 * PAGE)], received.newest, 16 * PAGE, 0)
    assert shared.of(2) == pages(4, 5, 6, 7)


def test_what_exceeds_the_limit_is_refused(received, shared):
    received.put(1, BASE, os.urandom(8 * PAGE))
    received.put(2, BASE, os.urandom(8 * PAGE))
    with pytest.raises(MigrationError, match="Raise the limit"):
        shared.find([forked(2, 1)], received.newest, 600 << 20, 256 << 20)
    assert not shared
