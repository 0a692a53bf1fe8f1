# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a missing layer the target has in other layers: whole files, or chunks of similar ones.

The source offers the layer's skeleton (its tar without file contents) and a digest of each file;
the target looks for files of that size in the layers it holds. For a large file that it lacks but
has under the same name with another content, the source names its chunks. Whatever was reused, the
result counts only if its sha256 is the layer's diff id.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import re
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..base.errors import MigrationError, TransferError
from .store import HeldFile, LayerContent, LayerFiles, TarFile

DIGEST_BYTES = 16
MAX_INLINE_BYTES = 128
"""Files up to this size travel inside the skeleton; a digest would hardly be shorter."""
MIN_CHUNKED_BYTES = 32 << 10
MIN_CHUNK_BYTES = 8 << 10
MAX_CHUNK_BYTES = 64 << 10
MAX_CANDIDATES = 8
MAX_LENGTH = 1 << 62
# The target's answer about an offered file, or about a chunk of one that it has something similar to.
STATUS_MISSING, STATUS_HELD, STATUS_SIMILAR = 0, 1, 2

LENGTH = struct.Struct("!I")
CHUNK = struct.Struct(f"!I{DIGEST_BYTES}s")


def _cut_pattern() -> re.Pattern[bytes]:
    """Four bytes in a row, each from a class of 32 values that are spread over all 256.

    A chunk ends after such bytes (once in 4 KiB of random data), wherever they lie: so chunks of
    two files line up again behind an insertion. The regular expression engine looks for them at some
    200 MB/s, which a rolling hash in Python does not reach.
    """
    classes = []
    for factor, shift in ((3, 1), (5, 6), (7, 3), (1, 4)):
        values = (8 * group + (factor * group + shift) % 8 for group in range(32))
        classes.append(b"[" + b"".join(b"\\x%02x" % value for value in values) + b"]")
    return re.compile(b"".join(classes))


CUT = _cut_pattern()


class Chunk(NamedTuple):
    offset: int
    length: int
    digest: bytes


def file_digest(parts: Iterable[bytes]) -> bytes:
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        state.update(part)
    return state.digest()


def chunks(fd: int, size_bytes: int, offset: int = 0) -> Iterator[Chunk]:
    """The content-defined chunks of a file of at least one byte that begins *offset* bytes into *fd*.

    :raises OSError: *fd* cannot be mapped.
    :raises ValueError: it is shorter than that.
    """
    # A mapping begins at a page.
    skip = offset % mmap.ALLOCATIONGRANULARITY
    mapped = mmap.mmap(fd, skip + size_bytes, prot=mmap.PROT_READ, offset=offset - skip)
    with mapped as content, memoryview(content) as whole:
        start = skip
        for end in _cuts(content, skip, skip + size_bytes):
            with whole[start:end] as part:
                digest = hashlib.blake2b(part, digest_size=DIGEST_BYTES).digest()
            yield Chunk(start - skip, end - start, digest)
            start = end


def _cuts(content: mmap.mmap, start: int, size_bytes: int) -> Iterator[int]:
    for match in CUT.finditer(content, start):
        end = match.end()
        while end - start > MAX_CHUNK_BYTES:
            start += MAX_CHUNK_BYTES
            yield start
        if end - start >= MIN_CHUNK_BYTES:
            start = end
            yield start
    while size_bytes - start > MAX_CHUNK_BYTES:
        start += MAX_CHUNK_BYTES
        yield start
    if start < size_bytes:
        yield size_bytes


# -- the source's side ---------------------------------------------------------------------------


class OfferedFile(NamedTuple):
    """A file of an offered layer; ``gap_bytes`` of skeleton lie between the one before and it."""

    gap_bytes: int
    size_bytes: int
    name: str
    digest: bytes


