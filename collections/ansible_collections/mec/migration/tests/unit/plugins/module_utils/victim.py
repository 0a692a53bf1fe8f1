# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that changes its memory on command, one page at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

PROGRAM = r"""
import ctypes, mmap, os, random, sys, time

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
FIXED, NOHUGEPAGE, DONTNEED, MAYMOVE_FIXED = 0x10, 15, 4, 3
GUARD_INSTALL, PDEATHSIG = 102, 1


def fresh(address, pages):
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | (FIXED if address else 0)
    made = libc.mmap(address, pages * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    libc.madvise(made, pages * PAGE, NOHUGEPAGE)
    return made


pages = int(sys.argv[1])
base = fresh(None, pages)
print(base, flush=True)
for line in sys.stdin:
    command, first, count, seed = line.split()
    first, count, seed = int(first), int(count), int(seed)
    address = base + first * PAGE
    if command == "write":
        for page in range(count):
            data = random.Random(seed + page).randbytes(PAGE)
            ctypes.memmove(address + page * PAGE, data, PAGE)
    elif command == "touch":
        for page in range(count):
            data = random.Random(seed + page).randbytes(8)
            ctypes.memmove(address + page * PAGE + seed % (PAGE - 8), data, 8)
    elif command == "zero":
        ctypes.memset(address, 0, count * PAGE)
    elif command == "read":
        for page in range(count):
            ctypes.string_at(address + page * PAGE, 1)
    elif command == "drop":
        libc.madvise(address, count * PAGE, DONTNEED)
    elif command == "unmap":
        libc.munmap(address, count * PAGE)
    elif command == "move":
        libc.mremap(address, count * PAGE, count * PAGE, MAYMOVE_FIXED, base + seed * PAGE)
    elif command == "map":
        fresh(address, count)
    elif command == "guard":
        libc.madvise(address, count * PAGE, GUARD_INSTALL)
    elif command == "code":
        # With room on both sides, or the kernel would make one mapping of this and what lies beside.
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        room = libc.mmap(None, (count + 2) * PAGE, 0, private, -1, 0)
        made = libc.mmap(room + PAGE, count * PAGE, 7, private | FIXED, -1, 0)
        ctypes.memmove(made, (b"\x7fELF", b"\x90\xc3")[first], (4, 2)[first])
    elif command == "fork":
        if os.fork() == 0:
            libc.prctl(PDEATHSIG, 9)
            time.sleep(1e6)
    print("done", flush=True)
"""


class Victim:
    """The process, from outside; if *still* it is stopped unless it carries out a command."""

    def __init__(self, pages: int = 64, *, still: bool = True) -> None:
        self.pages = pages
        self._still = still
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROGRAM, str(pages)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.base = int(self._answer())
        self._stop()

    def do(self, command: str, first: int, count: int = 1, seed: int = 0) -> None:
        """write, touch (8 bytes of each), zero, read (maps the zero page), drop, unmap, map or guard pages,
        move them to where page number *seed* is, or fork a child that only sleeps."""
        assert self._process.stdin is not None
        if self._still:
            os.kill(self.pid, signal.SIGCONT)
        self._process.stdin.write(f"{command} {first} {count} {seed}\n")
        self._process.stdin.flush()
        assert self._answer() == "done"
        self._stop()

    def _stop(self) -> None:
        if self._still:
            os.kill(self.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    @property
    def children(self) -> list[int]:
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as children:
            return [int(pid) for pid in children.read().split()]

    def memory(self, start: int, end: int) -> bytes:
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            memory.seek(start)
            return memory.read(end - start)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Victim:
        return self

    def __exit__(self, *unused: object) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
