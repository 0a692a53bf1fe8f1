# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of a final dump, of a real process's memory: what is left out, brought in, found missing."""

from __future__ import annotations

import os

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import Range, RangeSet
from ansible_collections.mec.migration.plugins.module_utils.criu.images import (
    PE_LAZY,
    PE_PARENT,
    PE_PRESENT,
    PagemapEntry,
    left_out,
    read_pagemap,
    write_pagemap,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel.process_memory import (
    PAGE_BYTES,
    areas,
    foreign_vdso,
    present_pages,
)
from ansible_collections.mec.migration.plugins.module_utils.source import final_images as module
from ansible_collections.mec.migration.plugins.module_utils.source.final_images import (
    FinalImages,
    likely_content,
)
from victim import Victim

NUMBER = 7


class Known:
    """What the target holds, as the rounds say."""

    def __init__(self, pages):
        self.pages = pages

    def known(self, process):
        return self.pages if process == NUMBER else RangeSet()


@pytest.fixture
def victim():
    with Victim() as process:
        process.do("write", 0, 10)
        process.do("write", 20, 10)
        yield process


def vdso(victim):
    (found,) = [Range(area.start, area.end) for area in areas(victim.pid) if area.path == "[vdso]"]
    return found


def as_dumped(victim, directory):
    """All memory is the parent's, as CRIU writes it with a parent of all; *protected* it dumps itself."""
    pages = present_pages(victim.pid) | RangeSet([vdso(victim)])
    protected = Range(0x10000, 0x12000)
    entries = [_entry(protected, PE_PRESENT), *(_entry(piece, PE_PARENT) for piece in pages)]
    write_pagemap(str(directory / f"pagemap-{NUMBER}.img"), 3, entries)
    content = os.urandom(2 * PAGE_BYTES)
    (directory / "pages-3.img").write_bytes(content)
    (directory / "parent").symlink_to("../parent")
    return content


def _entry(piece, flags):
    return PagemapEntry(piece[0], (piece[1] - piece[0]) // PAGE_BYTES, flags)


def contents(directory):
    """Address -> content, of all pages that are in the images."""
    pages_id, entries = read_pagemap(str(directory / f"pagemap-{NUMBER}.img"))
    found = {}
    with open(directory / f"pages-{pages_id}.img", "rb") as pages:
        for address, count, flags in entries:
            assert flags in (PE_PRESENT, PE_LAZY)
            for at in range(address, address + count * PAGE_BYTES, PAGE_BYTES):
                if flags == PE_PRESENT:
                    found[at] = pages.read(PAGE_BYTES)
        assert not pages.read()
    assert entries == sorted(entries)
    return found


def test_what_is_not_anonymous_is_brought_in_and_the_rest_left_out(victim, tmp_path):
    dumped = as_dumped(victim, tmp_path)
    memory = present_pages(victim.pid)
    images = FinalImages(str(tmp_path), Known(memory))
    images.expect({victim.pid: NUMBER})
    assert images.settle() == {}
    assert left_out(str(tmp_path / f"pagemap-{NUMBER}.img")) == memory
    held = contents(tmp_path)
    start, end = vdso(victim)
    assert b"".join(held.pop(at) for at in range(start, end, PAGE_BYTES)) == victim.memory(start, end)
    assert b"".join(held.values()) == dumped
    assert not os.path.lexists(tmp_path / "parent")


def test_the_vdso_of_another_kernel_is_brought_in(victim, tmp_path):
    """CRIU reads it as it restores, when no page can be fetched yet. What a compiler has made can wait."""
    victim.do("code", 0, 2)
    victim.do("code", 1, 2)
    (foreign,) = foreign_vdso(victim.pid, areas(victim.pid))
    assert foreign[1] - foreign[0] == 2 * PAGE_BYTES
    as_dumped(victim, tmp_path)
    memory = present_pages(victim.pid)
    images = FinalImages(str(tmp_path), Known(memory))
    images.expect({victim.pid: NUMBER})
    assert images.settle() == {}
    assert left_out(str(tmp_path / f"pagemap-{NUMBER}.img")) == memory - RangeSet([foreign])
    assert contents(tmp_path)[foreign[0]] == victim.memory(foreign[0], foreign[0] + PAGE_BYTES)


def test_pages_that_went_to_nowhere_are_read_from_the_process(victim, tmp_path):
    start, end = vdso(victim)
    write_pagemap(str(tmp_path / f"pagemap-{NUMBER}.img"), 3, [_entry((start, end), PE_PRESENT)])
    for number in (3, 9):
        (tmp_path / f"pages-{number}.img").symlink_to("/dev/null")
    images = FinalImages(str(tmp_path), Known(RangeSet()))
    images.expect({victim.pid: NUMBER})
    assert images.settle() == {}
    held = contents(tmp_path)
    assert b"".join(held[at] for at in range(start, end, PAGE_BYTES)) == victim.memory(start, end)
    assert not os.path.lexists(tmp_path / "pages-9.img")


@pytest.mark.parametrize("name", [f"pagemap-{NUMBER}.img", "pagemap-8.img", "pagemap-shmem-8.img"])
def test_pages_that_went_to_nowhere_and_cannot_be_read_are_an_error(victim, tmp_path, name):
    write_pagemap(str(tmp_path / name), 3, [_entry((0x10000, 0x12000), PE_PRESENT)])
    (tmp_path / "pages-3.img").symlink_to("/dev/null")
    images = FinalImages(str(tmp_path), Known(RangeSet()))
    images.expect({victim.pid: NUMBER})
    with pytest.raises(MigrationError, match="could not be read"):
        images.settle()


def test_what_the_target_does_not_hold_is_missing(victim, tmp_path):
    as_dumped(victim, tmp_path)
    memory = present_pages(victim.pid)
    lost = RangeSet([(victim.base + 22 * PAGE_BYTES, victim.base + 25 * PAGE_BYTES)])
    images = FinalImages(str(tmp_path), Known(memory - lost))
    images.expect({victim.pid: NUMBER})
    assert images.settle() == {NUMBER: lost}
    assert left_out(str(tmp_path / f"pagemap-{NUMBER}.img")) == memory


def test_pages_that_the_target_holds_and_the_process_dropped_are_not_named(victim, tmp_path):
    memory = present_pages(victim.pid)
    victim.do("drop", 2, 4)
    as_dumped(victim, tmp_path)
    images = FinalImages(str(tmp_path), Known(memory))
    images.expect({victim.pid: NUMBER})
    assert images.settle() == {}
    dropped = RangeSet([(victim.base + 2 * PAGE_BYTES, victim.base + 6 * PAGE_BYTES)])
    left = left_out(str(tmp_path / f"pagemap-{NUMBER}.img"))
    assert left & dropped == RangeSet()
    assert (memory - dropped) - left == RangeSet()


def test_a_page_that_must_be_in_the_images_and_cannot_be_read(victim, tmp_path):
    as_dumped(victim, tmp_path)
    images = FinalImages(str(tmp_path), Known(present_pages(victim.pid)))
    images.expect({victim.pid: NUMBER})
    victim.kill()
    with pytest.raises(MigrationError, match=r"could not be read for pagemap-7\.img: 0 bytes of"):
        images.settle()


def test_a_dump_without_a_parent_is_left_as_it_is(victim, tmp_path):
    memory = present_pages(victim.pid)
    path = str(tmp_path / f"pagemap-{NUMBER}.img")
    start, end = vdso(victim)
    entries = sorted([*(_entry(piece, PE_LAZY) for piece in memory), _entry((start, end), PE_PRESENT)])
    write_pagemap(path, 3, entries)
    (tmp_path / "pages-3.img").write_bytes(bytes(end - start))
    images = FinalImages(str(tmp_path), Known(memory))
    images.expect({victim.pid: NUMBER})
    assert images.settle() == {}
    assert read_pagemap(path) == (3, entries)


def test_what_the_images_will_hold_is_known_before_the_freeze(victim, tmp_path):
    as_dumped(victim, tmp_path)
    start, end = vdso(victim)
    likely = likely_content([victim.pid, 1 << 22])
    assert victim.memory(start, end) in likely
    # The interpreter's own variables: written pages of its file, but not what it only reads.
    files = [area for area in areas(victim.pid) if area.path.startswith("/") and area.permissions[3] == "p"]
    assert end - start < len(likely) < sum(area.end - area.start for area in files) / 4


class Sent:
    """A channel that keeps what images were sent, and by how many messages."""

    def __init__(self):
        self.images = {}
        self.messages = 0

    def resembling(self, body):
        return bytes(body)

    def send(self, kind, body, files):
        assert kind == "handover.images"
        self.messages += 1
        at = 0
        for name, size in files:
            self.images.setdefault(name, []).append(body[at : at + size])
            at += size


def send_while_dumping(images, directory, steps):
    """*steps* happen one after the other, as CRIU writes; then all is settled and sent."""
    sent, left = Sent(), list(steps)

    def dumping():
        if left:
            left.pop(0)()
        return bool(left)

    images.send_early(sent, dumping)
    early = dict(sent.images)
    images.settle()
    images.send(sent)
    whole = {path.name: [path.read_bytes()] for path in directory.iterdir()}
    assert sent.images == whole
    return early


def test_a_process_is_sent_while_the_next_one_is_dumped(victim, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MIN_EARLY_BYTES", 1)
    images = FinalImages(str(tmp_path), Known(present_pages(victim.pid)))
    images.expect({victim.pid: NUMBER})

    def wait():
        """An end of the dump without a new file."""

    def write(name):
        return lambda: (tmp_path / name).write_bytes(b"content")

    steps = [
        lambda: as_dumped(victim, tmp_path),
        write("mm-7.img"),
        write("core-7.img"),
        # May be written to again, or is edited at the end; of this number nothing is expected.
        write("inventory.img"),
        write("pagemap-8.img"),
        wait,
        wait,
    ]
    early = send_while_dumping(images, tmp_path, steps)
    assert set(early) == {f"pagemap-{NUMBER}.img", "pages-3.img", "mm-7.img", "core-7.img"}
    assert left_out(str(tmp_path / f"pagemap-{NUMBER}.img"))


def test_an_image_that_changes_after_it_was_sent_is_told(victim, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MIN_EARLY_BYTES", 1)
    images = FinalImages(str(tmp_path), Known(present_pages(victim.pid)))
    images.expect({victim.pid: NUMBER})
    core = tmp_path / "core-7.img"
    with pytest.raises(MigrationError, match=r"core-7\.img had 7 bytes when it was sent, and has 8 now"):
        send_while_dumping(
            images,
            tmp_path,
            [lambda: core.write_bytes(b"content"), str, lambda: core.write_bytes(b"content2")],
        )
