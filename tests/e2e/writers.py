"""Clients of real services: each writes numbers, keeps those that were acknowledged, and reads all back."""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol

TIMEOUT_S = 2.0


class Session(Protocol):
    """A connection to a service."""

    def write(self, number: int) -> None:
        """Returns when the service has acknowledged *number*."""

    def read_all(self, written: list[int]) -> set[int]:
        """Which of *written* are there."""

    def close(self) -> None: ...


Connect = Callable[[str, int], Session]


class Http:
    """Of the programs in tests/services/real: PUT /NUMBER, GET /."""

    def __init__(self, address: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT_S)
        # Not only with the first request: whoever looks for the service asks another address then.
        self._connection.connect()

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        self._connection.request(method, path, body, headers or {})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status not in (200, 204):
            raise OSError(f"{method} {path}: {answer.status}")
        return content

    def write(self, number: int) -> None:
        if self._ask("PUT", f"/{number}") != b"kept":
            raise AssertionError(f"another answer to {number}")

    def read_all(self, written: list[int]) -> set[int]:
        return set(map(int, self._ask("GET", "/").split()))

    def close(self) -> None:
        self._connection.close()


class Echo(Http):
    """Of servers that keep nothing: the answer is the path that was asked for."""

    def write(self, number: int) -> None:
        answer = self._ask("GET", f"/{number}")
        if answer != b"/%d" % number:
            raise AssertionError(f"/{number} was answered with {answer!r}")

    def read_all(self, written: list[int]) -> set[int]:
        return set(written)


class Etcd(Http):
    """etcd's gateway from JSON to its own protocol."""

    def write(self, number: int) -> None:
        pair = {"key": base64.b64encode(b"%08d" % number).decode(), "value": "eA=="}
        self._ask("POST", "/v3/kv/put", json.dumps(pair).encode())

    def read_all(self, written: list[int]) -> set[int]:
        everything = {"key": "MA==", "range_end": "OQ==", "keys_only": True}
        answer = json.loads(self._ask("POST", "/v3/kv/range", json.dumps(everything).encode()))
        return {int(base64.b64decode(pair["key"])) for pair in answer.get("kvs", [])}


class Prometheus(Http):
    """Samples of one series, by remote write; each number is a millisecond later than the one before."""

    started_ms = int(time.time() * 1000)
    headers: ClassVar[dict[str, str]] = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }

    def write(self, number: int) -> None:
        label = _field(1, b"__name__") + _field(2, b"numbers")
        # A double, and an integer.
        sample = b"\x09" + struct.pack("<d", number) + b"\x10" + _varint(self.started_ms + number)
        request = _field(1, _field(1, label) + _field(2, sample))
        # Snappy: the length, then one piece of literal text.
        packed = _varint(len(request)) + bytes([60 << 2, len(request) - 1]) + request
        self._ask("POST", "/api/v1/write", packed, self.headers)

    def read_all(self, written: list[int]) -> set[int]:
        now_s = self.started_ms / 1000 + 3600
        answer = json.loads(self._ask("GET", f"/api/v1/query?query=numbers%5B2h%5D&time={now_s}"))
        (series,) = answer["data"]["result"]
        return {int(value) for _time, value in series["values"]}


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


