# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rate at which memory changes, measured on a process that changes a known number of pages."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.kernel.process_memory import PAGE_BYTES
from ansible_collections.mec.migration.plugins.module_utils.memory.dirty_rate import (
    RUN_PAGES,
    compressed_share,
    dirty_rate,
    sample,
)
from hypothesis import given
from hypothesis import strategies as st
from victim import Victim

IDLE = """
import mmap, sys, time
pages = int(sys.argv[1])
memory = mmap.mmap(-1, pages * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(pages):
    memory[page * 4096] = 1
print("ready", flush=True)
while True:
    time.sleep(0.01)
"""


@pytest.fixture
def idle():
    started = []

    def start(pages: int) -> int:
        process = subprocess.Popen(
            [sys.executable, "-c", IDLE, str(pages)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_an_idle_process_changes_next_to_nothing(idle):
    rate = dirty_rate([idle(2000)], 0.2)
    # A few pages of the interpreter's own stack and heap.
    assert rate.pages_per_s < 100
    assert rate.all_pages >= 2000


@pytest.mark.parametrize("sample_pages", [100_000, 2048])
def test_a_writer_is_measured_by_all_pages_and_by_a_sample(monkeypatch, sample_pages):
    with Victim(pages=16000) as victim:
        victim.do("touch", 0, victim.pages, 1)
        slept = []

        def sleep(seconds):
            # However quick this machine is, so many pages change between the two readings.
            victim.do("touch", 2000, 1600, 2)
            slept.append(seconds)

        monkeypatch.setattr(time, "sleep", sleep)
        start = time.monotonic()
        rate = dirty_rate([victim.pid], 0.4, sample_pages)
        assert 0 < rate.seconds < time.monotonic() - start
    assert len(slept) == 1
    assert slept[0] <= 0.4
    # A few pages of the interpreter's own stack and heap change, too.
    assert rate.pages_per_s * rate.seconds == pytest.approx(1600, rel=0.1)
    assert rate.all_pages >= 16000
    assert rate.sampled_pages <= max(rate.all_pages, 2 * sample_pages)


def test_memory_of_one_byte_a_page_compresses(idle):
    share = compressed_share([idle(2000)])
    assert share is not None
    # The interpreter's own heap, which does not, is a part of it.
    assert 0 < share < 0.4


def test_a_process_that_is_gone_does_not_count():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert dirty_rate([process.pid], 0.01).pages_per_s == 0
    assert compressed_share([process.pid]) is None


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 400)), min_size=1, max_size=30),
    st.integers(RUN_PAGES, 3000),
)
def test_a_sample_is_a_part_of_about_the_size_asked_for(pieces, wanted):
    pages = RangeSet((start * PAGE_BYTES, (start + size) * PAGE_BYTES) for start, size in pieces)
    chosen = sample(pages, wanted)
    assert not chosen - pages
    assert 1 <= chosen.size_bytes // PAGE_BYTES <= 2 * wanted + RUN_PAGES
