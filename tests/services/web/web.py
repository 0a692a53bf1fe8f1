"""An HTTP service of several processes, with a thread per connection, whose state lives in memory alone.

  PUT /slot/N      stores the body (up to 48 bytes) in slot N, shared by all workers
  GET /slot/N      answers with it
  GET /status      answers like PUT
  GET /ballast     digest of SHARED_MIB (0 by default) of incompressible shared memory

Every answer carries the number of writes ever taken (shared memory, guarded by a
token in a pipe), the worker that served it and how many requests that worker has
served (its private memory).
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOT = 64
SLOTS = 65536
HEADER = 64


class SharedState:
    """A counter and fixed slots that all workers see."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, HEADER + SLOTS * SLOT)  # MAP_SHARED
        self.token_out, self.token_in = os.pipe()
        os.write(self.token_in, b"t")
        self.instance = os.urandom(8).hex()
        self.ballast = mmap.mmap(-1, int(os.environ.get("SHARED_MIB", "0")) * 1048576 + 1)
        self.ballast[:] = os.urandom(len(self.ballast))

    def store(self, slot: int, value: bytes) -> int:
        at = HEADER + slot * SLOT
        os.read(self.token_out, 1)
        try:
            total = int.from_bytes(self.memory[:8], "little") + 1
            self.memory[:8] = total.to_bytes(8, "little")
            self.memory[at : at + SLOT] = bytes([len(value)]) + value.ljust(SLOT - 1, b"\0")
        finally:
            os.write(self.token_in, b"t")
        return total

    def load(self, slot: int) -> tuple[int, bytes]:
        at = HEADER + slot * SLOT
        os.read(self.token_out, 1)
        try:
            total = int.from_bytes(self.memory[:8], "little")
            cell = self.memory[at : at + SLOT]
        finally:
            os.write(self.token_in, b"t")
        return total, cell[1 : 1 + cell[0]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: SharedState
    worker: int
    served = 0
    served_lock = threading.Lock()

    def answer(self, code: int, body: dict[str, object]) -> None:
        payload = json.dumps(body).encode()
        head = f"HTTP/1.1 {code} {'OK' if code == 200 else 'Not Found'}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        self.wfile.write(head.encode() + payload)  # one segment: no delayed acknowledgement

    def respond(self, value: bytes | None = None) -> None:
        with self.served_lock:
            Handler.served += 1
            common: dict[str, object] = {
                "instance": self.state.instance,
                "worker": self.worker,
                "served": Handler.served,
            }
        kind, _, number = self.path.strip("/").partition("/")
        if kind == "status":
            self.answer(200, {**common, "total": self.state.load(0)[0]})
        elif kind == "ballast":
            self.answer(200, {**common, "digest": hashlib.sha256(self.state.ballast).hexdigest()})
        elif kind != "slot" or not number.isdigit() or int(number) >= SLOTS:
            self.answer(404, common)
        elif value is not None:
            self.answer(200, {**common, "total": self.state.store(int(number), value)})
        else:
            total, stored = self.state.load(int(number))
            self.answer(200, {**common, "total": total, "value": stored.decode()})

    def do_GET(self) -> None:
        self.respond()

    def do_PUT(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        self.respond(self.rfile.read(length)[: SLOT - 16])

    def log_message(self, format: str, *args: object) -> None:
        pass


class Worker(ThreadingHTTPServer):
    """Serves on a listening socket that its parent opened."""

    def __init__(self, listener: socket.socket, state: SharedState, number: int) -> None:
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        Handler.state = state
        Handler.worker = number


def main() -> None:
    state = SharedState()
    listener = socket.create_server(("0.0.0.0", int(os.environ.get("PORT", "8080"))), backlog=128)
    workers = []
    for number in range(int(os.environ.get("WORKERS", "4"))):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            Worker(listener, state, number).serve_forever()
        workers.append(child)

    def stop(*_: object) -> None:
        for worker in workers:
            os.kill(worker, signal.SIGTERM)
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    # A worker that dies takes its counters along: better no service than a wrong one.
    os.wait()
    stop()


if __name__ == "__main__":
    main()
