"""Damaged messages: each is one of our errors, or is a message; never anything else, and never slow."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket

from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError, TransferError
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import (
    PAGE_BYTES,
    Range,
    RangeSet,
    Run,
    pack_runs,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel.processes import start_time
from ansible_collections.mec.migration.plugins.module_utils.memory.target import MemoryTarget
from ansible_collections.mec.migration.plugins.module_utils.source.page_server import LeftPages, PageServer
from ansible_collections.mec.migration.plugins.module_utils.transport.wire import PREFIX, Channel, Message

from .damage import damaged_bytes, damaged_value, in_time, trials


def frame(fields, body=b""):
    header = json.dumps(fields).encode()
    return PREFIX.pack(len(header), len(body)) + header + body


VALID_FRAMES = (
    frame({"kind": "hello", "n": 1, "migration_id": "redis-1", "zstd_ok": True}),
    frame({"kind": "memory.pages", "process": 7, "runs": [16, 3]}, bytes(PAGE_BYTES)),
    frame({"kind": "ok", "to": 3, "state": "running", "figures": {"restore_ms": 70.5}}),
)


def received(content):
    near, far = socket.socketpair()
    with near, far:
        far.sendall(content)
        far.shutdown(socket.SHUT_WR)
        channel = Channel(near)
        channel.allow_compression(True)
        channel.set_timeout(60)
        found = []
        while (message := channel.receive()) is not None:
            found.append(message)
        return found


def test_frames(seconds):
    for choice in trials(seconds):
        content = damaged_bytes(choice, choice.choice(VALID_FRAMES) + choice.choice(VALID_FRAMES))
        try:
            messages = in_time(2, lambda content=content: received(content))
        except TransferError:
            continue
        assert all(isinstance(message.kind, str) for message in messages)


class Answers:
    """A channel's end that keeps what is said."""

    def send(self, kind, body=b"", **fields):
        return len(body)


def round_of_memory(number):
    runs = [Run(0x10000, 0x12000, True), Run(0x20000, 0x21000, False)]
    return [
        Message("memory.round", {"number": number}, b""),
        Message("memory.pages", {"process": 1, "runs": pack_runs(runs)}, b"p" * 2 * PAGE_BYTES),
        Message("memory.pages", {"process": -5, "runs": [4, 3]}, b"s" * PAGE_BYTES),
        Message("memory.round_end", {"number": number, "last": False}, b""),
    ]


def test_rounds_of_memory(seconds, tmp_path):
    for choice in trials(seconds):
        target = MemoryTarget(str(tmp_path / "images"))
        messages = round_of_memory(1) + round_of_memory(2)
        messages[-3] = messages[-3]._replace(fields=dict(messages[-3].fields, delta=True))
        at = choice.randrange(len(messages))
        wrong = messages[at]
        if choice.random() < 0.7:
            wrong = wrong._replace(fields=damaged_value(choice, wrong.fields))
        else:
            wrong = wrong._replace(body=damaged_bytes(choice, wrong.body))
        if not isinstance(wrong.fields, dict):
            continue
        messages[at] = wrong
        if choice.random() < 0.2:
            messages.pop(choice.randrange(len(messages)))
        try:
            for message in messages:
                handle = target.handlers[message.kind]
                in_time(5, functools.partial(handle, message, Answers()))
        except MigrationError:
            continue
        known = target.extents(1, target.named_by([])) if target.last_round else []
        assert known == []
        assert all(isinstance(piece, Range) for changed in target.recent(1) for piece in changed)


def test_pages_of_post_copy(seconds, tmp_path):
    """What the source names, on the target, and what the target asks for, on the source."""
    page = RangeSet([(0x10000, 0x10000 + PAGE_BYTES)])
    for choice in trials(seconds):
        target = MemoryTarget(str(tmp_path / "images"), chain=False)
        late = Message("memory.late", {"process": 1, "runs": pack_runs([Run(0x10000, 0x12000, True)])}, b"")
        damaged = damaged_value(choice, late.fields)
        if not isinstance(damaged, dict):
            continue
        begin, end = round_of_memory(1)[0], round_of_memory(1)[-1]
        try:
            for message in (begin, late._replace(fields=damaged), end):
                in_time(5, functools.partial(target.handlers[message.kind], message, Answers()))
        except MigrationError:
            pass
        server = PageServer(lambda: None)
        server.serve({1: LeftPages(os.getpid(), start_time(os.getpid()), page)})
        with contextlib.suppress(MigrationError):
            # All that may come of it is the page that was left; this process has none there.
            in_time(5, functools.partial(server._read, Message("pages.fetch", damaged, b"")))
        for memory in server._memories.values():
            memory.close()
