# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Eventfds that CRIU does not restore as they were: semaphores, and counters of more than 32 bits.

CRIU makes each eventfd without EFD_SEMAPHORE and with a counter of 32 bits (criu/eventfd.c). But a descriptor
that it was started with (``inherit-fd``) it takes for the open file of a given name. So such an eventfd
becomes a regular file with a name of ours in the images, and the target gives CRIU an eventfd by that name
(role edge_host, criu_gate.py). Formats: images/eventfd.proto, regfile.proto, fdinfo.proto.
"""

from __future__ import annotations

import json
import os
import re
from typing import NamedTuple

from ..base.errors import MigrationError
from .files_image import FILE, TYPE, FilesImage
from .images import decode_fields, encode_field, read_messages, write_messages
from .open_files import (
    EVENTFD,
    FD_FILE,
    FD_TYPE,
    FDINFO_MAGIC,
    REGULAR,
    descriptors_image,
    integer,
    open_descriptors,
    submessage,
)

# Beside the images; read by role edge_host's criu_gate.py.
LIST_FILE = "eventfds.json"
# What the kernel says of one, from Linux 6.5 on.
SEMAPHORE = re.compile(r"^eventfd-semaphore:\s*1$", re.MULTILINE)
# Of file_entry; of eventfd_file_entry; of reg_file_entry.
REGULAR_FIELD, EVENTFD_FIELD = 3, 8
FLAGS, OWNER, COUNTER = 2, 3, 4
REG_FILE, REG_FLAGS, REG_POSITION, REG_OWNER, REG_NAME = 1, 2, 3, 5, 6


class Eventfd(NamedTuple):
    """One that the target makes.

    :ivar file: CRIU's number of the open file.
    :ivar counter: what it holds.
    :ivar flags: as fcntl(2) gives them (F_GETFL).
    :ivar semaphore: whether a read takes one of it.
    """

    file: int
    counter: int
    flags: int
    semaphore: bool


def set_aside(files: FilesImage, pids: dict[int, int]) -> list[Eventfd]:
    """Replace them in the images, and list beside those what the target is to make.

    :param pids: of the frozen processes, number on the host -> number in the container.
    :raises MigrationError: an image is damaged.
    """
    directory = files.directory
    try:
        held = {
            integer(dict(decode_fields(message))[FILE]): (index, message)
            for index, message in files.of_type(EVENTFD)
        }
        semaphores = _semaphores(directory, pids, set(held)) if held else set()
        odd = {file for file, (_index, message) in held.items() if _counter(message) >> 32}
        found = []
        for file in sorted(semaphores | odd):
            index, message = held[file]
            eventfd, regular = _as_regular(message, file, file in semaphores)
            files.replace(index, regular)
            found.append(eventfd)
        if found:
            for number in pids.values():
                _retype(descriptors_image(directory, number), {eventfd.file for eventfd in found})
            with open(os.path.join(directory, LIST_FILE), "w", encoding="utf-8") as out:
                json.dump([list(eventfd) for eventfd in found], out)
        return found
    except (ValueError, KeyError) as error:
        raise MigrationError(
            f"the images of open files in {directory} are damaged: {error!r}", phase="handover"
        ) from error


def _counter(message: bytes) -> int:
    return integer(submessage(dict(decode_fields(message))[EVENTFD_FIELD])[COUNTER])


def _semaphores(directory: str, pids: dict[int, int], wanted: set[int]) -> set[int]:
    """Those of the *wanted* files that are semaphores, as the frozen processes' descriptors tell."""
    found: set[int] = set()
    for pid, number in pids.items():
        for file, descriptor in open_descriptors(descriptors_image(directory, number)):
            if file in wanted - found:
                with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="utf-8") as info:
                    if SEMAPHORE.search(info.read()):
                        found.add(file)
    return found


def _as_regular(message: bytes, file: int, semaphore: bool) -> tuple[Eventfd, bytes]:
    eventfd = submessage(dict(decode_fields(message))[EVENTFD_FIELD])
    entry = b"".join(
        (
            encode_field(REG_FILE, file),
            encode_field(REG_FLAGS, integer(eventfd[FLAGS])),
            encode_field(REG_POSITION, 0),
            encode_field(REG_OWNER, eventfd[OWNER]),
            # CRIU leaves out the first character.
            encode_field(REG_NAME, f"/mec-eventfd-{file}"),
        )
    )
    return (
        Eventfd(file, integer(eventfd[COUNTER]), integer(eventfd[FLAGS]), semaphore),
        encode_field(TYPE, REGULAR) + encode_field(FILE, file) + encode_field(REGULAR_FIELD, entry),
    )


def _retype(image: str, files: set[int]) -> None:
    """Descriptors of *files* are those of regular files in a process's table."""
    if not image:
        return
    messages = [_retyped(message, files) for message in read_messages(image, FDINFO_MAGIC)]
    write_messages(image, FDINFO_MAGIC, messages)


def _retyped(message: bytes, files: set[int]) -> bytes:
    fields = decode_fields(message)
    if dict(fields)[FD_FILE] not in files:
        return message
    return b"".join(encode_field(number, REGULAR if number == FD_TYPE else value) for number, value in fields)
