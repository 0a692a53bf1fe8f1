#!/usr/bin/env python3
"""Marks the load generator without a pause; at the end it has all its pages checked."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from follow import Account, Follower, parser, run


def encode(op: str, value: float | None = None) -> bytes:
    return json.dumps({"op": op} if value is None else {"op": op, "value": value}).encode() + b"\n"


class LoadWire:
    def __init__(self) -> None:
        self.instance = ""

    def take_reply(self, received: bytearray) -> dict[str, Any] | None:
        line, found, _ = bytes(received).partition(b"\n")
        if not found:
            return None
        del received[: len(line) + 1]
        reply = json.loads(line)
        return reply if isinstance(reply, dict) else {}

    def question(self) -> bytes:
        return encode("status")

    def is_ours(self, reply: Any) -> bool:
        return bool(reply.get("instance")) and self.instance in ("", reply["instance"])


class LoadClient:
    name = "load"

    def __init__(self, options: argparse.Namespace, follower: Follower, account: Account) -> None:
        assert isinstance(follower.wire, LoadWire)
        self.wire = follower.wire
        self.follower = follower
        self.account = account
        self.rate: float | None = options.dirty_pages
        self.base = 0
        self.mark = 0
        self.dirtied = 0
        self.answers = 0

    def ask(self, request: bytes, silence: float | None = None) -> dict[str, Any]:
        (reply,) = self.follower.call(request, silence=silence)
        if reply.get("instance") != self.wire.instance:
            self.account.complain(f"answer of another instance: {reply!r}")
            return {}
        if reply["dirtied"] < self.dirtied:
            self.account.complain(f"{reply['dirtied']} pages dirtied after {self.dirtied}")
        if reply["answers"] <= self.answers:
            self.account.complain(f"answer {reply['answers']} after {self.answers}")
        self.dirtied, self.answers = reply["dirtied"], reply["answers"]
        return dict(reply)

    def start(self) -> None:
        request = self.wire.question() if self.rate is None else encode("rate", self.rate)
        (reply,) = self.follower.call(request)
        self.wire.instance = reply["instance"]
        self.mark, self.base = reply["mark"], reply["dirtied"]

    def step(self) -> None:
        before, self.mark = self.mark, self.mark + 1
        reply = self.ask(encode("mark", self.mark))
        if reply.get("mark") != self.mark:
            self.account.complain(f"mark {reply.get('mark')} after {before}")

    def verify(self) -> dict[str, Any]:
        reply = self.ask(self.wire.question())
        self.account.lost = max(0, self.mark - reply.get("mark", 0))
        dirtied = reply.get("dirtied", 0) - self.base
        checked = self.ask(encode("verify"), silence=60)
        wrong = checked.get("wrong_pages", -1)
        if wrong:
            self.account.complain(f"{wrong} wrong pages, first {checked.get('first_wrong')}")
        return {
            "pages": checked.get("pages"),
            "wrong_pages": wrong,
            "digest": checked.get("digest"),
            "pages_dirtied": dirtied,
        }


def main() -> int:
    options = parser(__doc__ or "")
    options.add_argument("--dirty-pages", type=float, help="set the service to this many per second")
    return run(LoadClient, LoadWire(), options.parse_args())


if __name__ == "__main__":
    sys.exit(main())
