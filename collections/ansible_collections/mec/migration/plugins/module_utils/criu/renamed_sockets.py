# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UNIX sockets whose file was renamed after they were bound, as HAProxy and supervisord do.

CRIU binds a socket to the name that the kernel tells of it, which is the first one, or to none where that is
gone (criu/sk-unix.c): on the target nobody would reach it by the name that it has. So in the images it gets
that name. Format: images/sk-unix.proto (``unix_sk_entry``).
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from ..base.errors import MigrationError
from ..kernel.bound_files import holder_of, names_of
from ..kernel.unix_diag import LISTEN, unix_sockets
from .files_image import FilesImage
from .images import FieldValue, decode_fields, encode_field
from .open_files import integer, submessage

# enum fd_types, and the field of file_entry that such a file has.
UNIX, UNIX_FIELD = 5, 16
# Of unix_sk_entry.
INODE, TYPE, STATE, NAME, DELETED = 2, 3, 4, 11, 15
DATAGRAM = 2


def bind_to_new_names(files: FilesImage, pids: dict[int, int]) -> int:
    """Edit the image of open files; returns how many sockets get another name.

    :param pids: of the frozen processes, number on the host -> number in the container.
    :raises MigrationError: the image is damaged.
    """
    try:
        bound = {
            index: (integer(entry[INODE]), message)
            for index, message in files.of_type(UNIX)
            if _has_path(entry := submessage(dict(decode_fields(message))[UNIX_FIELD]))
        }
        if not bound:
            return 0
        # The first process: its root directory is the container's.
        init = min(pids, key=lambda pid: pids[pid])
        sockets = unix_sockets(init)
        changed = 0
        for index, (inode, message) in bound.items():
            found = sockets.get(inode)
            if found is not None and found.file_inode:
                find_holder = partial(holder_of, pids, inode)
                name = names_of(init, found.name, found.file_inode, find_holder).moved_to
                if name:
                    files.replace(index, _renamed(message, os.fsencode(name)))
                    changed += 1
        return changed
    except (ValueError, KeyError) as error:
        raise MigrationError(
            f"the images of sockets in {files.directory} are damaged: {error!r}", phase="handover"
        ) from error


def _has_path(entry: dict[int, Any]) -> bool:
    """Whether CRIU binds it to an absolute path: connections have no name of their own there."""
    name = entry.get(NAME, b"")
    is_bound = entry.get(STATE) == LISTEN or entry.get(TYPE) == DATAGRAM
    return is_bound and isinstance(name, bytes) and name.startswith(b"/")


def _renamed(message: bytes, name: bytes) -> bytes:
    return b"".join(
        encode_field(number, _with_name(value, name) if number == UNIX_FIELD else value)
        for number, value in decode_fields(message)
    )


def _with_name(entry: FieldValue, name: bytes) -> bytes:
    fields = decode_fields(entry if isinstance(entry, bytes) else b"")
    first = dict(fields)[NAME]
    new = name + b"\0" if isinstance(first, bytes) and first.endswith(b"\0") else name
    return b"".join(
        encode_field(number, new if number == NAME else value)
        for number, value in fields
        # That said of the first name that it is gone.
        if number != DELETED
    )
