# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer's blob as the tar that it was made of, in a stream.

How a blob is packed is told by its first bytes, as containerd itself does it (containerd:
pkg/archive/compression), not by its media type, which need not be true.
"""

from __future__ import annotations

import queue
import threading
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Union

from ..transport import zstd

READ_BYTES = 1 << 18
OUT_BYTES = 1 << 20
AHEAD = 8
"""How many pieces of up to OUT_BYTES are made before they are needed."""
GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# A zstd stream may begin with a frame to be skipped (RFC 8878, 3.1.2): sixteen magic numbers.
ZSTD_SKIPPED = b"\x2a\x4d\x18"
GZIP_WINDOW = 16 + zlib.MAX_WBITS


def is_packed(path: str) -> bool:
    """Whether a blob is compressed.

    :raises OSError: it cannot be read.
    """
    with open(path, "rb") as stream:
        return _kind(stream.read(4)) != "tar"


def unpacked(path: str) -> Iterator[bytes]:
    """The tar in a blob, in pieces of at most OUT_BYTES.

    :raises OSError: the blob cannot be read.
    :raises ValueError: it is damaged, or packed in a way that this host cannot unpack.
    """
    with open(path, "rb") as stream:
        kind = _kind(stream.read(4))
        stream.seek(0)
        if kind == "gzip":
            yield from _gunzip(stream)
        elif kind == "zstd":
            yield from _unzstd(stream)
        else:
            while data := stream.read(OUT_BYTES):
                yield data


def _kind(start: bytes) -> str:
    if start.startswith(GZIP_MAGIC):
        return "gzip"
    if start == ZSTD_MAGIC or (start[1:] == ZSTD_SKIPPED and 0x50 <= start[0] <= 0x5F):
        return "zstd"
    return "tar"


def _gunzip(stream: BinaryIO) -> Iterator[bytes]:
    """All members of a gzip file, one after another (RFC 1952)."""
    unpacker = zlib.decompressobj(GZIP_WINDOW)
    data = b""
    begun = False
    try:
        while True:
            if not data:
                data = stream.read(READ_BYTES)
                if not data:
                    break
            out = unpacker.decompress(data, OUT_BYTES)
            begun = True
            if out:
                yield out
            if unpacker.eof:
                data = unpacker.unused_data
                unpacker, begun = zlib.decompressobj(GZIP_WINDOW), False
            else:
                data = unpacker.unconsumed_tail
    except zlib.error as error:
        raise ValueError(f"not a gzip stream: {error}") from error
    if begun:
        # What zlib still holds comes out without further input.
        rest = unpacker.flush()
        if rest:
            yield rest
        if not unpacker.eof:
            raise ValueError("a gzip stream ends too early")


def _unzstd(stream: BinaryIO) -> Iterator[bytes]:
    library = zstd.load()
    if library is None:
        raise ValueError("a layer is packed with zstd, and libzstd is missing on this host")
    yield from library.decompressed(iter(lambda: stream.read(READ_BYTES), b""), OUT_BYTES)


_END = object()
_Item = Union[bytes, BaseException, object]


def read_ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """*pieces*, made in a thread while earlier ones are used: unpacking goes on while others are sent.

    Whatever *pieces* raises comes out here. Closing this generator ends the thread.
    """
    ready: queue.Queue[_Item] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(item: _Item) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        last: _Item = _END
        try:
            for piece in pieces:
                if not put(piece):
                    return
        except BaseException as error:
            last = error
        put(last)

    threading.Thread(target=make, daemon=True).start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            if not isinstance(item, bytes):
                return
            yield item
    finally:
        stop.set()