class Offer:
    """A layer taken apart. ``tar_bytes`` is the size of the whole."""

    def __init__(self, layer: LayerContent) -> None:
        """:raises OSError: a file is missing.
        :raises ValueError: what the store has is damaged.
        """
        self.layer = layer
        self.files: list[OfferedFile] = []
        self.skeleton = bytearray()
        self.tar_bytes = 0
        self._places: list[TarFile] = []
        gap = 0
        for part in layer.parts():
            if isinstance(part, TarFile):
                self.tar_bytes += part.size_bytes
                content = layer.read(part, 0, part.size_bytes)
                if part.size_bytes > MAX_INLINE_BYTES:
                    digest = file_digest(content)
                    self.files.append(OfferedFile(gap, part.size_bytes, part.name, digest))
                    self._places.append(part)
                    gap = 0
                    continue
                piece = b"".join(content)
            else:
                piece = part
                self.tar_bytes += len(part)
            self.skeleton += piece
            gap += len(piece)

    def table(self) -> bytes:
        rows = [file[:3] for file in self.files]
        text = json.dumps(rows, separators=(",", ":")).encode()
        digests = b"".join(file.digest for file in self.files)
        return LENGTH.pack(len(text)) + text + digests

    def chunks(self, number: int) -> list[Chunk]:
        """The chunks of the file with that *number* in ``files``.

        :raises OSError: the file is missing.
        """
        place = self._places[number]
        fd, offset = self.layer.open(place)
        try:
            return list(chunks(fd, place.size_bytes, offset))
        finally:
            os.close(fd)

    def contents(self, pieces: Iterable[tuple[int, int, int]]) -> Iterator[bytes]:
        """Pieces of files, each given by the file's number, an offset in it and a length.

        :raises OSError: a file is missing, or ends too early.
        """
        for number, offset, length in pieces:
            yield from self.layer.read(self._places[number], offset, length)


def unpack_table(body: bytes) -> list[OfferedFile]:
    """:raises TransferError: *body* is not what ``Offer.table`` made."""
    try:
        (length,) = LENGTH.unpack_from(body)
        rows = json.loads(body[LENGTH.size : LENGTH.size + length])
        digests = body[LENGTH.size + length :]
        if len(digests) != len(rows) * DIGEST_BYTES:
            raise ValueError(f"{len(rows)} files with {len(digests)} bytes of digests")
        files = []
        for number, (gap, size, name) in enumerate(rows):
            digest = digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]
            if not isinstance(name, str):
                raise ValueError(f"{name!r} is no file name")
            files.append(OfferedFile(checked_length(gap), checked_length(size), name, digest))
        return files
    except (struct.error, ValueError, TypeError, RecursionError) as error:
        raise TransferError(f"the offer of a layer arrived damaged: {error}", phase="image") from error