class Mqtt:
    """Retained messages with acknowledgement (MQTT 3.1.1, quality of service 1)."""

    def __init__(self, address: str, port: int) -> None:
        self._socket = socket.create_connection((address, port), timeout=TIMEOUT_S)
        self._send(0x10, b"\0\4MQTT\4\2\0\x3c\0\0")
        if self._receive() != (0x20, b"\0\0"):
            raise ConnectionError("the broker refused the connection")

    def _send(self, kind: int, body: bytes) -> None:
        self._socket.sendall(bytes([kind]) + _varint(len(body)) + body)

    def _take(self, size: int) -> bytes:
        taken = b""
        while len(taken) < size:
            more = self._socket.recv(size - len(taken))
            if not more:
                raise ConnectionError("the broker hung up")
            taken += more
        return taken

    def _receive(self) -> tuple[int, bytes]:
        kind = self._take(1)[0]
        size = shift = 0
        while (byte := self._take(1)[0]) > 127:
            size |= (byte & 127) << shift
            shift += 7
        return kind, self._take(size | byte << shift)

    def write(self, number: int) -> None:
        topic, mark = b"numbers/%d" % number, struct.pack(">H", number % 65535 + 1)
        self._send(0x33, struct.pack(">H", len(topic)) + topic + mark + b"x")
        if self._receive() != (0x40, mark):
            raise AssertionError(f"another answer to {number}")

    def read_all(self, written: list[int]) -> set[int]:
        self._send(0x82, b"\0\1" + struct.pack(">H", 9) + b"numbers/#" + b"\0")
        found: set[int] = set()
        with contextlib.suppress(TimeoutError):
            while not found.issuperset(written):
                kind, body = self._receive()
                if kind >> 4 == 3:
                    (size,) = struct.unpack_from(">H", body)
                    found.add(int(body[2 : 2 + size].rpartition(b"/")[2]))
        return found

    def close(self) -> None:
        self._socket.close()


class Lines:
    """Protocols of lines over TCP."""

    def __init__(self, address: str, port: int) -> None:
        self._socket = socket.create_connection((address, port), timeout=TIMEOUT_S)
        self._stream = self._socket.makefile("rwb")

    def _ask(self, line: bytes) -> bytes:
        self._stream.write(line)
        self._stream.flush()
        answer = self._stream.readline()
        if not answer:
            raise ConnectionError("the service hung up")
        return answer.rstrip()

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


class Valkey(Lines):
    def write(self, number: int) -> None:
        if self._ask(b"SET n%d x\r\n" % number) != b"+OK":
            raise AssertionError(f"another answer to {number}")

    def read_all(self, written: list[int]) -> set[int]:
        return {number for number in written if self._ask(b"EXISTS n%d\r\n" % number) == b":1"}


class ValkeySaving(Valkey):
    """Forks a child that writes all to disk again and again."""

    def write(self, number: int) -> None:
        super().write(number)
        if number % 50 == 0:
            self._ask(b"BGSAVE\r\n")


class Memcached(Lines):
    def write(self, number: int) -> None:
        if self._ask(b"set n%d 0 0 1\r\nx\r\n" % number) != b"STORED":
            raise AssertionError(f"another answer to {number}")

    def read_all(self, written: list[int]) -> set[int]:
        found = set()
        for number in written:
            if self._ask(b"get n%d\r\n" % number).startswith(b"VALUE"):
                found.add(number)
                self._stream.readline()
                self._stream.readline()
        return found


class Sql:
    """A table of numbers; *connection* as PEP 249 has it."""

    table = "numbers"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def _run(self, statement: str) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(statement)
        return cursor

    def prepare(self) -> None:
        self._run(f"CREATE TABLE IF NOT EXISTS {self.table} (number INTEGER PRIMARY KEY)")
        self._connection.commit()

    def write(self, number: int) -> None:
        try:
            self._run(f"INSERT INTO {self.table} (number) VALUES ({number})")
            self._connection.commit()
        except Exception as error:
            if "uplicate" not in str(error):
                raise OSError(str(error)) from error
            # The write before the connection broke, whose answer was lost.

    def read_all(self, written: list[int]) -> set[int]:
        return {row[0] for row in self._run(f"SELECT number FROM {self.table}").fetchall()}

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.close()


def postgresql(address: str, port: int, kind: Callable[[Any], Sql] = Sql) -> Session:
    import pg8000.dbapi

    try:
        session = kind(
            pg8000.dbapi.connect("postgres", host=address, port=port, password="x", timeout=TIMEOUT_S)
        )
        session.prepare()
    except Exception as error:
        raise OSError(str(error)) from error
    return session


