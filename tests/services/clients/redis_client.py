#!/usr/bin/env python3
"""Writes to Redis without a pause, reads every write back, and follows it around."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Callable
from typing import Any

from follow import Account, Follower, parser, run

BULK = 64 * 1024
KEYS = 50_000


class RedisError(str):
    __slots__ = ()


def encode(*words: str | bytes) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word.encode() if isinstance(word, str) else word
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


NIL = object()
SIMPLE: dict[bytes, Callable[[str], Any]] = {b"+": str, b"-": RedisError, b":": int}


def parse(data: bytearray, at: int) -> tuple[Any, int] | None:
    """A RESP value and where it ends; None while it is incomplete."""
    end = data.find(b"\r\n", at)
    if end < 0:
        return None
    kind, text = bytes(data[at : at + 1]), bytes(data[at + 1 : end])
    at = end + 2
    if kind in SIMPLE:
        return SIMPLE[kind](text.decode()), at
    length = int(text)
    if length < 0:
        return NIL, at
    if kind == b"$":
        whole = len(data) >= at + length + 2
        return (bytes(data[at : at + length]), at + length + 2) if whole else None
    values = []
    for _ in range(length):
        item = parse(data, at)
        if item is None:
            return None
        values.append(item[0])
        at = item[1]
    return values, at


class RedisWire:
    """Knows the service again by the counter that this run keeps in it."""

    def __init__(self) -> None:
        self.run = os.urandom(4).hex()
        self.started = False

    def take_reply(self, received: bytearray) -> Any | None:
        parsed = parse(received, 0)
        if parsed is None:
            return None
        del received[: parsed[1]]
        return parsed[0]

    def question(self) -> bytes:
        return encode("GET", f"{self.run}:counter") if self.started else encode("PING")

    def is_ours(self, reply: Any) -> bool:
        return isinstance(reply, bytes) if self.started else reply == "PONG"


class RedisClient:
    name = "redis"

    def __init__(self, options: argparse.Namespace, follower: Follower, account: Account) -> None:
        assert isinstance(follower.wire, RedisWire)
        self.wire = follower.wire
        self.follower = follower
        self.account = account
        self.bulks = options.preload_mib * 1024 * 1024 // BULK
        self.written: dict[str, bytes] = {}
        self.number = 0
        self.counter = 0
        self.process = ""

    def bulk(self, index: int) -> bytes:
        return hashlib.shake_128(f"{self.wire.run}/{index}".encode()).digest(BULK)

    def process_id(self) -> str:
        """Redis draws it at its start: another one means another process."""
        (info,) = self.follower.call(encode("INFO", "server"), silence=1)
        for line in info.decode().splitlines() if isinstance(info, bytes) else []:
            if line.startswith("run_id:"):
                return str(line[len("run_id:") :])
        return ""

    def start(self) -> None:
        self.process = self.process_id()
        for index in range(self.bulks):
            request = encode("SET", f"{self.wire.run}:bulk:{index}", self.bulk(index))
            (reply,) = self.follower.call(request, silence=10)
            if reply != "OK":
                self.account.complain(f"bulk {index}: {reply!r}")
        self.follower.call(encode("SET", f"{self.wire.run}:counter", "0"))
        self.wire.started = True

    def step(self) -> None:
        self.number += 1
        key = f"{self.wire.run}:{self.number % KEYS}"
        value = b"%d %b" % (self.number, os.urandom(8).hex().encode())
        request = encode("SET", key, value) + encode("INCR", f"{self.wire.run}:counter") + encode("GET", key)
        stored, counter, back = self.follower.call(request, replies=3)
        if stored != "OK" or back != value:
            self.account.complain(f"write {self.number}: {stored!r}, read back {back!r}")
        if not isinstance(counter, int) or counter <= self.counter:
            self.account.complain(f"counter {counter!r} after {self.counter}")
        else:
            self.counter = counter
        self.written[key] = value

    def verify(self) -> dict[str, Any]:
        lost = 0
        keys = list(self.written)
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            (values,) = self.follower.call(encode("MGET", *some), silence=5)
            lost += sum(value != self.written[key] for key, value in zip(some, values, strict=True))
        wrong_bulks = 0
        for index in range(self.bulks):
            request = encode("GET", f"{self.wire.run}:bulk:{index}")
            wrong_bulks += self.follower.call(request, silence=10) != [self.bulk(index)]
        self.account.lost = lost + wrong_bulks
        return {
            "preloaded_values": self.bulks,
            "wrong_preloaded_values": wrong_bulks,
            "counter": self.counter,
            "same_process": self.process_id() == self.process,
        }


def main() -> int:
    options = parser(__doc__ or "")
    options.add_argument("--preload-mib", type=int, default=0, help="of incompressible values")
    return run(RedisClient, RedisWire(), options.parse_args())


if __name__ == "__main__":
    sys.exit(main())