def checked_length(value: object) -> int:
    """A number of bytes that a peer names.

    :raises ValueError: it is none, negative, or beyond what a file can have.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_LENGTH:
        raise ValueError(f"{value!r} is no number of bytes")
    return value


def pack_chunks(lists: Iterable[list[Chunk]]) -> bytes:
    """For each list its length, then a length and a digest for each chunk."""
    packed = bytearray()
    for items in lists:
        packed += LENGTH.pack(len(items))
        for chunk in items:
            packed += CHUNK.pack(chunk.length, chunk.digest)
    return bytes(packed)


def unpack_chunks(body: bytes) -> list[list[Chunk]]:
    """:raises TransferError: *body* is not what :func:`pack_chunks` made."""
    lists: list[list[Chunk]] = []
    at = 0
    try:
        while at < len(body):
            (count,) = LENGTH.unpack_from(body, at)
            at += LENGTH.size
            items: list[Chunk] = []
            offset = 0
            for _index in range(count):
                length, digest = CHUNK.unpack_from(body, at)
                at += CHUNK.size
                items.append(Chunk(offset, length, digest))
                offset += length
            lists.append(items)
    except struct.error as error:
        raise TransferError(f"a list of chunks arrived damaged: {error}", phase="image") from error
    return lists


# -- the target's side ---------------------------------------------------------------------------


class Copy(NamedTuple):
    """A step of an assembly: bytes that are on this host."""

    directory: str
    name: str
    offset: int
    length: int


class Receive(NamedTuple):
    """A step of an assembly: bytes that come from the source; as many as come where ``length`` is None."""

    length: int | None


class HeldFiles:
    """The files in the layers of this host, found by size or name; contents hashed when needed."""

    def __init__(self, files: Iterable[HeldFile]) -> None:
        self._by_size: dict[int, list[HeldFile]] = {}
        self._by_name: dict[str, list[HeldFile]] = {}
        self._digests: dict[HeldFile, bytes] = {}
        self._chunks: dict[HeldFile, dict[bytes, Chunk]] = {}
        self._contents = LayerFiles()
        for held in files:
            self._by_size.setdefault(held.size_bytes, []).append(held)
            if held.size_bytes >= MIN_CHUNKED_BYTES:
                self._by_name.setdefault(os.path.basename(held.name), []).append(held)

    def same(self, wanted: OfferedFile) -> HeldFile | None:
        """A file with the content of *wanted*."""
        candidates = sorted(
            self._by_size.get(wanted.size_bytes, ()),
            key=lambda held: _likeness(held, wanted.name),
            reverse=True,
        )
        for held in candidates[:MAX_CANDIDATES]:
            if self._digest(held) == wanted.digest:
                return held
        return None

    def similar(self, wanted: OfferedFile) -> list[HeldFile]:
        """Files of the same name that are worth looking into."""
        if wanted.size_bytes < MIN_CHUNKED_BYTES:
            return []
        candidates = self._by_name.get(os.path.basename(wanted.name), [])
        ranked = sorted(candidates, key=lambda held: _likeness(held, wanted.name), reverse=True)
        return ranked[:2]

    def find(self, wanted: OfferedFile, chunk: Chunk) -> Copy | Receive:
        """Where to get a *chunk* of the file *wanted* from."""
        for held in self.similar(wanted):
            found = self._chunks_of(held).get(chunk.digest)
            if found is not None and found.length == chunk.length:
                return Copy(held.diff_dir, held.name, found.offset, found.length)
        return Receive(chunk.length)

    def _chunks_of(self, held: HeldFile) -> dict[bytes, Chunk]:
        if held not in self._chunks:
            try:
                fd = self._contents.open(held.diff_dir, held.name)
                try:
                    found = {chunk.digest: chunk for chunk in chunks(fd, held.size_bytes)}
                finally:
                    os.close(fd)
            except (OSError, ValueError):
                found = {}
            self._chunks[held] = found
        return self._chunks[held]

    def _digest(self, held: HeldFile) -> bytes:
        if held not in self._digests:
            try:
                self._digests[held] = file_digest(
                    self._contents.read(held.diff_dir, held.name, 0, held.size_bytes)
                )
            except OSError:
                self._digests[held] = b""
        return self._digests[held]

    def close(self) -> None:
        self._contents.close()


def _likeness(held: HeldFile, name: str) -> int:
    """2 for the same path, 1 for the same last component."""
    if held.name == name:
        return 2
    return int(os.path.basename(held.name) == os.path.basename(name))


class Assembly:
    """Writes a layer's tar to *path*, step by step, from what is here and what comes."""

    def __init__(self, path: str, steps: Iterable[Copy | Receive]) -> None:
        self._steps = iter(steps)
        self._step: Copy | Receive | None = None
        self._missing = 0
        self._open_ended = False
        self._contents = LayerFiles()
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        self._out = open(path, "wb")  # noqa: SIM115 - closed by finish()
        self._advance()

    def feed(self, data: bytes) -> None:
        """Bytes from the source.

        :raises MigrationError: more than was asked for.
        """
        view = memoryview(data)
        while view:
            if self._open_ended:
                self.write(view)
                return
            if self._missing <= 0:
                raise MigrationError("a layer is longer than it was said to be", phase="image")
            part = view[: self._missing]
            self.write(part)
            self._missing -= len(part)
            view = view[len(part) :]
            if not self._missing:
                self._advance()

    def finish(self) -> str:
        """Close the file; returns its digest, or ``""`` where bytes are missing."""
        self.close()
        return "" if self._missing else "sha256:" + self._hash.hexdigest()

    def close(self) -> None:
        self._contents.close()
        self._out.close()

    def _advance(self) -> None:
        """Do what can be done up to the next step that needs bytes from the source."""
        for step in self._steps:
            if isinstance(step, Receive):
                if step.length is None:
                    self._open_ended = True
                    return
                if step.length:
                    self._missing = step.length
                    return
                continue
            for part in self._contents.read(step.directory, step.name, step.offset, step.length):
                self.write(part)

    def write(self, part: bytes | memoryview) -> None:
        self._hash.update(part)
        self._out.write(part)
        self.size_bytes += len(part)
