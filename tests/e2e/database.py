"""A service that writes to large files in every way, and looks on SIGUSR1 whether all is in them.

Each writer knows of each page of its file what it wrote to it last.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import sys
import time

PAGE = 4096
PAGES = 8192
PAGE_CONTENT = struct.Struct("<QQ")


def content(page, turn):
    return PAGE_CONTENT.pack(page, turn) * (PAGE // PAGE_CONTENT.size)


class File:
    """Pages that are written at random, by write(2)."""

    def __init__(self, directory):
        self.fd = os.open(f"{directory}/{type(self).__name__}", os.O_RDWR | os.O_CREAT, 0o600)
        self.written = {}
        self.fill()

    def fill(self, turn=1):
        self.written = dict.fromkeys(range(PAGES), turn)
        for first in range(0, PAGES, 256):
            block = b"".join(content(page, turn) for page in range(first, first + 256))
            os.pwrite(self.fd, block, first * PAGE)

    def turn(self, number):
        page = random.randrange(PAGES)
        self.put(page, content(page, number))
        self.written[page] = number

    def put(self, page, data):
        os.pwrite(self.fd, data, page * PAGE)

    def wrong(self):
        """How many pages are not what was written to them."""
        wrong = sum(self.page(page) != content(page, turn) for page, turn in self.written.items())
        return wrong + (os.fstat(self.fd).st_size != PAGE * (max(self.written) + 1))

    def page(self, page):
        return os.pread(self.fd, PAGE, page * PAGE)


class Layer(File):
    """In the container's own layer."""

    def __init__(self, _directory):
        super().__init__("/var/tmp")


class Mapped(File):
    """Pages that are written through memory."""

    def fill(self, turn=1):
        super().fill(turn)
        self.memory = mmap.mmap(self.fd, PAGES * PAGE)

    def put(self, page, data):
        self.memory[page * PAGE : (page + 1) * PAGE] = data


class Direct(File):
    """Pages that are written past the page cache."""

    def fill(self, turn=1):
        super().fill(turn)
        self.direct = os.open(f"/proc/self/fd/{self.fd}", os.O_RDWR | os.O_DIRECT)
        self.aligned = mmap.mmap(-1, PAGE)

    def put(self, page, data):
        self.aligned[:] = data
        with memoryview(self.aligned) as view:
            os.pwritev(self.direct, [view], page * PAGE)


class Log(File):
    """What is appended is on the disk before it goes on."""

    def turn(self, number):
        page = len(self.written)
        self.put(page, content(page, number))
        self.written[page] = number
        os.fdatasync(self.fd)


class Sparse(Direct):
    """A tenth is there when it begins, the rest are holes, which are filled past the page cache."""

    def fill(self, turn=1):
        super().fill(turn)
        os.ftruncate(self.fd, 0)
        self.written = dict.fromkeys([*random.sample(range(PAGES), PAGES // 10), PAGES - 1], turn)
        for page in self.written:
            self.put(page, content(page, turn))

    def wrong(self):
        filled = sum(any(self.page(page)) for page in range(PAGES))
        return super().wrong() + (filled != len(self.written))


class Rewritten(File):
    """Truncated and written anew, time and again."""

    def turn(self, number):
        if number % 100 == 0:
            os.ftruncate(self.fd, 0)
            self.fill(number)


def main():
    files = [kind("/data") for kind in (File, Layer, Mapped, Direct, Log, Sparse, Rewritten)]
    asked = []
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(True))
    print("writes", flush=True)
    number = 0
    while True:
        number += 1
        for file in files:
            file.turn(number)
        if asked:
            asked.clear()
            print(json.dumps({type(file).__name__: file.wrong() for file in files}), flush=True)
        time.sleep(0.01)


sys.exit(main())
