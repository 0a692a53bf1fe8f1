"""Holds MEMORY_MIB of incompressible memory and writes to DIRTY_PAGES pages of it per second.

A write changes WRITE_BYTES bytes of its page, by default all of them: a record of a
table is less, a buffer is a page or more. The content of a page follows from the seed,
its number and its version, so the service can tell at any time which of its pages are
not what they must be. The
answer channel takes one JSON object per line and answers with one:

  {"op": "status"}                 counters, rate, instance
  {"op": "mark", "value": 7}       keeps 7, in memory only; answers like status
  {"op": "rate", "value": 2000}    pages per second from now on
  {"op": "verify"}                 checks every page: pages, wrong_pages, digest
"""

from __future__ import annotations

import array
import contextlib
import hashlib
import json
import mmap
import os
import random
import selectors
import socket
import time
from typing import Any

PAGE = mmap.PAGESIZE
TICK_SECONDS = 0.005
MAX_CATCH_UP_SECONDS = 0.05
VERIFY_PAGES_PER_TURN = 256


class PageStore:
    """The memory and the table that says what must be in it."""

    def __init__(self, mebibytes: int, seed: bytes, write_bytes: int = PAGE) -> None:
        self.write_bytes = write_bytes
        self.pages = mebibytes * 1024 * 1024 // PAGE
        self.seed = seed
        self.memory = mmap.mmap(-1, self.pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.versions = array.array("L", bytes(self.pages * array.array("L").itemsize))
        self.dirtied = 0
        for page in range(self.pages):
            self.memory[page * PAGE : (page + 1) * PAGE] = self.content(page)

    def record(self, page: int) -> tuple[int, bytes]:
        """Where in the page its writes go, and what the last one wrote."""
        key = b"%b/%d/%d" % (self.seed, page, self.versions[page])
        offset = page * 2654435761 % (PAGE - self.write_bytes + 1)
        return offset, hashlib.shake_128(key).digest(self.write_bytes)

    def content(self, page: int) -> bytes:
        content = bytearray(hashlib.shake_128(b"%b/%d" % (self.seed, page)).digest(PAGE))
        offset, record = self.record(page)
        content[offset : offset + len(record)] = record
        return bytes(content)

    def dirty(self, page: int) -> None:
        self.versions[page] += 1
        offset, record = self.record(page)
        at = page * PAGE + offset
        self.memory[at : at + len(record)] = record
        self.dirtied += 1

    def is_right(self, page: int) -> bool:
        return self.memory[page * PAGE : (page + 1) * PAGE] == self.content(page)

    def digest(self) -> str:
        return hashlib.sha256(self.seed + self.versions.tobytes()).hexdigest()


class Verification:
    """One pass over all pages, a slice at a time so that answers keep flowing.

    The table moves on meanwhile; a page and its version never do so apart.
    """

    def __init__(self, store: PageStore, connection: Connection) -> None:
        self.store = store
        self.connection = connection
        self.position = 0
        self.wrong: list[int] = []

    def step(self) -> bool:
        end = min(self.position + VERIFY_PAGES_PER_TURN, self.store.pages)
        for page in range(self.position, end):
            if not self.store.is_right(page):
                self.wrong.append(page)
        self.position = end
        return end == self.store.pages


class Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""

    def answer(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # its client went elsewhere
            self.sock.sendall(json.dumps(message).encode() + b"\n")


class LoadService:
    def __init__(self, store: PageStore, rate: float, port: int) -> None:
        self.store = store
        self.rate = rate
        self.mark = 0
        self.answers = 0
        self.instance = os.urandom(8).hex()
        self.owed = 0.0
        self.verifications: list[Verification] = []
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("0.0.0.0", port), backlog=128)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)

    def status(self) -> dict[str, Any]:
        return {
            "instance": self.instance,
            "answers": self.answers,
            "mark": self.mark,
            "dirtied": self.store.dirtied,
            "pages": self.store.pages,
            "rate": self.rate,
        }

    def handle(self, connection: Connection, request: dict[str, Any]) -> None:
        self.answers += 1
        op = request.get("op")
        if op == "verify":
            self.verifications.append(Verification(self.store, connection))
            return
        if op == "mark":
            self.mark = int(request["value"])
        elif op == "rate":
            self.rate = float(request["value"])
        elif op != "status":
            connection.answer({"error": f"unknown op {op!r}"})
            return
        connection.answer(self.status())

    def accept(self) -> None:
        sock, _ = self.listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(sock, selectors.EVENT_READ, Connection(sock))

    def read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(connection.sock)
            connection.sock.close()
            self.verifications = [v for v in self.verifications if v.connection is not connection]
            return
        *lines, connection.received = (connection.received + data).split(b"\n")
        for line in lines:
            try:
                self.handle(connection, json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                connection.answer({"error": str(error)})

    def serve(self, timeout: float) -> None:
        for key, _ in self.selector.select(timeout):
            if key.data is None:
                self.accept()
            else:
                self.read(key.data)
        for verification in self.verifications[:1]:
            if verification.step():
                self.verifications.remove(verification)
                verification.connection.answer(
                    {
                        **self.status(),
                        "wrong_pages": len(verification.wrong),
                        "first_wrong": verification.wrong[:20],
                        "digest": self.store.digest(),
                    }
                )

    @property
    def tick(self) -> float:
        """How long it waits: an idle service takes next to nothing of a slow processor."""
        due = 1 / self.rate if self.rate > 0 else MAX_CATCH_UP_SECONDS
        return min(max(due, TICK_SECONDS), MAX_CATCH_UP_SECONDS)

    def run(self) -> None:
        last = time.monotonic()
        while True:
            self.serve(0 if self.verifications else self.tick)
            now = time.monotonic()
            # A frozen process must not make up for the time that it missed.
            self.owed += self.rate * min(now - last, MAX_CATCH_UP_SECONDS)
            last = now
            for _ in range(int(self.owed)):
                self.store.dirty(random.randrange(self.store.pages))
            self.owed -= int(self.owed)


def main() -> None:
    mebibytes = int(os.environ.get("MEMORY_MIB", "64"))
    rate = float(os.environ.get("DIRTY_PAGES", "100"))
    write_bytes = int(os.environ.get("WRITE_BYTES", str(PAGE)))
    store = PageStore(mebibytes, os.urandom(16), write_bytes)
    LoadService(store, rate, int(os.environ.get("PORT", "9090"))).run()


if __name__ == "__main__":
    main()
