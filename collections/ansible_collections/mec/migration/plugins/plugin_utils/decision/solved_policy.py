# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Solved policies on disk: one file each, named by the hash of what it was solved from.

Layout, little endian: magic; length of the header (uint32); header (JSON); SHA-256 of the header;
one row a user state (continuation, H float64; action, H int32; digest); one row a host (migration
cost, H float64; digest); one row a cell (transmission cost of a slot, H float64; digest). A digest of a row
also covers the key and the place of the row, so a warm lookup verifies what it reads by reading two rows.
What is damaged, of another key, another format or another owner is not an answer: it is solved again.
Nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from ..base.errors import DecisionError
from ..base.whole_file import whole_file

MAGIC = b"mec.migration solved policy\n"
# Part of every key: raise it whenever the layout or the numbers that a solver writes change.
FORMAT_VERSION = 3
DIGEST_BYTES = 16
MAX_HEADER_BYTES = 256 << 20
_NUMBER = (int, float)
# What a header must have, and of which kind.
HEADER: dict[str, Any] = {
    "key": str,
    "strategy": str,
    "greedy": bool,
    "error_bound": _NUMBER,
    "hosts": list,
    "states": int,
    "directions": int,
    "dwell_levels": int,
    "cells": list,
    "xy_m": list,
    "origin": (list, type(None)),
    "reach_m": _NUMBER,
    "step_m": _NUMBER,
    "spacing_m": _NUMBER,
    "stay": list,
    "discount": _NUMBER,
    "warnings": list,
}
DEFAULT_DIRECTORY = "~/.cache/mec-migration"


class NotCached(Exception):
    """There is no file that can be trusted for this key."""


@dataclass(frozen=True)
class StateRow:
    """What a decision needs of one user state: per host, cost from now on, and the host to go to."""

    continuation: tuple[float, ...]
    action: tuple[int, ...]


