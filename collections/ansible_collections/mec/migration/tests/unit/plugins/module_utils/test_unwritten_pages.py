# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images of a dump are those of shared memory, by what real processes have."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.source import unwritten_pages as module
from test_holdings import needs_root

# A parent with two children, in an IPC namespace of their own. All of them have what is made in "before".
PROGRAM = """
import ctypes, mmap, os, sys, time
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
assert libc.unshare(0x08000000) == 0
def memfd(keep=True):
    made = os.memfd_create("x")
    os.ftruncate(made, 8192)
    found = mmap.mmap(made, 8192) if keep is not None else None
    kept.append(found)
    return made
def attach(size):
    made = libc.shmget(0, size, 0o1600)
    libc.shmat(made, None, 0)
    return made
def mapped_only():
    made = os.memfd_create("y")
    os.ftruncate(made, 8192)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    libc.mmap(None, 8192, 3, 1, made, 0)
    os.close(made)
kept = []
exec(sys.argv[1])
for child in range(2):
    if os.fork() == 0:
        if child:
            exec(sys.argv[2])
        print("ready", flush=True)
        time.sleep(600)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def guess():
    started = []

    def made(before, in_the_last=""):
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROGRAM, before, in_the_last],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        for _each in range(3):
            assert process.stdout.readline() == "ready\n"
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as children:
            found = [process.pid, *map(int, children.read().split())]
        started.extend(found[1:])
        return module.guess({pid: number for number, pid in enumerate(found, start=1)})

    yield made
    for each in reversed(started):
        if isinstance(each, int):
            os.kill(each, 9)
        else:
            each.kill()
            each.wait()
            each.stdout.close()


# Each of the three processes has one of its own.
@needs_root
@pytest.mark.parametrize(
    ("before", "in_the_last", "expected"),
    [
        ("", "", []),
        ("kept.append(mmap.mmap(-1, 8192))", "", [1]),
        ("kept += [mmap.mmap(-1, 8192), mmap.mmap(-1, 4096)]; attach(99)", "", [1, 2, 6]),
        ("memfd()", "", [1]),
        ("memfd(None); memfd(); kept.append(mmap.mmap(-1, 8192))", "", [1, 2, 3]),
        ("memfd(); mapped_only(); os.memfd_create('empty')", "", [1, 2]),
        ("memfd()", "memfd()", [1, 4]),
        ("", "kept.append(mmap.mmap(-1, 8192)); attach(99)", [3, 5]),
        # What nobody has attached cannot be read, and is told by nothing from the others.
        ("attach(99); libc.shmget(0, 99, 0o1600)", "", []),
        ("kept.append(mmap.mmap(-1, 8192)); attach(99); libc.shmget(0, 99, 0o1600)", "", [1]),
    ],
)
def test_the_images_of_shared_memory(guess, before, in_the_last, expected):
    assert guess(before, in_the_last) == expected


class Memory:
    """What the rounds have sent."""

    def __init__(self, size_bytes):
        self.segments = [-5]
        self._size_bytes = size_bytes

    def known(self, number):
        assert number == -5
        return RangeSet([(0, self._size_bytes)])


def test_links_are_made_where_it_pays(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "guess", lambda pids: [4, 5])
    assert module.to_nowhere(str(tmp_path), {}, Memory(module.WORTHWHILE_BYTES - 4096)) == []
    assert os.listdir(tmp_path) == []
    assert module.to_nowhere(str(tmp_path), {}, Memory(module.WORTHWHILE_BYTES)) == [4, 5]
    (tmp_path / "pages-4.img").write_bytes(b"gone")
    assert (tmp_path / "pages-5.img").read_bytes() == b""


def test_a_process_that_has_ended_is_no_obstacle(tmp_path):
    large = Memory(module.WORTHWHILE_BYTES)
    assert module.to_nowhere(str(tmp_path), {2**22 + 1: 1}, large) == []
