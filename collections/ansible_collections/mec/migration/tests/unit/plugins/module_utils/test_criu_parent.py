# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CRIU is told of the kernel, and that nobody else is: with real mount namespaces, so as root."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.mec.migration.plugins.module_utils.criu import parent as criu_parent
from ansible_collections.mec.migration.plugins.module_utils.criu.images import PE_PRESENT, read_pagemap
from ansible_collections.mec.migration.plugins.module_utils.criu.parent import HAS_DIRTY_TRACK, ParentOfAll

TRUTH = bytes(range(1, HAS_DIRTY_TRACK + 1)) + b"\x00" + bytes(range(1, 9))


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    """A CRIU whose answer is what a process that it starts reads in its note."""
    note = tmp_path / "note"
    note.write_bytes(TRUTH)

    def features():
        seen = subprocess.run(["cat", str(note)], capture_output=True, check=True).stdout
        return {"mem_dirty_track": bool(seen[HAS_DIRTY_TRACK]), "lazy_pages": bool(seen[at])}

    at = 0
    monkeypatch.setattr(criu_parent, "KERNEL_NOTE", str(note))
    monkeypatch.setattr(criu_parent, "features", features)
    monkeypatch.setattr(criu_parent, "version", lambda: (4, 2))
    return note


def test_only_what_is_started_so_sees_the_other_answer(kernel, tmp_path):
    before = os.readlink("/proc/self/ns/mnt")
    parent = ParentOfAll(str(tmp_path), [1, 12])
    assert parent.obstacle == ""
    seen = parent.start(lambda: subprocess.run(["cat", str(kernel)], capture_output=True, check=True).stdout)
    assert seen == TRUTH[:HAS_DIRTY_TRACK] + b"\x01" + TRUTH[HAS_DIRTY_TRACK + 1 :]
    assert kernel.read_bytes() == TRUTH
    assert os.readlink("/proc/self/ns/mnt") == before
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        assert str(kernel) not in mounts.read()


def test_the_parent_claims_all_memory(kernel, tmp_path):
    ParentOfAll(str(tmp_path), [1, 12])
    for number in (1, 12):
        pages_id, ((address, pages, flags),) = read_pagemap(str(tmp_path / f"parent/pagemap-{number}.img"))
        assert (pages_id, flags) == (number, PE_PRESENT)
        # The first page is never mapped; with five levels of page tables the last one ends here.
        assert address == 4096
        assert address + pages * 4096 == 0xFFFFFFFFFFF000
        assert (tmp_path / f"parent/pages-{number}.img").read_bytes() == b""
    assert (tmp_path / "parent/inventory.img").read_bytes()[:4] == bytes.fromhex("16313158")


def test_another_criu_with_its_note_in_another_order(kernel, monkeypatch, tmp_path):
    kernel.write_bytes(TRUTH[:HAS_DIRTY_TRACK] + b"\x05" + TRUTH)
    monkeypatch.setattr(criu_parent, "features", lambda: {"mem_dirty_track": False, "lazy_pages": True})
    assert "not as this CRIU's version has it" in ParentOfAll(str(tmp_path), [1]).obstacle
    kernel.write_bytes(TRUTH)
    assert "not as this CRIU's version has it" in ParentOfAll(str(tmp_path), [1]).obstacle
    assert not (tmp_path / "parent").exists()


def test_no_note_is_an_obstacle_and_no_error(kernel, monkeypatch, tmp_path):
    kernel.unlink()
    monkeypatch.setattr(criu_parent, "features", dict)
    parent = ParentOfAll(str(tmp_path), [1])
    assert "note" in parent.obstacle
    assert parent.start(lambda: "as it is") == "as it is"


def test_page_maps_that_count_only_so_far(kernel, monkeypatch, tmp_path):
    monkeypatch.setattr(criu_parent, "version", lambda: (4, 1, 1))
    assert ParentOfAll(str(tmp_path), [1]).obstacle == "CRIU is older than 4.2"


def test_a_kernel_that_tracks_needs_no_other_answer(kernel, tmp_path):
    kernel.write_bytes(TRUTH[:HAS_DIRTY_TRACK] + b"\x01" + TRUTH[HAS_DIRTY_TRACK + 1 :])
    parent = ParentOfAll(str(tmp_path), [1])
    assert parent.obstacle == ""
    assert parent.start(lambda: os.readlink("/proc/thread-self/ns/mnt")) == os.readlink("/proc/self/ns/mnt")
    assert not (tmp_path / criu_parent.NOTE_COPY).exists()
