# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few CRIU image files that a migration reads or writes itself: page maps and statistics.

Formats: CRIU's ``images/pagemap.proto`` and ``images/stats.proto``; framing and magic numbers as in
``criu/include/magic.h`` (a file starts with the common magic and its own, then each protobuf message
is preceded by its length in 4 bytes, little-endian).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple, Union

from .errors import MigrationError
from .page_ranges import RangeSet
from .process_memory import PAGE_BYTES

IMG_COMMON_MAGIC = 0x54564319
IMG_SERVICE_MAGIC = 0x55105940
PAGEMAP_MAGIC = 0x56084025
STATS_MAGIC = 0x57093306
INVENTORY_MAGIC = 0x58313116
IMAGES_VERSION = 2

PE_PARENT, PE_LAZY, PE_PRESENT = 1, 2, 4

_MAGIC = struct.Struct("<II")
_LENGTH = struct.Struct("<I")

FieldValue = Union[int, bytes]


class PagemapEntry(NamedTuple):
    """*pages* pages from *address* on; *flags* says where their content is."""

    address: int
    pages: int
    flags: int


def varint(value: int) -> bytes:
    """Protobuf's base-128 encoding of an unsigned integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


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
        if flags < 0:
            flags = PE_PARENT if in_parent else PE_PRESENT
        entries.append(PagemapEntry(address, pages if pages >= 0 else old_pages, flags))
    return entries


def write_pagemap(path: str, pages_id: int, entries: Iterable[PagemapEntry]) -> None:
    """Write a ``pagemap-*.img``; entries must be sorted by address and must not overlap."""
    messages = [encode_field(1, pages_id)]
    for address, pages, flags in entries:
        # compat_nr_pages (2) is required by the format and zero beside nr_pages (5).
        messages.append(b"\x08" + varint(address) + b"\x10\x00\x20" + varint(flags) + b"\x28" + varint(pages))
    _write_messages(path, _MAGIC.pack(IMG_COMMON_MAGIC, PAGEMAP_MAGIC), messages)


def write_inventory(path: str, uptime_us: int) -> None:
    """Write an ``inventory.img`` as far as the parent of a dump needs one (``images/inventory.proto``).

    :param uptime_us: when the parent's dump was made, since boot.
    """
    fields = ((1, IMAGES_VERSION), (2, True), (4, True), (8, uptime_us))
    # The one image without the common magic.
    magic = INVENTORY_MAGIC.to_bytes(4, "little")
    _write_messages(path, magic, [b"".join(encode_field(*field) for field in fields)])


def _write_messages(path: str, magic: bytes, messages: list[bytes]) -> None:
    out = [magic]
    for message in messages:
        out += (_LENGTH.pack(len(message)), message)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as image:
        image.write(b"".join(out))


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


def leave_out(path: str, known: RangeSet) -> None:
    """Take the content of *known* pages out of the images, as if the dump had left it out.

    CRIU 4.2 takes a page for a stack, and dumps its content, if its address agrees with a thread's stack
    pointer in the lowest twelve bits (``is_stack`` in criu/mem.c): all pages do once a stack pointer is a
    multiple of the page size.

    :param path: of a ``pagemap-*.img``; the pages file lies beside it.
    """
    pages_id, entries = read_pagemap(path)
    pages_path = os.path.join(os.path.dirname(path), f"pages-{pages_id}.img")
    kept: list[PagemapEntry] = []
    with open(pages_path, "rb") as pages:
        content = pages.read()
    remaining: list[bytes] = []
    offset = 0
    for entry in entries:
        if not entry.flags & PE_PRESENT:
            kept.append(entry)
            continue
        whole = RangeSet([(entry.address, entry.address + entry.pages * PAGE_BYTES)])
        for start, end in whole & known:
            kept.append(_entry((start, end), PE_LAZY))
        for start, end in whole - known:
            at = offset + start - entry.address
            remaining.append(content[at : at + end - start])
            kept.append(_entry((start, end), entry.flags))
        offset += entry.pages * PAGE_BYTES
    write_pagemap(path, pages_id, sorted(kept))
    with open(os.open(pages_path, os.O_WRONLY | os.O_TRUNC), "wb") as pages:
        pages.write(b"".join(remaining))


def keep_only_lazy(path: str, lazy: RangeSet, read: Callable[[RangeSet], bytes]) -> None:
    """After a dump with a parent: leave out the *lazy* ones of the parent's pages, bring in all others.

    :param path: of a ``pagemap-*.img``; the pages file lies beside it.
    :param read: gives the content of pages, back to back.
    :raises MigrationError: it does not.
    """
    pages_id, entries = read_pagemap(path)
    of_parent = RangeSet.ordered(
        (entry.address, entry.address + entry.pages * PAGE_BYTES)
        for entry in entries
        if entry.flags & PE_PARENT
    )
    if not of_parent:
        return
    missing = of_parent - lazy
    content = read(missing)
    if len(content) != missing.size_bytes:
        raise MigrationError(f"{missing} could not be read for {os.path.basename(path)}", phase="handover")
    kept = [(entry, b"") for entry in entries if not entry.flags & (PE_PARENT | PE_PRESENT)]
    kept += [(_entry(piece, PE_LAZY), b"") for piece in of_parent & lazy]
    pages_path = os.path.join(os.path.dirname(path), f"pages-{pages_id}.img")
    with open(pages_path, "rb") as pages:
        kept += [
            (entry, pages.read(entry.pages * PAGE_BYTES)) for entry in entries if entry.flags & PE_PRESENT
        ]
    at = 0
    for piece in missing:
        size = piece.end - piece.start
        kept.append((_entry(piece, PE_PRESENT), content[at : at + size]))
        at += size
    kept.sort()
    write_pagemap(path, pages_id, [entry for entry, _content in kept])
    with open(os.open(pages_path, os.O_WRONLY | os.O_TRUNC), "wb") as pages:
        pages.write(b"".join(content for _entry_, content in kept))


def _entry(piece: tuple[int, int], flags: int) -> PagemapEntry:
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
    """CRIU's own measurements of a restore (``stats-restore``); empty if missing."""
    names = {
        1: "pages_compared",
        2: "pages_skipped_cow",
        3: "forking_time_us",
        4: "restore_time_us",
        5: "pages_restored",
    }
    return _read_stats(os.path.join(work_dir, "stats-restore"), 2, names)


def _read_stats(path: str, number: int, names: dict[int, str]) -> dict[str, int]:
    try:
        messages = read_messages(path, STATS_MAGIC, IMG_SERVICE_MAGIC)
    except FileNotFoundError:
        return {}
    inner = dict(decode_fields(messages[0])).get(number, b"")
    return {
        names[field]: value
        for field, value in decode_fields(bytes(inner) if isinstance(inner, bytes) else b"")
        if field in names and isinstance(value, int)
    }
