# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few CRIU image files that a migration reads or writes itself: page maps and statistics.

Formats: CRIU's ``images/pagemap.proto`` and ``images/stats.proto``; framing and magic numbers as in
``criu/include/magic.h`` (a file starts with the common magic and its own, then each protobuf message
is preceded by its length in 4 bytes, little-endian).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple, Union

from ..base.errors import MigrationError
from ..base.page_ranges import ADDRESS_SPACE_BYTES, Range, RangeSet
from ..kernel.process_memory import PAGE_BYTES
from .segments import SYSTEM_V

IMG_COMMON_MAGIC = 0x54564319
IMG_SERVICE_MAGIC = 0x55105940
PAGEMAP_MAGIC = 0x56084025
STATS_MAGIC = 0x57093306
RESTORE_STATS = "stats-restore"
INVENTORY_MAGIC = 0x58313116
IMAGES_VERSION = 2

PE_PARENT, PE_LAZY, PE_PRESENT = 1, 2, 4
# A varint holds seven bits in each of at most ten bytes.
VARINT_BITS = 70

_MAGIC = struct.Struct("<II")
_LENGTH = struct.Struct("<I")

# A page map's entry as CRIU 4.2 writes it: its length, vaddr, compat_nr_pages, flags, nr_pages.
_VARINT = rb"([\x80-\xff]{0,9}[\x00-\x7f])"
_RAW_ENTRY = re.compile(rb"(....\x08" + _VARINT + rb"\x10\x00\x20(.)\x28" + _VARINT + rb")", re.DOTALL)
_FLAGS_BEFORE, _FLAGS_AFTER = b"\x10\x00\x20", b"\x28"

FieldValue = Union[int, bytes]
# Address and number of pages of an entry, as varints.
EntryKey = tuple[bytes, bytes]
# Its message with its length, address, flags, number of pages.
RawEntry = tuple[bytes, bytes, bytes, bytes]


class PagemapEntry(NamedTuple):
    """*pages* pages from *address* on; *flags* says where their content is."""

    address: int
    pages: int
    flags: int


def varint(value: int) -> bytes:
    """Protobuf's base-128 encoding of an unsigned integer."""
    if value >> 56:
        return bytes([value & 0x7F | 0x80]) + varint(value >> 7)
    if value < 128:
        return _SMALL[value]
    # Three times as fast as byte by byte: spread 28, 14 and 7 bits, mark all bytes but the last.
    size = (value.bit_length() + 6) // 7
    value = (value & 0xFFFFFFF) | (value & 0xFFFFFFF0000000) << 4
    value = (value & 0x3FFF00003FFF) | (value & 0xFFFC0000FFFC000) << 2
    value = (value & 0x7F007F007F007F) | (value & 0x3F803F803F803F80) << 1
    return (value | 0x80808080808080 & ((1 << 8 * (size - 1)) - 1)).to_bytes(size, "little")


_SMALL = [bytes([value]) for value in range(128)]


def decode_fields(message: bytes) -> list[tuple[int, FieldValue]]:
    """The (number, value) pairs of a protobuf message that has only integers and byte strings.

    :raises ValueError: it is not one.
    """
    fields: list[tuple[int, FieldValue]] = []
    at = 0

    def integer() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift >= VARINT_BITS:
                raise ValueError("a number is longer than 64 bits")

    try:
        while at < len(message):
            tag = integer()
            if tag & 7 == 0:
                fields.append((tag >> 3, integer()))
            elif tag & 7 == 2:
                size = integer()
                if at + size > len(message):
                    raise ValueError("a field reaches over the end of its message")
                fields.append((tag >> 3, message[at : at + size]))
                at += size
            else:
                raise ValueError(f"unexpected wire type {tag & 7}")
    except IndexError:
        raise ValueError("the message ends inside a field") from None
    return fields


def encode_field(number: int, value: int | bool | str | bytes) -> bytes:
    """One protobuf field: integers and booleans as varint, text and bytes with their length."""
    if isinstance(value, (bool, int)):
        # Negative int32 values travel as 64-bit two's complement.
        return varint(number << 3) + varint(int(value) & 0xFFFFFFFFFFFFFFFF)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def read_messages(path: str, magic: int, first: int = IMG_COMMON_MAGIC) -> list[bytes]:
    """The protobuf messages of a CRIU image file.

    :raises MigrationError: it is not an image of that kind.
    """
    with open(path, "rb") as image:
        data = image.read()
    if len(data) < _MAGIC.size or _MAGIC.unpack_from(data) != (first, magic):
        raise MigrationError(f"{path} is not the CRIU image that its name says", phase="handover")
    messages = []
    at = _MAGIC.size
    while at < len(data):
        start = at + _LENGTH.size
        at = start + int.from_bytes(data[at:start], "little")
        if at > len(data):
            raise MigrationError(f"{path} is cut short", phase="handover")
        messages.append(data[start:at])
    if not messages:
        raise MigrationError(f"{path} is empty", phase="handover")
    return messages


