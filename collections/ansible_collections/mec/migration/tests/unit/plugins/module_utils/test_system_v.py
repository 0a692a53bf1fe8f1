# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System V's shared memory, filled beside CRIU: what is listed for it, and what becomes of a real segment."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import TransferError
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.criu.images import (
    PE_PARENT,
    PE_PRESENT,
    PagemapEntry,
    image_names,
    read_pagemap,
    write_pagemap,
)
from ansible_collections.mec.migration.plugins.module_utils.criu.segments import segment_number
from ansible_collections.mec.migration.plugins.module_utils.kernel.process_memory import PAGE_BYTES
from ansible_collections.mec.migration.plugins.module_utils.memory import system_v
from ansible_collections.mec.migration.plugins.module_utils.memory.shared_memory import segments
from ansible_collections.mec.migration.plugins.module_utils.memory.source import MemorySource
from ansible_collections.mec.migration.plugins.module_utils.memory.system_v import LIST_FILE, leave_to_fill
from ansible_collections.mec.migration.plugins.module_utils.memory.target import MemoryTarget
from ansible_collections.mec.migration.plugins.module_utils.memory.trackers import CompareTracker
from peers import Peer
from role_files import FILES

PAGES = 64
IPC_RMID = 0
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmdt.argtypes = [ctypes.c_void_p]


class Segment:
    """One of this process's."""

    def __init__(self, size_bytes=PAGES * PAGE_BYTES):
        self.identifier = libc.shmget(0, size_bytes, 0o1600)
        self._at = libc.shmat(self.identifier, None, 0)
        self.content = memoryview((ctypes.c_char * size_bytes).from_address(self._at)).cast("B")
        self.number = segment_number(self.identifier, system_v=True)

    def close(self):
        self.content.release()
        libc.shmdt(self._at)
        libc.shmctl(self.identifier, IPC_RMID, None)

    def write(self, page, seed):
        self.content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = bytes([seed]) * PAGE_BYTES


@pytest.fixture
def segment():
    made = Segment()
    yield made
    made.close()


@pytest.fixture
def target():
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="mec-test-") as directory:
        for name in ("source", "target", "final"):
            os.mkdir(os.path.join(directory, name))
        made = MemoryTarget(os.path.join(directory, "target"), chain=False)
        with Peer(made.handlers) as peer:
            source = MemorySource(os.path.join(directory, "source"), CompareTracker())

            def turn():
                source.round(peer.channel, {os.getpid(): 1}, only={1: RangeSet()})
                peer.channel.answer("memory.round_end")
                source.acknowledged()

            yield made, turn, os.path.join(directory, "final")


def final_images(directory, segment, changed, unchanged):
    """As they come: pages that have changed since the last round, and those that have not."""
    names = image_names(segment.number)
    pieces = sorted([(page, PE_PRESENT) for page in changed] + [(page, PE_PARENT) for page in unchanged])
    entries = [PagemapEntry(page * PAGE_BYTES, 1, flags) for page, flags in pieces]
    path = os.path.join(directory, names.pagemap)
    write_pagemap(path, names.pages_id, entries)
    with open(os.path.join(directory, names.pages), "wb") as pages:
        for page in changed:
            pages.write(segment.content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES])
    return path


def filled(directory):
    """What the program makes of an empty segment; that has the place of the one that is listed."""
    program = [sys.executable, "-I", "-S", str(FILES / "fill_system_v.py")]
    return subprocess.run(
        [*program, os.path.join(directory, LIST_FILE), str(os.getpid())],
        capture_output=True,
        text=True,
        check=False,
    )


def relisted(directory, identifier):
    """The list, for another segment."""
    path = os.path.join(directory, LIST_FILE)
    with open(path, encoding="utf-8") as lines:
        ((_old, pieces),) = json.load(lines)
    with open(path, "w", encoding="utf-8") as out:
        json.dump([[identifier, pieces]], out)


