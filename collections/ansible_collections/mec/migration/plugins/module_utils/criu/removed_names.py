# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open files whose name was removed while another hard link to them stays, in the images of a dump.

CRIU gives such a file another name, ``link_remap.N``, for as long as it dumps. Before its restore that name
must lead to the file; it links the removed name to it, opens that, and removes both before the service runs
(criu/files-reg.c). Formats: images/remap-file-path.proto, regfile.proto, fdinfo.proto, vma.proto, mm.proto.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from ..base.errors import MigrationError
from .edits import MM_MAGIC
from .files_image import FILE, FilesImage
from .images import FieldValue, decode_fields, read_messages
from .open_files import REGULAR, descriptors_image, integer, open_descriptors, submessage

REMAP_IMAGE, REMAP_MAGIC = "remap-fpath.img", 0x59133954
LINKED = 0  # enum remap_type
# criu/include/image.h: VMA_FILE_PRIVATE, VMA_FILE_SHARED
MAPS_FILE = 1 << 6 | 1 << 7


class RemovedName(NamedTuple):
    """:param link: CRIU's name for it, an absolute path in the container.
    :param opened: a path below /proc that leads to the file itself, on this host.
    """

    link: str
    opened: str


def removed_names(files: FilesImage, pids: dict[int, int]) -> list[RemovedName]:
    """Those in the images.

    :param pids: of the frozen processes, number on the host -> number in the container.
    :raises MigrationError: an image is damaged.
    """
    try:
        return _removed_names(files, pids)
    except (ValueError, KeyError) as error:
        raise MigrationError(
            f"the images of open files in {files.directory} are damaged: {error!r}", phase="handover"
        ) from error


def _removed_names(files: FilesImage, pids: dict[int, int]) -> list[RemovedName]:
    links = dict(_links(os.path.join(files.directory, REMAP_IMAGE)))
    if not links:
        return []
    names = dict(_names(files, set(links.values())))
    found: dict[int, str] = {}
    for pid, number in pids.items():
        for file, opened in _opened(files.directory, pid, number):
            if file in links:
                found.setdefault(file, opened)
    missing = [names.get(link, "?") for file, link in links.items() if file not in found]
    if missing:
        raise ValueError(f"no process has open what CRIU calls {', '.join(missing)}")
    return [RemovedName(names[links[file]], opened) for file, opened in found.items()]


def _links(path: str) -> Iterator[tuple[int, int]]:
    """Number of the open file, number of CRIU's name for it."""
    if os.path.exists(path):
        for message in read_messages(path, REMAP_MAGIC):
            fields = dict(decode_fields(message))
            if fields.get(3, LINKED) == LINKED:
                yield integer(fields[1]), integer(fields[2])


def _names(files: FilesImage, wanted: set[int]) -> Iterator[tuple[int, str]]:
    for _index, message in files.of_type(REGULAR):
        fields = dict(decode_fields(message))
        if fields[FILE] in wanted:
            yield integer(fields[FILE]), _text(submessage(fields[3])[6])


def _opened(directory: str, pid: int, number: int) -> Iterator[tuple[int, str]]:
    """Numbers of the files that a process has open or mapped, and where they are to be reached."""
    for file, descriptor in open_descriptors(descriptors_image(directory, number)):
        yield file, f"/proc/{pid}/fd/{descriptor}"
    memory = os.path.join(directory, f"mm-{number}.img")
    if os.path.exists(memory):
        for field, value in decode_fields(read_messages(memory, MM_MAGIC)[0]):
            if field == 12:
                yield integer(value), f"/proc/{pid}/exe"
            elif field == 14:
                area = submessage(value)
                if integer(area[7]) & MAPS_FILE:
                    place = f"{integer(area[1]):x}-{integer(area[2]):x}"
                    yield integer(area[4]), f"/proc/{pid}/map_files/{place}"


def _text(value: FieldValue) -> str:
    if not isinstance(value, bytes):
        raise ValueError("a name is none")
    return os.fsdecode(value)