def write_messages(path: str, magic: int, messages: Iterable[bytes]) -> None:
    """What :func:`read_messages` reads."""
    _write_image(path, _MAGIC.pack(IMG_COMMON_MAGIC, magic), [_framed(message) for message in messages])


def read_pagemap(path: str) -> tuple[int, list[PagemapEntry]]:
    """The id of the pages file, and the entries, of a ``pagemap-*.img``.

    :raises MigrationError: damaged, or of a newer format (compressed pages) that cannot be rewritten.
    """
    head, *rest = read_messages(path, PAGEMAP_MAGIC)
    try:
        return int(dict(decode_fields(head))[1]), _pagemap_entries(path, rest)
    except (KeyError, ValueError, IndexError) as error:
        raise MigrationError(f"{path} is damaged: {error}", phase="handover") from error


def _pagemap_entries(path: str, messages: list[bytes]) -> list[PagemapEntry]:
    """A fragmented process has tens of thousands, read in the frozen window: no general decoder here."""
    entries = []
    for message in messages:
        values = [0, -1, -1, 0, -1, -1]
        at, size = 0, len(message)
        while at < size:
            tag, byte = message[at], message[at + 1]
            at += 2
            value, shift = byte & 0x7F, 7
            while byte > 0x7F:
                byte = message[at]
                at += 1
                value |= (byte & 0x7F) << shift
                shift += 7
                if shift > VARINT_BITS:
                    raise ValueError("a number is longer than 64 bits")
            if tag & 7 or not 1 <= tag >> 3 <= 5:
                raise MigrationError(
                    f"{path} has pagemap field {tag >> 3} that this version does not know; "
                    "use a CRIU of the tested versions",
                    phase="handover",
                )
            values[tag >> 3] = value
        _none, address, old_pages, in_parent, flags, pages = values
        if address < 0 or max(pages, old_pages) < 0:
            raise ValueError("an entry without address or pages")
        if address + max(pages, old_pages) * PAGE_BYTES > ADDRESS_SPACE_BYTES:
            raise ValueError("an entry beyond every address space")
        if flags < 0:
            flags = PE_PARENT if in_parent else PE_PRESENT
        entries.append(PagemapEntry(address, pages if pages >= 0 else old_pages, flags))
    return entries


def write_pagemap(path: str, pages_id: int, entries: Iterable[PagemapEntry]) -> None:
    """Write a ``pagemap-*.img``; entries must be sorted by address and must not overlap."""
    _write_pagemap(path, pages_id, (raw_entry(entry) for entry in entries))


def _write_pagemap(path: str, pages_id: int, entries: Iterable[RawEntry]) -> None:
    messages = [_framed(encode_field(1, pages_id)), *(entry[0] for entry in entries)]
    _write_image(path, _MAGIC.pack(IMG_COMMON_MAGIC, PAGEMAP_MAGIC), messages)


def write_inventory(path: str, uptime_us: int) -> None:
    """Write an ``inventory.img`` as far as the parent of a dump needs one (``images/inventory.proto``).

    :param uptime_us: when the parent's dump was made, since boot.
    """
    fields = ((1, IMAGES_VERSION), (2, True), (4, True), (8, uptime_us))
    # The one image without the common magic.
    magic = INVENTORY_MAGIC.to_bytes(4, "little")
    _write_image(path, magic, [_framed(b"".join(encode_field(*field) for field in fields))])


