"""Damaged file operations: they end in one of our errors, and nothing outside of the tree changes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.files.apply import FileReceiver
from ansible_collections.mec.migration.plugins.module_utils.files.batch import LENGTH
from ansible_collections.mec.migration.plugins.module_utils.transport.wire import Message

from .damage import damaged_bytes, damaged_value, in_time, trials

META = {
    "mode": 0o644,
    "uid": 0,
    "gid": 0,
    "mtime_ns": 1_700_000_000_000_000_000,
    "xattrs": {"user.a": "eA=="},
}
OPERATIONS = [
    {"op": "directory", "path": "d"},
    {"op": "create", "path": "d/f", "extents": [[0, 4], [8192, 4]], "size": 9000, "meta": META},
    {"op": "write", "path": "d/f", "extents": [[4, 4]], "holes": [[4096, 4096]], "size": 9000, "meta": META},
    {"op": "symlink", "path": "l", "target": "d/f", "meta": dict(META, xattrs={})},
    {"op": "link", "path": "h", "to": "d/f"},
    {"op": "node", "path": "p", "mode": 0o010644, "rdev": 0, "meta": dict(META, xattrs={})},
    {"op": "meta", "path": "d/f", "meta": META},
    {"op": "delete", "path": "h"},
]
DATA = b"datadatadata"


class Answers:
    def send(self, kind, body=b"", **fields):
        return len(body)


def packed(operations, data=DATA):
    head = json.dumps(operations).encode()
    return LENGTH.pack(len(head)) + head + data


@pytest.fixture
def tree(tmp_path):
    """A tree, beside things that nobody may touch."""
    os.mkdir(tmp_path / "tree")
    os.mkdir(tmp_path / "outside")
    (tmp_path / "outside" / "kept").write_text("kept")
    return tmp_path


def run(receiver, batches, token="t"):
    begin = {"token": "", "trees": [{"name": "/", "overlay": False, "excluded": []}]}
    receiver.handlers["files.begin"](Message("files.begin", begin, b""), Answers())
    for body in batches:
        receiver.handlers["files.batch"](Message("files.batch", {"tree": "/"}, body), Answers())
    end = Message("files.commit", {"token": token, "full": ["/"]}, b"")
    receiver.handlers["files.commit"](end, Answers())


def test_batches(seconds, tree):
    for choice in trials(seconds):
        for name in os.listdir(tree / "tree"):
            path = tree / "tree" / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if choice.random() < 0.3:
            body = damaged_bytes(choice, packed(OPERATIONS))
        else:
            body = packed(damaged_value(choice, OPERATIONS), DATA[: choice.choice((0, 5, 12))])
        receiver = FileReceiver({"/": str(tree / "tree")})
        with contextlib.suppress(MigrationError), contextlib.closing(receiver):
            in_time(10, lambda receiver=receiver, body=body: run(receiver, [body]))
        assert (tree / "outside" / "kept").read_text() == "kept"
        assert sorted(os.listdir(tree)) == ["outside", "tree"]


def test_messages_around_them(seconds, tree):
    begin = {"token": "a", "trees": [{"name": "/", "overlay": True, "excluded": ["x"]}]}
    commit = {"token": "b", "full": ["/"]}
    for choice in trials(seconds):
        receiver = FileReceiver({"/": str(tree / "tree")})
        fields = damaged_value(choice, begin) if choice.random() < 0.5 else begin
        end = damaged_value(choice, commit)
        with contextlib.suppress(MigrationError), contextlib.closing(receiver):
            for kind, said in (
                ("files.begin", fields),
                ("files.batch", {"tree": "/"}),
                ("files.commit", end),
            ):
                if isinstance(said, dict):
                    receiver.handlers[kind](Message(kind, said, packed([])), Answers())
