# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to images of the final dump, so that the restore brings back what the service really had.

Formats: CRIU's ``images/fdinfo.proto``, ``timerfd.proto``, ``mm.proto``, ``vma.proto`` and ``mnt.proto``.
"""

from __future__ import annotations

import mmap

from .files_image import FilesImage
from .images import FieldValue, decode_fields, encode_field, read_messages, write_messages

# enum fd_types, and the field of file_entry that such a file has.
TIMERFD, TIMERFD_FIELD = 17, 12
# Of timerfd_entry.
VALUE_S, VALUE_NS, INTERVAL_S, INTERVAL_NS = 7, 8, 9, 10
MM_MAGIC = 0x57492820
# Of mm_entry, and of its vma_entry; of the latter's status (criu/include/image.h).
MM_AREA = 14
AREA_START, AREA_END, AREA_PROTECTION, AREA_FLAGS, AREA_STATUS = 1, 2, 5, 6, 7
PRIVATE_ANONYMOUS = 1 << 9
MAP_NORESERVE = 0x4000
LARGE_BYTES = 1 << 30
MOUNTS_MAGIC = 0x55563928
# Of mnt_entry: whether what is mounted has been deleted, and what the container engine calls it there.
DELETED, EXTERNAL = 16, 18
IS_DELETED = encode_field(DELETED, True)


def rearm_timers(files: FilesImage) -> int:
    """Replace the timerfds that would not be restored as they were; returns how many.

    :raises MigrationError: the image is damaged.
    """
    changed = 0
    for index, message in list(files.of_type(TIMERFD)):
        edited = rearm_timer(message)
        if edited != message:
            files.replace(index, edited)
            changed += 1
    return changed


def mount_anew(path: str) -> bool:
    """Edit the image of a mount namespace, ``mountpoints-*.img``; returns whether something was changed.

    A file that is mounted (a configuration, say) may have been replaced on this host by another one of its
    name, or a directory have been removed and made again. CRIU would make what was deleted anew at that
    place on the target, where something is already, and which is not this container's alone. The container
    gets what is there, as when it is started.

    :raises MigrationError: it is damaged.
    """
    entries = read_messages(path, MOUNTS_MAGIC)
    edited = [_anew(entry) if IS_DELETED in entry else entry for entry in entries]
    if edited == entries:
        return False
    write_messages(path, MOUNTS_MAGIC, edited)
    return True


def _anew(entry: bytes) -> bytes:
    fields = decode_fields(entry)
    if not dict(fields).get(EXTERNAL):
        return entry
    return b"".join(encode_field(number, value) for number, value in fields if number != DELETED)


def keep_reserved(path: str) -> bool:
    """Edit the image of a process's mappings, ``mm-*.img``; returns whether something was changed.

    CRIU maps private memory writable before it gives it back its protection, and without MAP_NORESERVE the
    kernel counts that: a reservation larger than the machine's memory could be made, and not restored. So
    what was reserved only, and is large, has that flag on the target.

    :raises MigrationError: it is damaged.
    """
    (message,) = read_messages(path, MM_MAGIC)
    fields = decode_fields(message)
    edited = [(number, _unreserved(value) if number == MM_AREA else value) for number, value in fields]
    if edited == fields:
        return False
    write_messages(path, MM_MAGIC, [b"".join(encode_field(number, value) for number, value in edited)])
    return True


def _unreserved(entry: FieldValue) -> FieldValue:
    fields = decode_fields(bytes(entry) if isinstance(entry, bytes) else b"")
    area = {number: value for number, value in fields if isinstance(value, int)}
    reserved = area[AREA_STATUS] & PRIVATE_ANONYMOUS and not area[AREA_PROTECTION] & mmap.PROT_WRITE
    if not reserved or area[AREA_END] - area[AREA_START] < LARGE_BYTES:
        return entry
    flags = area[AREA_FLAGS] | MAP_NORESERVE
    return b"".join(
        encode_field(number, flags if number == AREA_FLAGS else value) for number, value in fields
    )


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