def _framed(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message


def _write_image(path: str, magic: bytes, messages: list[bytes]) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as image:
        image.write(magic + b"".join(messages))


class RawPagemap:
    """A ``pagemap-*.img`` whose entries are told apart but not decoded.

    A fragmented process has tens of thousands, and most are what was expected: known by their bytes.

    :ivar entries: of each, its parts as bytes.
    """

    def __init__(self, path: str, *, lazy_parent: bool = False) -> None:
        """:param lazy_parent: take what is the parent's for lazy.

        :raises MigrationError: it is not an image of that kind, or damaged.
        """
        pages_id, self.entries = self._read(path, lazy_parent)
        self.path = path
        self.pages_path = os.path.join(os.path.dirname(path), f"pages-{pages_id}.img")
        self._pages_id = pages_id

    @staticmethod
    def _read(path: str, lazy_parent: bool) -> tuple[int, list[RawEntry]]:
        with open(path, "rb") as image:
            data = image.read()
        if lazy_parent:
            # No other five bytes below 0x80 in a row are these: varints end with one, lengths have zeros.
            data = data.replace(_flags(PE_PARENT), _flags(PE_LAZY))
        head_end = _MAGIC.size + _LENGTH.size + int.from_bytes(data[_MAGIC.size :][: _LENGTH.size], "little")
        entries = _RAW_ENTRY.findall(data, head_end)
        if sum(len(entry[0]) for entry in entries) == len(data) - head_end:
            with contextlib.suppress(ValueError):
                pages_id = dict(decode_fields(data[_MAGIC.size + _LENGTH.size : head_end])).get(1)
                if data.startswith(_MAGIC.pack(IMG_COMMON_MAGIC, PAGEMAP_MAGIC)) and isinstance(
                    pages_id, int
                ):
                    return pages_id, entries
        # Another version's way to write them, or damaged.
        found_id, decoded = read_pagemap(path)
        changed = {PE_PARENT: PE_LAZY} if lazy_parent else {}
        return found_id, [
            raw_entry(entry._replace(flags=changed.get(entry.flags, entry.flags))) for entry in decoded
        ]

    def write(self) -> None:
        _write_pagemap(self.path, self._pages_id, self.entries)


def raw_entry(entry: PagemapEntry) -> RawEntry:
    """As :class:`RawPagemap` holds it."""
    address, flags, pages = varint(entry.address), varint(entry.flags), varint(entry.pages)
    # compat_nr_pages (2) is required by the format and zero beside nr_pages (5).
    message = b"\x08" + address + _FLAGS_BEFORE + flags + _FLAGS_AFTER + pages
    return _framed(message), address, flags, pages


def entry_keys(ranges: RangeSet) -> list[EntryKey]:
    """How entries for *ranges* begin and how long they are."""
    return [(varint(start), varint((end - start) // PAGE_BYTES)) for start, end in ranges]


def key_range(key: EntryKey) -> Range:
    """The addresses of an entry."""
    start, pages = (_decode_varint(value) for value in key)
    return Range(start, start + pages * PAGE_BYTES)


def _flags(flags: int) -> bytes:
    return _FLAGS_BEFORE + bytes([flags]) + _FLAGS_AFTER


def _decode_varint(value: bytes) -> int:
    return sum((byte & 0x7F) << 7 * at for at, byte in enumerate(value))


class ImageNames(NamedTuple):
    """Of the memory of a process (its number in the container) or of a segment (:func:`segment_number`)."""

    pagemap: str
    pages_id: int

    @property
    def pages(self) -> str:
        return f"pages-{self.pages_id}.img"


def image_names(number: int) -> ImageNames:
    if number > 0:
        return ImageNames(f"pagemap-{number}.img", number)
    # Behind all numbers of processes.
    shmid = -number % SYSTEM_V
    return ImageNames(f"pagemap-shmem-{shmid}.img", 1 << 31 | shmid % (1 << 31))


def layered_entries(present: RangeSet, parent: RangeSet, page_bytes: int) -> list[PagemapEntry]:
    """Entries for *present* pages of this directory and *parent* pages of the one below."""
    entries = [PagemapEntry(start, (end - start) // page_bytes, PE_PRESENT) for start, end in present]
    entries += [
        PagemapEntry(start, (end - start) // page_bytes, PE_PARENT) for start, end in parent - present
    ]
    return sorted(entries)


def left_out(path: str) -> RangeSet:
    """Addresses of the pages whose content a lazy dump left out of a ``pagemap-*.img``."""
    return RangeSet.ordered(
        (address, address + pages * PAGE_BYTES)
        for address, pages, flags in read_pagemap(path)[1]
        if flags & PE_LAZY
    )


class Part(NamedTuple):
    """A piece of an entry, and its content if the pages file is to hold it, as *flags* say."""

    piece: tuple[int, int]
    flags: int
    content: bytes | memoryview = b""


def rewrite(pagemap: RawPagemap, split: Callable[[RawEntry, memoryview], list[Part] | None]) -> None:
    """Split entries, and write the page map and its pages anew; there is a pages file at the end.

    :param split: given an entry and its content (empty where the pages file has none), its parts in order
        of address, or None to leave it as it is.
    """
    with open(os.open(pagemap.pages_path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as pages:
        size_bytes = os.fstat(pages.fileno()).st_size
        held = memoryview(mmap.mmap(pages.fileno(), size_bytes) if size_bytes else b"")
    entries: list[RawEntry] = []
    kept: list[bytes | memoryview] = []
    at = 0
    for entry in pagemap.entries:
        content = held[at:at]
        if entry[2][0] & PE_PRESENT:
            start, end = key_range((entry[1], entry[3]))
            content = held[at : at + end - start]
        at += len(content)
        parts = split(entry, content)
        if parts is None:
            entries.append(entry)
            kept.append(content)
            continue
        for piece, flags, piece_content in parts:
            entries.append(raw_entry(entry_of(piece, flags)))
            kept.append(piece_content)
    pagemap.entries = entries
    pagemap.write()
    remaining = b"".join(kept)
    with open(os.open(pagemap.pages_path, os.O_WRONLY | os.O_TRUNC), "wb") as pages:
        pages.write(remaining)


def without(entry: RawEntry, content: memoryview, known: RangeSet, flags: int) -> list[Part]:
    """The parts of an entry whose *known* pages are to be found elsewhere, as *flags* say."""
    start, end = key_range((entry[1], entry[3]))
    whole = RangeSet([(start, end)])
    parts = [Part(piece, flags) for piece in whole & known]
    for first, last in whole - known:
        parts.append(Part((first, last), entry[2][0], content[first - start : last - start]))
    return sorted(parts, key=lambda part: part.piece)


def leave_out(path: str, known: RangeSet) -> None:
    """Take the content of *known* pages out of the images, as if the dump had left it out.

    CRIU 4.2 takes a page for a stack, and dumps its content, if its address agrees with a thread's stack
    pointer in the lowest twelve bits (``is_stack`` in criu/mem.c): all pages do once a stack pointer is a
    multiple of the page size.

    :param path: of a ``pagemap-*.img``; the pages file lies beside it.
    """

    def split(entry: RawEntry, content: memoryview) -> list[Part] | None:
        if not entry[2][0] & PE_PRESENT:
            return None
        return without(entry, content, known, PE_LAZY)

    rewrite(RawPagemap(path), split)


def entry_of(piece: tuple[int, int], flags: int) -> PagemapEntry:
    """The entry that names *piece*."""
    return PagemapEntry(piece[0], (piece[1] - piece[0]) // PAGE_BYTES, flags)


def refer_to_parent(path: str) -> None:
    """Rewrite a lazy dump's ``pagemap-*.img`` so that plain CRIU takes those pages from the parent."""
    pages_id, entries = read_pagemap(path)
    write_pagemap(
        path,
        pages_id,
        [entry._replace(flags=PE_PARENT) if entry.flags & PE_LAZY else entry for entry in entries],
    )


def read_dump_stats(work_dir: str) -> dict[str, int]:
    """CRIU's own measurements of a dump (``stats-dump``), microseconds and pages; empty if missing."""
    names = {
        1: "freezing_time_us",
        2: "frozen_time_us",
        3: "memdump_time_us",
        4: "memwrite_time_us",
        5: "pages_scanned",
        6: "pages_skipped_parent",
        7: "pages_written",
    }
    return _read_stats(os.path.join(work_dir, "stats-dump"), 1, names)


def read_restore_stats(work_dir: str) -> dict[str, int]:
    """CRIU's own measurements of a restore (``RESTORE_STATS``); empty if missing."""
    names = {
        1: "pages_compared",
        2: "pages_skipped_cow",
        3: "forking_time_us",
        4: "restore_time_us",
        5: "pages_restored",
    }
    return _read_stats(os.path.join(work_dir, RESTORE_STATS), 2, names)


def _read_stats(path: str, number: int, names: dict[int, str]) -> dict[str, int]:
    try:
        messages = read_messages(path, STATS_MAGIC, IMG_SERVICE_MAGIC)
    except FileNotFoundError:
        return {}
    try:
        inner = dict(decode_fields(messages[0])).get(number, b"")
        return {
            names[field]: value
            for field, value in decode_fields(bytes(inner) if isinstance(inner, bytes) else b"")
            if field in names and isinstance(value, int)
        }
    except ValueError as error:
        raise MigrationError(f"{path} is damaged: {error}", phase="handover") from error
