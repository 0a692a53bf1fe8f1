# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Page maps and statistics as CRIU writes them, and what a damaged file is met with."""

from __future__ import annotations

import os
import pathlib
import stat
import struct

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.criu import images as criu_images
from ansible_collections.mec.migration.plugins.module_utils.criu.images import (
    IMG_COMMON_MAGIC,
    IMG_SERVICE_MAGIC,
    PAGEMAP_MAGIC,
    PE_LAZY,
    PE_PARENT,
    PE_PRESENT,
    STATS_MAGIC,
    PagemapEntry,
    RawPagemap,
    decode_fields,
    encode_field,
    entry_keys,
    key_range,
    layered_entries,
    leave_out,
    left_out,
    read_pagemap,
    varint,
    write_pagemap,
)
from hypothesis import given
from hypothesis import strategies as st

PAGE = 4096
entries = st.lists(
    st.builds(
        PagemapEntry,
        address=st.integers(0, (1 << 47) - 1),
        pages=st.integers(1, 1 << 34),
        flags=st.sampled_from([PE_PARENT, PE_PRESENT, PE_PRESENT | PE_LAZY]),
    ),
    max_size=8,
)


def image(path, *messages, magic=PAGEMAP_MAGIC, first=IMG_COMMON_MAGIC):
    framed = b"".join(struct.pack("<I", len(message)) + message for message in messages)
    path.write_bytes(struct.pack("<II", first, magic) + framed)
    return str(path)


@given(entries)
def test_a_pagemap_written_and_read_again(tmp_path_factory, written):
    path = str(tmp_path_factory.mktemp("images") / "pagemap-7.img")
    write_pagemap(path, 7, written)
    assert read_pagemap(path) == (7, written)


@given(entries)
def test_a_pagemap_that_is_not_decoded_holds_the_same(tmp_path_factory, written):
    path = str(tmp_path_factory.mktemp("images") / "pagemap-7.img")
    write_pagemap(path, 7, written)
    before = pathlib.Path(path).read_bytes()
    raw = RawPagemap(path)
    ranges = [key_range((address, pages)) for _message, address, _flags, pages in raw.entries]
    assert ranges == [(entry.address, entry.address + entry.pages * PAGE) for entry in written]
    assert [flags[0] for _message, _address, flags, _pages in raw.entries] == [
        entry.flags for entry in written
    ]
    assert [(raw[1], raw[3]) for raw in raw.entries] == entry_keys(ranges)
    raw.write()
    assert pathlib.Path(path).read_bytes() == before


@given(entries)
def test_what_is_the_parents_is_taken_for_lazy(tmp_path_factory, written):
    path = str(tmp_path_factory.mktemp("images") / "pagemap-7.img")
    write_pagemap(path, 7, written)
    RawPagemap(path, lazy_parent=True).write()
    expected = [entry._replace(flags=PE_LAZY) if entry.flags == PE_PARENT else entry for entry in written]
    assert read_pagemap(path) == (7, expected)


def test_entries_of_older_versions_are_told_apart_all_the_same(tmp_path):
    old = encode_field(1, 0x1000) + encode_field(2, 3) + encode_field(3, True)
    path = image(tmp_path / "pagemap-1.img", encode_field(1, 9), old)
    raw = RawPagemap(path, lazy_parent=True)
    assert key_range((raw.entries[0][1], raw.entries[0][3])) == (0x1000, 0x4000)
    raw.write()
    assert read_pagemap(path) == (9, [PagemapEntry(0x1000, 3, PE_LAZY)])


def test_a_damaged_pagemap_that_is_not_decoded_is_refused(tmp_path):
    path = tmp_path / "pagemap-1.img"
    write_pagemap(str(path), 1, [PagemapEntry(0x1000, 1, PE_PRESENT), PagemapEntry(0x9000, 300, PE_LAZY)])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(MigrationError, match="cut short"):
        RawPagemap(str(path))


