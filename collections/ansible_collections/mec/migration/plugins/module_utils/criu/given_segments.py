# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared memory that CRIU is given at the restore, instead of reading it from images in the frozen window.

CRIU takes anonymous shared memory for a memfd, too (criu/proc_parse.c). A descriptor that it was started
with (``inherit-fd``) it takes for the memfd of a given name, where one is open and where one is mapped
(criu/memfd.c, files-reg.c). So the target makes such memfds before the freeze and fills them with what the
rounds bring, and in the images they get names of ours. Each open file has a name of its own, for it has
flags and a position of its own. Formats: images/memfd.proto, fdinfo.proto, fown.proto.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from typing import NamedTuple

from ..base.errors import MigrationError
from .files_image import FILE, FilesImage
from .images import FieldValue, decode_fields, encode_field, read_messages, write_messages
from .open_files import integer, submessage
from .segments import segment_number

# Beside the images: by the source, for the target; by the target, for role edge_host's criu_gate.py.
LIST_FILE, GIVEN_FILE = "segments.json", "given_segments.json"
INODES_IMAGE, INODES_MAGIC = "memfd.img", 0x48453499
# enum fd_types, and the field of file_entry that such a file has.
MEMFD, MEMFD_FIELD = 18, 20
# Of memfd_file_entry; of fown_entry.
FILE_FLAGS, FILE_POSITION, FILE_OWNER, FILE_INODE = 2, 3, 4, 5
OWNER_PID = 5
# Of memfd_inode_entry.
NAME, UID, GID, SIZE, SHMID, SEALS, INODE, HUGE_PAGES, MODE = range(1, 10)
F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW = 1, 2, 4
# The others can be set only once all mappings are there.
EARLY_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW


class GivenSegment(NamedTuple):
    """What a segment is once the service is frozen.

    :ivar number: see :func:`.segments.segment_number`.
    :ivar seals: as fcntl(2) gives them (F_GET_SEALS).
    """

    number: int
    size_bytes: int
    uid: int
    gid: int
    mode: int
    seals: int


class GivenFile(NamedTuple):
    """An open file of a segment.

    :ivar name: by which CRIU knows it.
    :ivar number: of its segment.
    :ivar flags: as open(2) takes them.
    """

    name: str
    number: int
    flags: int
    position: int


def name_of(file: int) -> str:
    """:param file: CRIU's number of the open file."""
    return f"mec-segment-{file}"


def give(files: FilesImage, ready: Collection[int]) -> list[GivenSegment]:
    """Edit the images so that CRIU takes segments that it is given, and list them beside those.

    What cannot be given without a difference stays as it is: CRIU reads it.

    :param ready: numbers of segments that the target has made.
    :returns: those that it is to give.
    :raises MigrationError: an image is damaged.
    """
    directory = files.directory
    path = os.path.join(directory, INODES_IMAGE)
    if not ready or not os.path.exists(path):
        return []
    inodes = read_messages(path, INODES_MAGIC)
    try:
        opened = dict(files.of_type(MEMFD))
        inode_of = {integer(dict(decode_fields(inode))[INODE]): inode for inode in inodes}
        held = {index: _held(message) for index, message in opened.items()}
        odd = {file.inode for file in held.values() if not file.ordinary}
        given = {}
        for number, inode in inode_of.items():
            segment = _given(inode)
            if segment is not None and segment.number in ready and number not in odd:
                given[number] = segment
        if not given:
            return []
        listed = []
        named = [inode for number, inode in inode_of.items() if number not in given]
        for number, (index, file) in enumerate(held.items(), start=max(inode_of) + 1):
            if file.inode in given:
                name = name_of(file.number)
                listed.append(GivenFile(name, given[file.inode].number, file.flags, file.position))
                entry = _changed(_entry(opened[index]), {FILE_INODE: number})
                files.replace(index, _changed(opened[index], {MEMFD_FIELD: entry}))
                # With F_SEAL_SEAL alone CRIU adds no seals after the restore; the target has set those that
                # are needed.
                named.append(
                    _changed(inode_of[file.inode], {NAME: name.encode(), INODE: number, SEALS: F_SEAL_SEAL})
                )
    except (ValueError, KeyError) as error:
        raise MigrationError(
            f"the images of memfds in {directory} are damaged: {error!r}", phase="handover"
        ) from error
    write_messages(path, INODES_MAGIC, named)
    with open(os.path.join(directory, LIST_FILE), "w", encoding="utf-8") as out:
        json.dump({"segments": list(given.values()), "files": listed}, out)
    return list(given.values())


def given_in(directory: str) -> tuple[list[GivenSegment], list[GivenFile]]:
    """What :func:`give` has listed there.

    :raises MigrationError: the list is damaged.
    """
    try:
        with open(os.path.join(directory, LIST_FILE), encoding="utf-8") as lines:
            listed = json.load(lines)
        segments = [GivenSegment(*map(int, segment)) for segment in listed["segments"]]
        files = [GivenFile(str(name), *map(int, rest)) for name, *rest in listed["files"]]
    except FileNotFoundError:
        return [], []
    except (ValueError, KeyError, TypeError) as error:
        raise MigrationError(
            f"the list of shared memory in {directory} is damaged: {error!r}", phase="handover"
        ) from error
    return segments, files


class _File(NamedTuple):
    """An open memfd in the images.

    :ivar number: CRIU's.
    :ivar inode: CRIU's number of that.
    :ivar ordinary: opened for reading and writing and without a signal owner, so that any descriptor will do.
    """

    number: int
    inode: int
    flags: int
    position: int
    ordinary: bool


def _entry(message: bytes) -> bytes:
    entry = dict(decode_fields(message))[MEMFD_FIELD]
    if not isinstance(entry, bytes):
        raise ValueError("the entry of a memfd is a number")
    return entry


def _held(message: bytes) -> _File:
    entry = submessage(_entry(message))
    # Without any it is not open, only mapped: to be opened with what the mapping needs.
    flags = integer(entry[FILE_FLAGS]) or os.O_RDWR
    return _File(
        integer(dict(decode_fields(message))[FILE]),
        integer(entry[FILE_INODE]),
        flags,
        integer(entry[FILE_POSITION]),
        flags & os.O_ACCMODE == os.O_RDWR and not submessage(entry[FILE_OWNER]).get(OWNER_PID),
    )


def _given(message: bytes) -> GivenSegment | None:
    """What is to be given for an inode; None if a segment that is made early is not the same."""
    inode = {number: value for number, value in decode_fields(message) if isinstance(value, int)}
    if inode.get(HUGE_PAGES) or MODE not in inode or inode[SEALS] & ~EARLY_SEALS:
        return None
    return GivenSegment(
        segment_number(inode[SHMID]), *(inode[field] for field in (SIZE, UID, GID, MODE, SEALS))
    )


def _changed(message: bytes, changes: dict[int, FieldValue]) -> bytes:
    return b"".join(
        encode_field(number, changes.get(number, value)) for number, value in decode_fields(message)
    )
