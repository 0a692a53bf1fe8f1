"""Damaged images of CRIU: our error or a value, soon; nothing else."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.criu import images

from .damage import damaged_bytes, in_time, trials

ENTRIES = [
    images.PagemapEntry(0x400000, 3, images.PE_PRESENT),
    images.PagemapEntry(0x7F0000000000, 70_000, images.PE_LAZY),
    images.PagemapEntry(0x7FFF00000000, 1, images.PE_PARENT),
]


@pytest.fixture
def pagemap(tmp_path):
    path = tmp_path / "pagemap-1.img"
    images.write_pagemap(str(path), 1, ENTRIES)
    return path


def readers(path):
    yield lambda: images.read_pagemap(path)
    yield lambda: images.RawPagemap(path)
    yield lambda: images.RawPagemap(path, lazy_parent=True)
    yield lambda: images.left_out(path)


def test_page_maps(seconds, pagemap):
    valid = pagemap.read_bytes()
    for choice in trials(seconds):
        pagemap.write_bytes(damaged_bytes(choice, valid))
        for read in readers(str(pagemap)):
            with contextlib.suppress(MigrationError):
                in_time(2, read)


def test_a_number_without_end_is_damage_at_once(pagemap):
    pagemap.write_bytes(
        pagemap.read_bytes()[:8] + (300_000).to_bytes(4, "little") + b"\x08" + b"\xff" * 299_999
    )
    for read in readers(str(pagemap)):
        with pytest.raises(MigrationError, match=r"damaged|cut short|longer than 64 bits"):
            in_time(1, read)


def test_statistics(seconds, tmp_path):
    figures = b"".join(images.encode_field(number, 1000 + number) for number in range(1, 8))
    message = images.encode_field(1, figures)
    head = images.IMG_SERVICE_MAGIC.to_bytes(4, "little") + images.STATS_MAGIC.to_bytes(4, "little")
    valid = head + len(message).to_bytes(4, "little") + message
    path = tmp_path / "stats-dump"
    path.write_bytes(valid)
    assert images.read_dump_stats(str(tmp_path))["pages_written"] == 1007
    for choice in trials(seconds):
        path.write_bytes(damaged_bytes(choice, valid))
        try:
            found = in_time(2, lambda: images.read_dump_stats(str(tmp_path)))
        except MigrationError:
            continue
        assert all(isinstance(value, int) for value in found.values())
