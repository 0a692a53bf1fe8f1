"""A service that never leaves its memory alone, and knows what must be in each of its pages.

It prints a line of JSON a second: what it has done, how often, and what was wrong.
At SIGUSR1 it looks at all pages.
"""

import ctypes
import json
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

PAGE = 4096
PAGES, CHUNKS = 64, int(os.environ.get("CHUNKS", "256"))
SIZE = PAGES * PAGE
READ, WRITE = 1, 2
DONTNEED, FREE, MAYMOVE, FIXED = 4, 8, 1, 2
FAILED = (1 << 64) - 1
libc = ctypes.CDLL(None, use_errno=True)
for name, kinds in {
    "mmap": [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long],
    "mremap": [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p],
    "madvise": [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int],
    "mprotect": [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int],
    "munmap": [ctypes.c_void_p, ctypes.c_size_t],
    "mlock": [ctypes.c_void_p, ctypes.c_size_t],
    "munlock": [ctypes.c_void_p, ctypes.c_size_t],
    "write": [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t],
    "pread": [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long],
    "process_vm_readv": [ctypes.c_int, *[ctypes.c_void_p, ctypes.c_ulong] * 2, ctypes.c_ulong],
}.items():
    getattr(libc, name).argtypes = kinds
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
libc.process_vm_readv.restype = ctypes.c_ssize_t


def fresh():
    return libc.mmap(None, SIZE, READ | WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)


def content(key):
    """What a page holds; of key 0 zeros."""
    return random.Random(key).randbytes(PAGE) if key else bytes(PAGE)


class Chunk:
    def __init__(self):
        self.address = fresh()
        self.keys = [0] * PAGES

    def at(self, page):
        return self.address + page * PAGE

    def write(self, page):
        self.keys[page] = random.randrange(1, 1 << 60)
        ctypes.memmove(self.at(page), content(self.keys[page]), PAGE)

    def is_right(self, page):
        return ctypes.string_at(self.at(page), PAGE) == content(self.keys[page])


def some(chunk, count=4):
    return random.sample(range(PAGES), count)


def all_right(chunk, count=4):
    return all(chunk.is_right(page) for page in some(chunk, count))


def reads(chunk):
    return all_right(chunk, 8)


def writes(chunk):
    for page in some(chunk, 8):
        chunk.write(page)
    return True


def child_is_content(check):
    child = os.fork()
    if child == 0:
        code = 2
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def forks(chunk):
    """A child reads and writes what it has from its parent, and forks again."""

    def check():
        chunk.write(some(chunk)[0])
        return all_right(chunk) and child_is_content(lambda: all_right(chunk))

    return child_is_content(check) and all_right(chunk)


def executes(chunk):
    return subprocess.run(["true"], check=False).returncode == 0 and all_right(chunk)


def unmaps(chunk):
    libc.munmap(chunk.address, SIZE)
    chunk.address, chunk.keys = fresh(), [0] * PAGES
    return all_right(chunk)


def moves(chunk):
    moved = libc.mremap(chunk.address, SIZE, SIZE, MAYMOVE | FIXED, fresh())
    if moved == FAILED:
        return os.strerror(ctypes.get_errno())
    chunk.address = moved
    return all_right(chunk)


def moves_in_parts(chunk):
    new = fresh()
    for first in range(0, PAGES, 16):
        part = chunk.at(first), 16 * PAGE, 16 * PAGE
        if libc.mremap(*part, MAYMOVE | FIXED, new + first * PAGE) == FAILED:
            return os.strerror(ctypes.get_errno())
    chunk.address = new
    return all_right(chunk)


def drops(chunk):
    libc.madvise(chunk.at(8), 8 * PAGE, DONTNEED)
    chunk.keys[8:16] = [0] * 8
    return all(chunk.is_right(page) for page in range(8, 16)) and all_right(chunk)


def frees(chunk):
    """The old content or zeros are right, as the kernel likes; what is written then stays."""
    libc.madvise(chunk.at(16), 4 * PAGE, FREE)
    for page in range(16, 20):
        if ctypes.string_at(chunk.at(page), PAGE) not in (bytes(PAGE), content(chunk.keys[page])):
            return False
        chunk.write(page)
    return all(chunk.is_right(page) for page in range(16, 20))


