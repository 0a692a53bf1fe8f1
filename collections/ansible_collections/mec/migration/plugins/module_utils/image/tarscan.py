# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in a tar the contents of files are.

Formats: POSIX pax and ustar (IEEE Std 1003.1, pax), GNU (tar manual, "Standard"). Whatever is read
wrongly here only makes two hosts find less in common: a layer counts by the sha256 of the whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from .store import TarFile, TarPart

BLOCK = 512
MAX_META_BYTES = 1 << 20
"""Of a pax header, a long name, or an entry of an unknown type."""
REGULAR = b"\x0007"
LONG_NAME, PAX = b"L", b"x"
# A GNU long name or link, a pax header for one entry or for all.
BEFORE_AN_ENTRY = (LONG_NAME, b"K", PAX, b"g")
# They have no content, whatever their size field says (Go: archive/tar, isHeaderOnly).
HEADER_ONLY = b"123456"
PIECE_BYTES = 1 << 20


def tar_parts(fd: int, size_bytes: int) -> Iterator[TarPart]:
    """The raw bytes of an open tar (headers, padding) with files between them.

    :raises OSError: the file ends too early.
    :raises ValueError: it is not a tar.
    """
    tar = _Tar(fd, size_bytes)
    while tar.at < size_bytes:
        entry = tar.entry()
        if entry is None:
            # The end; what follows is padding.
            while tar.at < size_bytes:
                tar.take(min(PIECE_BYTES, size_bytes - tar.at))
                yield tar.taken()
        elif entry.size_bytes:
            yield tar.taken()
            yield entry
            tar.at += entry.size_bytes
            tar.take(-entry.size_bytes % BLOCK)
    rest = tar.taken()
    if rest:
        yield rest


class _Tar:
    """A tar that is read from ``at`` on; raw bytes pile up until they are taken."""

    def __init__(self, fd: int, size_bytes: int) -> None:
        self._fd = fd
        self._size_bytes = size_bytes
        self._raw = bytearray()
        self.at = 0

    def take(self, length: int) -> bytes:
        data = os.pread(self._fd, length, self.at) if length else b""
        if len(data) != length:
            raise OSError(5, f"a tar ends at byte {self.at + len(data)}, too early")
        self.at += length
        self._raw += data
        return data

    def taken(self) -> bytes:
        raw, self._raw = bytes(self._raw), bytearray()
        return raw

    def entry(self) -> TarFile | None:
        """The next entry up to its content; one that is no regular file has been taken as raw bytes.

        None at the end of the archive.
        """
        name, pax_size = b"", -1
        while True:
            header = self.take(BLOCK)
            if header == bytes(BLOCK):
                return None
            kind, length = header[156:157], _number(header[124:136])
            if kind not in BEFORE_AN_ENTRY:
                break
            meta = self._take_padded(kind, length)
            if kind == LONG_NAME:
                name = meta.split(b"\0")[0]
            elif kind == PAX:
                name, pax_size = _pax(meta, name)
        if pax_size >= 0:
            length = pax_size
        if kind in HEADER_ONLY:
            length = 0
        if kind not in REGULAR:
            self._take_padded(kind, length)
            length = 0
        if length > self._size_bytes - self.at:
            raise ValueError(f"a file of {length} bytes at byte {self.at} of a tar of {self._size_bytes}")
        return TarFile(_clean(name or _header_name(header)), length, self.at)

    def _take_padded(self, kind: bytes, length: int) -> bytes:
        if length > MAX_META_BYTES:
            raise ValueError(f"a tar entry of type {kind!r} with {length} bytes")
        return self.take(-(-length // BLOCK) * BLOCK)[:length]


def _number(field: bytes) -> int:
    """Octal digits, or for large values (GNU) big-endian binary with the first bit set."""
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    else:
        digits = field.strip(b" \0")
        value = int(digits, 8) if digits else 0
    if not 0 <= value < 1 << 62:
        raise ValueError(f"a size of {value} in a tar header")
    return value


def _header_name(header: bytes) -> bytes:
    name = header[:100].split(b"\0")[0]
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].split(b"\0")[0]
        if prefix:
            return prefix + b"/" + name
    return name


def _pax(records: bytes, name: bytes) -> tuple[bytes, int]:
    """``path`` (else *name*) and ``size`` (-1 without one) of a pax header.

    Each record is ``LENGTH KEY=VALUE`` and a line feed.
    """
    size = -1
    while records:
        digits, _space, _rest = records.partition(b" ")
        if len(digits) > 8:
            raise ValueError("a damaged pax header")
        length = int(digits)
        if not len(digits) + 1 < length <= len(records):
            raise ValueError("a damaged pax header")
        key, _equals, value = records[len(digits) + 1 : length].removesuffix(b"\n").partition(b"=")
        if key == b"path":
            name = value
        elif key == b"size":
            size = int(value[:24])
            if size < 0:
                raise ValueError("a negative size in a pax header")
        records = records[length:]
    return name, size


def _clean(name: bytes) -> str:
    return os.path.normpath(os.fsdecode(name)).lstrip("/")
