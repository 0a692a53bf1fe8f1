# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to images of the final dump, so that the restore brings back what the service really had.

Formats: CRIU's ``images/fdinfo.proto`` and ``images/timerfd.proto``.
"""

from __future__ import annotations

import os

from .images import FieldValue, decode_fields, encode_field, read_messages, write_messages

FILES_MAGIC = 0x56303138
FILES_IMAGE = "files.img"
# enum fd_types, and the field of file_entry that such a file has.
TIMERFD, TIMERFD_FIELD = 17, 12
# Of timerfd_entry.
VALUE_S, VALUE_NS, INTERVAL_S, INTERVAL_NS = 7, 8, 9, 10


def edit_files(directory: str) -> int:
    """Edit the image of open files below *directory*; returns how many entries were changed.

    :raises MigrationError: it is damaged.
    """
    path = os.path.join(directory, FILES_IMAGE)
    if not os.path.exists(path):
        return 0
    messages = read_messages(path, FILES_MAGIC)
    changed = 0
    for index, message in enumerate(messages):
        # The type comes first, and is a number below 128.
        if message[:2] == bytes([1 << 3, TIMERFD]):
            edited = rearm_timer(message)
            if edited != message:
                messages[index] = edited
                changed += 1
    if changed:
        write_messages(path, FILES_MAGIC, messages)
    return changed


def rearm_timer(message: bytes) -> bytes:
    """The entry of a timerfd as it is to be restored.

    The kernel arms a periodic timer anew only when its expiry is read. Of one that has expired and was not
    read /proc shows no time left, which means disarmed where it is set: it would never fire again. With
    the shortest time left it expires at once, and is what it was.
    """
    fields = decode_fields(message)
    return b"".join(
        encode_field(number, _rearmed(value) if number == TIMERFD_FIELD else value)
        for number, value in fields
    )


def _rearmed(entry: FieldValue) -> FieldValue:
    fields = decode_fields(bytes(entry) if isinstance(entry, bytes) else b"")
    timer = dict(fields)
    periodic = timer.get(INTERVAL_S) or timer.get(INTERVAL_NS)
    if not periodic or timer.get(VALUE_S) or timer.get(VALUE_NS):
        return entry
    return b"".join(encode_field(number, 1 if number == VALUE_NS else value) for number, value in fields)
