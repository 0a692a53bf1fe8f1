"""Rounds through the real source and target of memory; frozen, the target must hold every page.

The processes are stopped and given userfaultfds meanwhile, and must not notice.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.kernel import write_protect
from ansible_collections.mec.migration.plugins.module_utils.kernel.process_memory import (
    PAGE_BYTES,
    Pagemap,
    anonymous_ranges,
    present_pages,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel.processes import container_pids
from ansible_collections.mec.migration.plugins.module_utils.memory.source import MemorySource
from ansible_collections.mec.migration.plugins.module_utils.memory.target import MemoryTarget
from ansible_collections.mec.migration.plugins.module_utils.memory.uffd_tracker import UffdTracker
from peers import Peer

from .programs import Program, Redis, start


@pytest.fixture
def directory() -> Iterator[Path]:
    """On tmpfs: mirrors are sparse files of the size of an address space."""
    path = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="mec-uffd-"))
    yield path
    shutil.rmtree(path)


class Move:
    """A source and a target of a program's memory."""

    def __init__(self, program: Program | Redis, directory: Path, counts: Counter[str]) -> None:
        self._program = program
        self._counts = counts
        images = directory / "images"
        images.mkdir()
        self._target = MemoryTarget(str(images))
        self._peer = Peer(self._target.handlers)
        self.tracker = UffdTracker(program.cgroup)
        self._source = MemorySource(str(directory), self.tracker)

    def track_anew(self) -> None:
        """Another tracker goes on, which stops all processes again."""
        self.tracker = self._source._tracker = UffdTracker(self._program.cgroup)

    def round(self, *, frozen: bool = False) -> None:
        pids = container_pids(self._program.cgroup.pids())
        done = self._source.round(self._peer.channel, pids, frozen=frozen)
        self._peer.channel.answer("memory.round_end")
        self._source.acknowledged()
        self._counts["looked at, " + ("frozen" if frozen else "running")] += done.pages_scanned

    def differences(self) -> list[str]:
        """Freeze, send the rest, compare; it runs on afterwards."""
        cgroup = self._program.cgroup
        cgroup.freeze()
        try:
            self.round(frozen=True)
            self._counts["processes that were compared whole in the last round"] += len(self.tracker.notes)
            found = []
            for pid, number in container_pids(cgroup.pids()).items():
                found += self._compare(pid, number)
        finally:
            cgroup.thaw()
        self._counts["differences"] += len(found)
        return found

    def _compare(self, pid: int, number: int) -> list[str]:
        holding = present_pages(pid)
        # The kernel makes huge pages of a frozen process, too (khugepaged), with zeros where nothing was.
        # A move sends them once CRIU has named them.
        zeros = holding - self._target.held(number)
        sent = holding - zeros
        self._counts["made by the kernel, frozen"] += zeros.size_bytes // PAGE_BYTES
        extents = self._target.extents(number, sent)
        with Pagemap(pid) as pagemap:
            pagemap._scan = False
            mapped = pagemap.present(anonymous_ranges(pid))
        found = []
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for start, end, place in extents:
                ours = os.pread(memory.fileno(), end - start, start)
                self._counts["compared"] += (end - start) // PAGE_BYTES
                if ours != ctypes.string_at(place, end - start):
                    found += [
                        f"page {address:#x} of process {pid}"
                        for address in range(start, end, PAGE_BYTES)
                        if ours[address - start :][:PAGE_BYTES]
                        != ctypes.string_at(place + address - start, PAGE_BYTES)
                    ]
            # What the scan calls empty is all zeros, too.
            for start, end in zeros | (mapped - holding):
                if any(os.pread(memory.fileno(), end - start, start)):
                    found.append(f"{start:#x} to {end:#x} of process {pid} hold something")
        assert RangeSet((start, end) for start, end, _place in extents) == sent
        return found

    def close(self) -> None:
        self._peer.close()


def test_every_page(workload: str, seed: int, directory: Path, counts: Counter[str]) -> None:
    choice = random.Random(seed)
    program = start(workload, seed, directory)
    move = Move(program, directory, counts)
    main = program.process.pid
    tracked = 0
    # To be frozen ends some calls with EINTR, whoever freezes; here only the tracker may disturb.
    freezes = 0 if workload == "waits" else 3
    try:
        for _cycle in range(freezes or 8):
            for _round in range(choice.randint(1, 3)):
                time.sleep(choice.random() * 0.08)
                move.round()
            if freezes:
                assert move.differences() == []
            tracked += not any(f"process {main} " in note for note in move.tracker.notes)
            if choice.random() < 0.4 or not freezes:
                move.track_anew()
        assert program.verdict() == "right"
        assert tracked, f"it was never tracked: {move.tracker.notes}"
        counts["runs"] += 1
    finally:
        program.end()
        move.close()


def test_this_host_can_track() -> None:
    assert write_protect.obstacle() == ""
