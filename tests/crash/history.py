"""Clients that write unique values to a register and an append log in Redis, and what is legal for them.

Every value is written once and never again, so linearizability can be decided exactly and fast: a register's
by the zones of its values (Gibbons and Korach, "Testing shared memories", 1997), a log's because the order of
its entries is seen.
"""

from __future__ import annotations

import itertools
import math
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

NEVER = math.inf
# A server that is frozen takes connections, and does not answer.
ANSWER_TIMEOUT_S = 1.0


class Op(NamedTuple):
    """One operation of a client.

    :ivar ended: :data:`NEVER` if no answer came: it may have had its effect, or may have it later.
    :ivar result: what was read; of an append, the number of entries after it.
    """

    kind: str
    value: str
    began: float
    ended: float
    result: Any = None


def register_faults(ops: Iterable[Op], initial: str = "") -> list[str]:
    """Why the writes and reads of one register are not linearizable; empty if they are."""
    writes = {op.value: op for op in ops if op.kind == "write"}
    reads = [op for op in ops if op.kind == "read" and op.ended != NEVER]
    faults = []
    seen: dict[str, list[Op]] = {}
    for read in reads:
        if read.result != initial and read.result not in writes:
            faults.append(f"{read.result!r} was read, and nobody wrote it")
        elif read.result != initial and read.ended < writes[read.result].began:
            faults.append(f"{read.result!r} was read before it was written")
        seen.setdefault(read.result, []).append(read)
    # The zone of a value: from the first end to the last beginning of what wrote or read it. If the end comes
    # first, the register certainly had the value all that time.
    zones = []
    for value in {*seen, *(v for v, op in writes.items() if op.ended != NEVER), initial}:
        # That it is there from the start is a write before all others.
        of_value = [writes[value]] if value in writes else [Op("write", value, -NEVER, -NEVER)]
        of_value += seen.get(value, [])
        zones.append((min(op.ended for op in of_value), max(op.began for op in of_value), value))
    forward = sorted(zone for zone in zones if zone[0] < zone[1])
    for (_, end, one), (start, _, other) in zip(forward, forward[1:]):
        if start < end:
            faults.append(f"the register had {one!r} and {other!r} at the same time")
    for end, start, value in zones:
        if start <= end:
            faults += [
                f"{value!r} was written and read while the register had {other!r}"
                for low, high, other in forward
                if low < start and end < high
            ]
    return faults


def log_faults(ops: Iterable[Op], final: list[str]) -> list[str]:
    """Why the appends and reads of one log, of which *final* is left, are not linearizable."""
    faults = []
    where = {value: number for number, value in enumerate(final)}
    appends = {op.value: op for op in ops if op.kind == "append"}
    if len(where) != len(final):
        faults.append(f"{len(final) - len(where)} entries are in the log twice")
    faults += [f"{value!r} is in the log, and nobody appended it" for value in where if value not in appends]
    lost = [value for value, op in appends.items() if op.ended != NEVER and value not in where]
    if lost:
        faults.append(f"{len(lost)} acknowledged entries are lost: {', '.join(lost[:3])}")
    for value, op in appends.items():
        if op.ended != NEVER and value in where and op.result != where[value] + 1:
            faults.append(f"{value!r} was acknowledged as entry {op.result}, and is {where[value] + 1}")
    # In the log's order no operation may have ended before one that comes earlier began. A read of the length
    # lies after the entry of that number.
    placed = [(where[value], 0, op) for value, op in appends.items() if value in where]
    placed += [(op.result - 1, 1, op) for op in ops if op.kind == "length" and op.ended != NEVER]
    placed.sort(key=lambda one: (one[0], one[1], one[2].began))
    latest, latest_op = -NEVER, None
    for _, _, op in placed:
        if op.ended < latest and latest_op is not None:
            faults.append(f"{op.kind} {op.value or op.result} ended before {latest_op.value} began")
        if op.began > latest:
            latest, latest_op = op.began, op
    longest = max((op.result for op in ops if op.kind == "length" and op.ended != NEVER), default=0)
    if longest > len(final):
        faults.append(f"the log had {longest} entries, and {len(final)} are left")
    return faults


class Connection:
    """To whichever of the addresses has a Redis that answers. Says so by OSError if none does."""

    def __init__(self, addresses: list[tuple[str, int]]) -> None:
        self._addresses = itertools.cycle(addresses)
        self._socket: socket.socket | None = None
        self._file: Any = None

    def ask(self, *words: str) -> Any:
        if self._socket is None:
            self._socket = socket.create_connection(next(self._addresses), timeout=ANSWER_TIMEOUT_S)
            self._file = self._socket.makefile("rb")
        packed = b"*%d\r\n" % len(words)
        for word in words:
            packed += b"$%d\r\n%b\r\n" % (len(word), word.encode())
        try:
            self._socket.sendall(packed)
            return self._answer()
        except (OSError, ValueError):
            self.close()
            raise

    def _answer(self) -> Any:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the connection was cut")
        kind, text = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise OSError(text)
        if kind == b"$":
            if text == "-1":
                return ""
            return self._file.read(int(text) + 2)[:-2].decode()
        if kind == b"*":
            return [self._answer() for _ in range(int(text))]
        return int(text) if kind == b":" else text

    def close(self) -> None:
        if self._socket is not None:
            self._file.close()
            self._socket.close()
            self._socket = None


class Clients:
    """Some clients on one register and one log, until :meth:`stop`."""

    def __init__(
        self, addresses: list[tuple[str, int]], name: str, number: int = 3, period_s: float = 0.015
    ) -> None:
        self._addresses, self._name, self._period_s = addresses, name, period_s
        self.ops: list[Op] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(one,), daemon=True) for one in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        # Each begins with another host.
        first = number % len(self._addresses)
        connection = Connection(self._addresses[first:] + self._addresses[:first])
        for count in itertools.count():
            if self._stop.wait(self._period_s):
                connection.close()
                return
            value = f"{number}.{count}"
            kind, words = (
                ("write", ("SET", f"register:{self._name}", value)),
                ("read", ("GET", f"register:{self._name}")),
                ("append", ("RPUSH", f"log:{self._name}", value)),
                ("length", ("LLEN", f"log:{self._name}")),
            )[(count + number) % 4]
            began = time.monotonic()
            try:
                result = connection.ask(*words)
                ended = time.monotonic()
            except OSError:
                result, ended = None, NEVER
            self.ops.append(Op(kind, value if kind in ("write", "append") else "", began, ended, result))

    @property
    def answered(self) -> int:
        return sum(op.ended != NEVER for op in list(self.ops))

    def give_up(self) -> None:
        """Ask no more, whatever the service does."""
        self._stop.set()

    def stop(self, patience_s: float = 20.0) -> list[str]:
        """Read the log back from where the service is now; returns what is not as it must be."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        connection = Connection(self._addresses)
        end = time.monotonic() + patience_s
        while True:
            try:
                final = connection.ask("LRANGE", f"log:{self._name}", "0", "-1")
                began = time.monotonic()
                last = connection.ask("GET", f"register:{self._name}")
                self.ops.append(Op("read", "", began, time.monotonic(), last))
                connection.ask("DEL", f"log:{self._name}", f"register:{self._name}")
                break
            except OSError as error:
                if time.monotonic() > end:
                    return [f"the service answers nowhere: {error}"]
                time.sleep(0.05)
        connection.close()
        return register_faults(self.ops) + log_faults(self.ops, final)