def test_it_is_filled_with_the_newest_content(segment, target, monkeypatch):
    monkeypatch.setattr(system_v, "WORTHWHILE_BYTES", PAGE_BYTES)
    memory, turn, final = target
    assert segment.number in segments([os.getpid()])
    for page in range(10):
        segment.write(page, page + 1)
    turn()
    segment.write(2, 50)
    turn()
    segment.write(4, 60)
    segment.write(PAGES - 1, 61)
    path = final_images(final, segment, [4, PAGES - 1], [0, 1, 2, 3, *range(5, 10)])
    leave_to_fill(final, memory)
    assert read_pagemap(path)[1] == []
    there = Segment()
    try:
        relisted(final, there.identifier)
        done = filled(final)
        assert (done.returncode, done.stderr) == (0, "")
        assert there.content == segment.content
    finally:
        there.close()


def test_a_size_that_is_no_whole_number_of_pages(target, monkeypatch):
    monkeypatch.setattr(system_v, "WORTHWHILE_BYTES", PAGE_BYTES)
    memory, turn, final = target
    segment, there = Segment(PAGE_BYTES + 100), Segment(PAGE_BYTES + 100)
    try:
        segment.write(0, 1)
        segment.content[PAGE_BYTES:] = b"x" * 100
        turn()
        final_images(final, segment, [], [0, 1])
        leave_to_fill(final, memory)
        relisted(final, there.identifier)
        done = filled(final)
        assert (done.returncode, done.stderr) == (0, "")
        assert there.content == segment.content
    finally:
        segment.close()
        there.close()


def test_a_little_is_left_to_criu(segment, target):
    memory, turn, final = target
    segment.write(0, 1)
    turn()
    path = final_images(final, segment, [], [0])
    leave_to_fill(final, memory)
    assert read_pagemap(path)[1] == [PagemapEntry(0, 1, PE_PARENT)]
    assert not os.path.exists(os.path.join(final, LIST_FILE))


def test_pages_that_never_came_are_an_error(segment, target):
    memory, turn, final = target
    segment.write(0, 1)
    turn()
    final_images(final, segment, [], [0, 1])
    with pytest.raises(TransferError, match="never came"):
        leave_to_fill(final, memory)


def test_other_segments_are_not_looked_at(target, monkeypatch):
    monkeypatch.setattr(system_v, "WORTHWHILE_BYTES", PAGE_BYTES)
    memory, turn, final = target
    turn()
    leave_to_fill(final, memory)
    assert os.listdir(final) == []


@pytest.mark.parametrize("fault", ["cut short", "no such segment", "no such file"])
def test_what_cannot_be_filled_ends_the_restore(segment, target, monkeypatch, fault):
    monkeypatch.setattr(system_v, "WORTHWHILE_BYTES", PAGE_BYTES)
    memory, turn, final = target
    segment.write(0, 1)
    turn()
    segment.write(1, 2)
    final_images(final, segment, [1], [0])
    leave_to_fill(final, memory)
    pages = os.path.join(final, image_names(segment.number).pages)
    if fault == "cut short":
        os.truncate(pages, 100)
    elif fault == "no such file":
        os.unlink(pages)
    else:
        relisted(final, 0x7FFFFFFF)
    assert filled(final).returncode != 0


def test_criu_calls_it_once_the_namespaces_are_there(tmp_path):
    said = {}
    for moment in ("pre-restore", "setup-namespaces", "post-setup-namespaces", "post-restore", "pre-resume"):
        environment = dict(
            os.environ,
            CRTOOLS_SCRIPT_ACTION=moment,
            CRTOOLS_INIT_PID=str(os.getpid()),
            MEC_SYSTEM_V="/nothing",
        )
        called = ["sh", str(FILES / "criu_actions")]
        done = subprocess.run(called, env=environment, capture_output=True, text=True, check=False)
        said[moment] = "No such file or directory: '/nothing'" in done.stderr, done.returncode
    assert said.pop("post-setup-namespaces") == (True, 1)
    assert set(said.values()) == {(False, 0)}
