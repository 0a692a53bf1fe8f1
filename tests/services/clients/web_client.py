#!/usr/bin/env python3
"""Writes to the HTTP service without a pause and checks the counters of all its processes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from follow import Account, Follower, parser, run

SLOTS = 2048
REQUESTS_PER_CONNECTION = 50


def encode(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: demo\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class WebWire:
    def __init__(self) -> None:
        self.instance = ""

    def take_reply(self, received: bytearray) -> dict[str, Any] | None:
        head, found, _ = bytes(received).partition(b"\r\n\r\n")
        if not found:
            return None
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        end = len(head) + 4 + length
        if len(received) < end:
            return None
        body = bytes(received[len(head) + 4 : end])
        del received[:end]
        try:
            reply = json.loads(body)
        except ValueError:
            reply = {}
        return reply if isinstance(reply, dict) else {}

    def question(self) -> bytes:
        return encode("GET", "/status")

    def is_ours(self, reply: Any) -> bool:
        return bool(reply.get("instance")) and self.instance in ("", reply["instance"])


class WebClient:
    name = "web"

    def __init__(self, options: argparse.Namespace, follower: Follower, account: Account) -> None:
        assert isinstance(follower.wire, WebWire)
        self.wire = follower.wire
        self.follower = follower
        self.account = account
        self.written: dict[int, str] = {}
        self.number = 0
        self.total = 0
        self.served: dict[int, int] = {}

    def ask(self, request: bytes) -> dict[str, Any]:
        (reply,) = self.follower.call(request)
        if reply.get("instance") != self.wire.instance:
            self.account.complain(f"answer of another instance: {reply!r}")
            return {}
        worker, served = reply["worker"], reply["served"]
        if served <= self.served.get(worker, 0):
            self.account.complain(f"worker {worker} served {served} after {self.served[worker]}")
        self.served[worker] = served
        return dict(reply)

    def start(self) -> None:
        (reply,) = self.follower.call(self.wire.question())
        self.wire.instance = reply["instance"]
        self.total = reply["total"]

    def step(self) -> None:
        self.number += 1
        if self.number % REQUESTS_PER_CONNECTION == 0:
            self.follower.reconnect()  # so that every worker has its turn
        slot = self.number % SLOTS
        value = f"{self.number} {os.urandom(8).hex()}"
        reply = self.ask(encode("PUT", f"/slot/{slot}", value.encode()))
        if reply.get("total", 0) <= self.total:
            self.account.complain(f"total {reply.get('total')} after {self.total}")
        else:
            self.total = reply["total"]
        self.written[slot] = value
        if self.number % 8 == 0:
            self.check(self.number * 7 % SLOTS)

    def check(self, slot: int) -> bool:
        expected = self.written.get(slot)
        if expected is None:
            return True
        value = self.ask(encode("GET", f"/slot/{slot}")).get("value")
        if value != expected:
            self.account.complain(f"slot {slot} holds {value!r}, not {expected!r}")
        return bool(value == expected)

    def verify(self) -> dict[str, Any]:
        self.account.lost = sum(not self.check(slot) for slot in self.written)
        return {"total": self.total, "workers": {str(k): v for k, v in sorted(self.served.items())}}


def main() -> int:
    return run(WebClient, WebWire(), parser(__doc__ or "").parse_args())


if __name__ == "__main__":
    sys.exit(main())
