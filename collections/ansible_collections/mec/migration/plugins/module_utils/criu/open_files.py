# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files the processes in the images of a dump have open.

Formats: images/core.proto (task_kobj_ids_entry) and fdinfo.proto.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from .images import FieldValue, decode_fields, read_messages

FDINFO_MAGIC, IDS_MAGIC = 0x56213732, 0x54432030
# enum fd_types
REGULAR, EVENTFD = 1, 6
# Of fdinfo_entry: number of the open file, its type, number of the descriptor.
FD_FILE, FD_TYPE, FD_NUMBER = 1, 3, 4


def descriptors_image(directory: str, number: int) -> str:
    """The image of a process's table of descriptors; empty if it has none (a zombie).

    :param number: of the process in the container.
    :raises ValueError: an image is damaged. Likewise KeyError.
    """
    ids = os.path.join(directory, f"ids-{number}.img")
    if not os.path.exists(ids):
        return ""
    table = dict(decode_fields(read_messages(ids, IDS_MAGIC)[0])).get(2, 0)
    path = os.path.join(directory, f"fdinfo-{integer(table)}.img")
    return path if os.path.exists(path) else ""


def open_descriptors(image: str) -> Iterator[tuple[int, int]]:
    """Number of the open file, number of the descriptor; *image* as :func:`descriptors_image` gives it.

    :raises ValueError: the image is damaged. Likewise KeyError.
    """
    for message in read_messages(image, FDINFO_MAGIC) if image else ():
        fields = dict(decode_fields(message))
        yield integer(fields[FD_FILE]), integer(fields[FD_NUMBER])


def submessage(value: FieldValue) -> dict[int, FieldValue]:
    return dict(decode_fields(value if isinstance(value, bytes) else b""))


def integer(value: FieldValue) -> int:
    if not isinstance(value, int):
        raise ValueError("a number is none")
    return value