def mariadb(address: str, port: int) -> Session:
    import pymysql

    try:
        connection = pymysql.connect(
            host=address, port=port, user="mover", password="x", database="test", read_timeout=TIMEOUT_S
        )
        session = Sql(connection)
        session.prepare()
    except Exception as error:
        raise OSError(str(error)) from error
    return session


class RabbitMq:
    """A durable queue, with confirmation of each message."""

    def __init__(self, address: str, port: int) -> None:
        import pika

        # Nothing else of this library limits the wait for a confirmation.
        parameters = pika.ConnectionParameters(address, port, socket_timeout=TIMEOUT_S, heartbeat=4)
        try:
            self._connection = pika.BlockingConnection(parameters)
            self._channel = self._connection.channel()
            self._channel.queue_declare("numbers", durable=True)
            self._channel.confirm_delivery()
        except pika.exceptions.AMQPError as error:
            raise OSError(repr(error)) from error

    def write(self, number: int) -> None:
        import pika

        try:
            self._channel.basic_publish("", "numbers", b"%d" % number, mandatory=True)
        except pika.exceptions.AMQPError as error:
            raise OSError(repr(error)) from error

    def read_all(self, written: list[int]) -> set[int]:
        found = set()
        while (message := self._channel.basic_get("numbers", auto_ack=True))[0] is not None:
            found.add(int(message[2]))
        return found

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.close()


class Account(NamedTuple):
    acknowledged: int
    lost: list[int]
    longest_gap_ms: float


class Writer:
    """Writes to whichever of two hosts answers, until it is stopped."""

    def __init__(self, connect: Connect, endpoints: list[tuple[str, int]], period_s: float = 0.003) -> None:
        self._connect, self._endpoints, self._period_s = connect, endpoints, period_s
        self._next = itertools.cycle(endpoints)
        self._stop = threading.Event()
        self._written: list[int] = []
        self._longest_s = 0.0
        self._error: BaseException | None = None
        self._session = self._find()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def acknowledged(self) -> int:
        """How many writes. :raises: what ended the writer, if something has."""
        if self._error is not None:
            raise self._error
        return len(self._written)

    def _find(self, give_up_s: float = 120.0) -> Session:
        """At the address after the one that was tried last."""
        end = time.monotonic() + give_up_s
        for address, port in self._next:
            try:
                return self._connect(address, port)
            except OSError:
                assert time.monotonic() < end, f"no answer from {self._endpoints}"
                time.sleep(0.01)
        raise AssertionError("no endpoints")

    def _run(self) -> None:
        try:
            last = time.monotonic()
            for number in itertools.count():
                while not self._stop.is_set():
                    try:
                        self._session.write(number)
                    except (OSError, http.client.HTTPException):
                        self._session.close()
                        self._session = self._find()
                        continue
                    now = time.monotonic()
                    self._longest_s = max(self._longest_s, now - last)
                    last = now
                    self._written.append(number)
                    break
                if self._stop.wait(self._period_s):
                    return
        except BaseException as error:
            self._error = error

    def give_up(self) -> None:
        """Write no more, whatever the service does."""
        self._stop.set()

    def stop(self) -> Account:
        """Read all back from where the service is now."""
        self._stop.set()
        self._thread.join(60)
        if self._error is not None:
            raise self._error
        there = self._read_back()
        return Account(len(self._written), sorted(set(self._written) - there), self._longest_s * 1000)

    def _read_back(self, give_up_s: float = 60.0) -> set[int]:
        """On a new connection, and on another one where that breaks."""
        end = time.monotonic() + give_up_s
        while True:
            self._session.close()
            self._session = self._find()
            try:
                return self._session.read_all(self._written)
            except OSError:
                assert time.monotonic() < end, f"no account from {self._endpoints}"
            finally:
                self._session.close()