def protects(chunk):
    libc.mprotect(chunk.at(20), 8 * PAGE, 0)
    libc.mprotect(chunk.at(20), 4 * PAGE, READ)
    right = all(chunk.is_right(page) for page in range(20, 24))
    libc.mprotect(chunk.at(20), 8 * PAGE, READ | WRITE)
    return right and all(chunk.is_right(page) for page in range(20, 28))


def locks(chunk):
    if libc.mlock(chunk.at(28), 4 * PAGE):
        return os.strerror(ctypes.get_errno())
    right = all(chunk.is_right(page) for page in range(28, 32))
    libc.munlock(chunk.at(28), 4 * PAGE)
    return right


def writes_to_a_file(chunk):
    """System calls read and write pages that the process itself has not touched."""
    page, other = some(chunk, 2)
    with tempfile.TemporaryFile() as file:
        if libc.write(file.fileno(), chunk.at(page), PAGE) != PAGE:
            return os.strerror(ctypes.get_errno())
        if libc.pread(file.fileno(), chunk.at(other), PAGE, 0) != PAGE:
            return os.strerror(ctypes.get_errno())
    chunk.keys[other] = chunk.keys[page]
    return chunk.is_right(page) and chunk.is_right(other)


def is_read_by_another(chunk):
    """process_vm_readv(2) from a child, of memory of its parent's."""
    parent, pages = os.getpid(), some(chunk, 2)

    def check():
        buffer = ctypes.create_string_buffer(PAGE)
        here = struct.pack("QQ", ctypes.addressof(buffer), PAGE)
        for page in pages:
            there = struct.pack("QQ", chunk.at(page), PAGE)
            if libc.process_vm_readv(parent, here, 1, there, 1, 0) != PAGE:
                return False
            if buffer.raw != content(chunk.keys[page]):
                return False
        return True

    return child_is_content(check)


def looks_at_itself(chunk):
    """By /proc, where the kernel waits for no page: EIO, or what must be there."""
    page = some(chunk)[0]
    with open("/proc/self/mem", "rb", 0) as memory:
        memory.seek(chunk.at(page))
        try:
            return memory.read(PAGE) == content(chunk.keys[page])
        except OSError as error:
            return f"{error.strerror}, as said"


def begins_threads(chunk):
    found = []

    def deep(levels):
        return deep(levels - 1) if levels else all_right(chunk)

    threads = [threading.Thread(target=lambda: found.append(deep(200))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found == [True] * 4


def grows(chunk):
    """The heap, the stack, and memory that was never there before."""
    held = [bytearray(random.randrange(1 << 12, 1 << 20)) for _ in range(8)]
    return not any(map(any, held)) and all_right(chunk)


ALL = [
    *(reads, writes, forks, executes, unmaps, moves, moves_in_parts, drops, frees, protects, locks),
    *(writes_to_a_file, is_read_by_another, looks_at_itself, begins_threads, grows),
]


def main():
    sys.setrecursionlimit(5000)
    chunks = [Chunk() for _ in range(CHUNKS)]
    for chunk in chunks:
        for page in range(PAGES):
            chunk.write(page)
    done = {each.__name__: 0 for each in ALL}
    wrong, asked = [], []
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(True))
    said = slowest = 0.0
    while True:
        each, chunk = random.choice(ALL), random.choice(chunks)
        # Beside it, as fast as it can: else a move is over before there is anything to wait for.
        writes(random.choice(chunks))
        begun = time.monotonic()
        right = each(chunk)
        slowest = max(slowest, time.monotonic() - begun)
        done[each.__name__] += 1
        if right is not True:
            wrong.append(f"{each.__name__}: {right}")
        if asked:
            asked.clear()
            pages = [chunk.is_right(page) for chunk in chunks for page in range(PAGES)]
            print(json.dumps({"pages": len(pages), "right": sum(pages), "wrong": wrong[-20:]}), flush=True)
        if time.monotonic() > said + 1:
            said = time.monotonic()
            print(
                json.dumps({"done": done, "wrong": wrong[-20:], "slowest_ms": int(slowest * 1000)}),
                flush=True,
            )
            slowest = 0.0


main()