def key_of(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical form of ``inputs``; ``ValueError`` where a number in it is NaN."""
    content = json.dumps(
        {"format": FORMAT_VERSION, **inputs}, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(content.encode()).hexdigest()


def odd_part(header: Any) -> str | None:
    """Which part of a header is not of the kind that :func:`write_policy` is given; None if all are."""
    if not isinstance(header, dict):
        return "all"
    for name, kind in HEADER.items():
        value = header.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            return name
    pairs = [*header["xy_m"], *([header["origin"]] if header["origin"] is not None else [])]
    lists = {
        "hosts": all(isinstance(one, str) for one in header["hosts"]) and header["hosts"],
        "cells": all(isinstance(one, str) for one in header["cells"]) and header["cells"],
        "warnings": all(isinstance(one, str) for one in header["warnings"]),
        "xy_m": len(header["xy_m"]) == len(header["cells"]) and all(_is_pair(one) for one in pairs),
        "stay": len(header["stay"]) == len(header["cells"])
        and all(type(one) in (int, float) for one in header["stay"]),
        "states": header["states"]
        == len(header["cells"]) * header["directions"] * header["dwell_levels"]
        > 0,
    }
    return next((name for name, fine in lists.items() if not fine), None)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(one) in (int, float) for one in value)


class SolvedPolicy:
    """A solved policy file, opened for reading rows."""

    def __init__(self, path: Path, key: str) -> None:
        """Open and verify the header; :class:`NotCached` where anything is not as it was written."""
        self.path = path
        self.key = key
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise NotCached(str(error)) from error
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_uid != os.geteuid():
                raise NotCached(f"{path} belongs to another user")
            self.signature = _signature(status)
            self.header, self._rows_at = self._read_header(stream, status.st_size)
        self.hosts = len(self.header["hosts"])
        self._state_bytes = 12 * self.hosts + DIGEST_BYTES
        self._host_bytes = 8 * self.hosts + DIGEST_BYTES
        expected = self._rows_at + self.header["states"] * self._state_bytes
        self._cells_at = expected + self.hosts * self._host_bytes
        if status.st_size != self._cells_at + len(self.header["cells"]) * self._host_bytes:
            raise NotCached(f"{path} is {status.st_size} bytes long")
        self._hosts_at = expected
        self._rows: dict[tuple[str, int], tuple[float, ...]] = {}
        self._stream: FileIO | None = None

    def _read_header(self, stream: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
        start = stream.read(len(MAGIC) + 4)
        if len(start) != len(MAGIC) + 4 or not start.startswith(MAGIC):
            raise NotCached(f"{self.path} is no solved policy")
        (length,) = struct.unpack("<I", start[len(MAGIC) :])
        if length > min(size, MAX_HEADER_BYTES):
            raise NotCached(f"{self.path} is damaged")
        content = stream.read(length)
        if stream.read(32) != hashlib.sha256(content).digest():
            raise NotCached(f"{self.path} is damaged")
        try:
            header = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise NotCached(f"{self.path} is damaged: {error}") from error
        odd = odd_part(header)
        if odd:
            raise NotCached(f"{self.path}: {odd} in its header is not as it is written")
        if header["key"] != self.key:
            raise NotCached(f"{self.path} was solved from other inputs")
        return header, len(start) + length + 32

    def continuation(self, state: int) -> tuple[float, ...]:
        """Per host, what using it in this slot costs from now on in a user state."""
        return self._kept("state", state, self._rows_at + state * self._state_bytes, self._state_bytes)

    def transmission(self, cell: int) -> tuple[float, ...]:
        """Per host, what a slot costs whose user is in *cell*."""
        return self._kept("cell", cell, self._cells_at + cell * self._host_bytes, self._host_bytes)

    def migration_costs(self) -> list[tuple[float, ...]]:
        """What moves cost, a row for each host that they leave."""
        return [
            self._kept("host", host, self._hosts_at + host * self._host_bytes, self._host_bytes)
            for host in range(self.hosts)
        ]

    def _kept(self, kind: str, place: int, at: int, length: int) -> tuple[float, ...]:
        """The first H numbers of a row, verified once; :meth:`rows` notices when the file is replaced."""
        row = self._rows.get((kind, place))
        if row is None:
            if self._stream is None:
                self._stream = open(self.path, "rb", buffering=0)  # noqa: SIM115 - open as long as this is
                if _signature(os.fstat(self._stream.fileno())) != self.signature:
                    raise NotCached(f"{self.path} was replaced")
            content = os.pread(self._stream.fileno(), length, at)
            row = struct.unpack_from(f"<{self.hosts}d", self._verified(content, kind, place))
            self._rows[(kind, place)] = row
        return row

    def rows(self, state: int, host: int) -> tuple[StateRow, tuple[float, ...]]:
        """The row of a user state, and the migration costs from ``host``."""
        state_at = self._rows_at + state * self._state_bytes
        host_at = self._hosts_at + host * self._host_bytes
        try:
            with open(self.path, "rb") as stream:
                if _signature(os.fstat(stream.fileno())) != self.signature:
                    raise NotCached(f"{self.path} was replaced")
                first = os.pread(stream.fileno(), self._state_bytes, state_at)
                second = os.pread(stream.fileno(), self._host_bytes, host_at)
        except OSError as error:
            raise NotCached(str(error)) from error
        content = self._verified(first, "state", state)
        values = struct.unpack(f"<{self.hosts}d{self.hosts}i", content)
        costs = struct.unpack(f"<{self.hosts}d", self._verified(second, "host", host))
        return StateRow(values[: self.hosts], values[self.hosts :]), costs

    def _verified(self, row: bytes, kind: str, place: int) -> bytes:
        content = row[:-DIGEST_BYTES]
        if _row_digest(self.key, kind, place, content) != row[-DIGEST_BYTES:]:
            raise NotCached(f"{self.path} is damaged in {kind} {place}")
        return content


# Files this process has opened and verified; a task that asks 1,000 times parses each header once.
_opened: dict[Path, SolvedPolicy] = {}


def load(directory: str | Path, key: str) -> SolvedPolicy:
    """The solved policy of ``key``, or :class:`NotCached`."""
    path = Path(directory).expanduser() / f"{key}.policy"
    known = _opened.get(path)
    if known is not None:
        try:
            if _signature(os.stat(path, follow_symlinks=False)) == known.signature:
                return known
        except OSError:
            pass
        del _opened[path]
    if len(_opened) >= 64:
        _opened.clear()
    _opened[path] = SolvedPolicy(path, key)
    return _opened[path]


def load_or_solve(directory: str | Path, key: str, write: Callable[[BinaryIO], None]) -> SolvedPolicy:
    """The solved policy of ``key``; where there is none, ``write`` solves it into a new file.

    Among many forks that miss at once one solves and the others wait for it. The file appears
    whole, by a rename.
    """
    with contextlib.suppress(NotCached):
        return load(directory, key)
    place = prepare(directory)
    with _locked(place / f"{key}.lock"):
        with contextlib.suppress(NotCached):
            return load(place, key)
        with whole_file(place / f"{key}.policy", synced=True) as stream:
            write(stream)
        try:
            return load(place, key)
        except NotCached as error:
            raise DecisionError(f"the solved policy that was just written cannot be read: {error}") from error


def prepare(directory: str | Path) -> Path:
    """The cache directory, made with mode 0700 where it is not there."""
    place = Path(directory).expanduser()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DecisionError(
            f"cache directory {place}: {error.strerror}; set cache_dir to one that can be written"
        ) from error
    return place


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise DecisionError(
            f"cache file {path}: {error.strerror}; set cache_dir to one that can be written"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_policy(
    stream: BinaryIO,
    header: Mapping[str, Any],
    continuation: Sequence[bytes],
    action: Sequence[bytes],
    migration_cost: Sequence[bytes],
    transmission_cost: Sequence[bytes],
) -> None:
    """Write a solved policy.

    :param header: must hold ``key``, ``hosts`` (names) and ``states`` (how many).
    :param continuation: per state, H float64; ``action``: per state, H int32; ``migration_cost``:
        per host, H float64; ``transmission_cost``: per cell, H float64.
    """
    content = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    stream.write(MAGIC + struct.pack("<I", len(content)) + content)
    stream.write(hashlib.sha256(content).digest())
    key = header["key"]
    for place, (costs, actions) in enumerate(zip(continuation, action, strict=True)):
        stream.write(costs + actions + _row_digest(key, "state", place, costs + actions))
    for place, costs in enumerate(migration_cost):
        stream.write(costs + _row_digest(key, "host", place, costs))
    for place, costs in enumerate(transmission_cost):
        stream.write(costs + _row_digest(key, "cell", place, costs))


def _row_digest(key: str, kind: str, place: int, content: bytes) -> bytes:
    digest = hashlib.blake2b(f"{key} {kind} {place} ".encode(), digest_size=DIGEST_BYTES)
    digest.update(content)
    return digest.digest()


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_dev, status.st_size, status.st_mtime_ns