def test_a_pagemap_byte_for_byte(tmp_path):
    """Against images/pagemap.proto: vaddr 1, compat_nr_pages 2 (zero, required), flags 4, nr_pages 5."""
    path = tmp_path / "pagemap-1.img"
    write_pagemap(str(path), 1, [PagemapEntry(0x1000, 300, PE_PRESENT)])
    assert path.read_bytes() == (
        struct.pack("<II", 0x54564319, 0x56084025)
        + b"\x02\x00\x00\x00\x08\x01"
        + b"\x0a\x00\x00\x00\x08\x80\x20\x10\x00\x20\x04\x28\xac\x02"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_entries_of_older_versions_have_a_flag_for_the_parent(tmp_path):
    """Up to CRIU 3: in_parent (3) instead of flags; up to 4.1: nr_pages in field 2."""
    old = encode_field(1, 0x1000) + encode_field(2, 3) + encode_field(3, True)
    plain = encode_field(1, 0x9000) + encode_field(2, 4)
    path = image(tmp_path / "pagemap-1.img", encode_field(1, 9), old, plain)
    assert read_pagemap(path) == (9, [(0x1000, 3, PE_PARENT), (0x9000, 4, PE_PRESENT)])


def test_a_newer_format_is_refused(tmp_path):
    compressed = encode_field(1, 0x1000) + encode_field(2, 0) + encode_field(6, 17)
    path = image(tmp_path / "pagemap-1.img", encode_field(1, 1), compressed)
    with pytest.raises(MigrationError, match=r"field 6 that this version does not know"):
        read_pagemap(path)


def test_another_kind_of_image_is_refused(tmp_path):
    path = image(tmp_path / "pagemap-1.img", encode_field(1, 1), magic=STATS_MAGIC)
    with pytest.raises(MigrationError, match="not the CRIU image that its name says"):
        read_pagemap(path)


def test_a_pagemap_cut_anywhere_is_refused_or_shorter(tmp_path):
    """A cut between two entries cannot be seen; within one it must be."""
    path = tmp_path / "pagemap-1.img"
    written = [PagemapEntry(0x1000 * n, n, PE_PRESENT) for n in (1, 200, 40000)]
    write_pagemap(str(path), 1, written)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        try:
            pages_id, read = read_pagemap(str(path))
        except MigrationError:
            continue
        assert pages_id == 1
        assert read == written[: len(read)]
        assert len(read) < len(written)


@given(st.integers(0, (1 << 64) - 1), st.binary(max_size=300), st.integers(1, 2000))
def test_protobuf_fields(number, data, field):
    message = encode_field(field, number) + encode_field(field, data) + encode_field(field, True)
    assert decode_fields(message) == [(field, number), (field, data), (field, 1)]


def test_negative_numbers_travel_as_64_bits():
    assert decode_fields(encode_field(1, -1)) == [(1, (1 << 64) - 1)]


def test_text_is_utf_8():
    assert decode_fields(encode_field(2, "ä")) == [(2, b"\xc3\xa4")]


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(data):
    try:
        fields = decode_fields(data)
    except ValueError:
        return
    assert all(isinstance(value, (int, bytes)) for _number, value in fields)


@pytest.mark.parametrize("data", [b"\x08", b"\x0a\x05abc", b"\x0d\x00\x00\x00\x00", b"\x80"])
def test_messages_that_are_none(data):
    with pytest.raises(ValueError, match=r"field|wire type"):
        decode_fields(data)


@given(st.integers(0, (1 << 70)))
def test_varints_are_seven_bits_a_byte(value):
    encoded = varint(value)
    assert encoded[-1] < 0x80
    assert all(byte >= 0x80 for byte in encoded[:-1])
    assert sum((byte & 0x7F) << 7 * at for at, byte in enumerate(encoded)) == value


pages = st.sets(st.integers(0, 60)).map(
    lambda numbers: RangeSet((number * PAGE, (number + 1) * PAGE) for number in numbers)
)


@given(pages, pages)
def test_layers_name_each_page_once_and_the_upper_one_wins(present, parent):
    made = layered_entries(present, parent, PAGE)
    by_flag = {PE_PRESENT: RangeSet(), PE_PARENT: RangeSet()}
    end = 0
    for address, count, flags in made:
        assert address >= end
        end = address + count * PAGE
        by_flag[flags] |= RangeSet([(address, end)])
    assert by_flag[PE_PRESENT] == present
    assert by_flag[PE_PARENT] == parent - present


def test_statistics_of_a_dump(tmp_path):
    inner = b"".join(encode_field(number, number * 100) for number in (1, 2, 3, 4, 5, 6, 7, 12))
    image(tmp_path / "stats-dump", encode_field(1, inner), magic=STATS_MAGIC, first=IMG_SERVICE_MAGIC)
    assert criu_images.read_dump_stats(str(tmp_path)) == {
        "freezing_time_us": 100,
        "frozen_time_us": 200,
        "memdump_time_us": 300,
        "memwrite_time_us": 400,
        "pages_scanned": 500,
        "pages_skipped_parent": 600,
        "pages_written": 700,
    }


def test_statistics_of_a_restore_and_none(tmp_path):
    assert criu_images.read_restore_stats(str(tmp_path)) == {}
    inner = encode_field(3, 30) + encode_field(4, 40) + encode_field(5, 50)
    image(tmp_path / "stats-restore", encode_field(2, inner), magic=STATS_MAGIC, first=IMG_SERVICE_MAGIC)
    assert criu_images.read_restore_stats(str(tmp_path)) == {
        "forking_time_us": 30,
        "restore_time_us": 40,
        "pages_restored": 50,
    }


@pytest.mark.parametrize(
    "messages",
    [[], [b""], [encode_field(1, 1), encode_field(2, 4)], [encode_field(1, 1), b"\x08"]],
    ids=["no head", "head without id", "entry without address", "entry that ends inside a field"],
)
def test_a_damaged_pagemap_is_named(tmp_path, messages):
    path = image(tmp_path / "pagemap-1.img", *messages)
    with pytest.raises(MigrationError, match=r"pagemap-1\.img is (damaged|empty)"):
        read_pagemap(path)


def test_lazy_pages_are_found_and_referred_to_the_parent(tmp_path):
    path = str(tmp_path / "pagemap-1.img")
    lazy = PagemapEntry(0x1000, 2, PE_PRESENT | PE_LAZY)
    kept = PagemapEntry(0x9000, 1, PE_PRESENT)
    write_pagemap(path, 4, [lazy, kept])
    assert criu_images.left_out(path) == RangeSet([(0x1000, 0x3000)])
    criu_images.refer_to_parent(path)
    assert read_pagemap(path) == (4, [PagemapEntry(0x1000, 2, PE_PARENT), kept])


def test_what_the_target_knows_is_taken_out_of_a_dump_that_left_nothing_out(tmp_path):
    path = str(tmp_path / "pagemap-7.img")
    base = 0x7F0000000000
    write_pagemap(
        path,
        7,
        [
            PagemapEntry(0x400000, 2, PE_PRESENT),
            PagemapEntry(base, 10, PE_PRESENT),
            PagemapEntry(base + 20 * PAGE, 1, PE_PARENT),
        ],
    )
    content = os.urandom(12 * PAGE)
    (tmp_path / "pages-7.img").write_bytes(content)
    known = RangeSet([(base + 2 * PAGE, base + 9 * PAGE)])
    leave_out(path, known)
    assert read_pagemap(path) == (
        7,
        [
            PagemapEntry(0x400000, 2, PE_PRESENT),
            PagemapEntry(base, 2, PE_PRESENT),
            PagemapEntry(base + 2 * PAGE, 7, PE_LAZY),
            PagemapEntry(base + 9 * PAGE, 1, PE_PRESENT),
            PagemapEntry(base + 20 * PAGE, 1, PE_PARENT),
        ],
    )
    assert left_out(path) == known
    assert (tmp_path / "pages-7.img").read_bytes() == content[: 4 * PAGE] + content[11 * PAGE :]
