# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many file operations in one message: what a ``files.batch`` carries.

The body is the length of the operations (4 bytes, big-endian), the operations as a JSON list, and
then the data of their extents, one after the other. An operation is an object:

``{"op": "delete", "path": P}``
    Remove P and everything below it.
``{"op": "directory", "path": P, "replace": true?}``
    P is a directory; with ``replace``, an empty one.
``{"op": "create", "path": P, "extents": [[offset, length], ...], "size": N?, "meta": M?}``
    P is a new regular file.
``{"op": "write", "path": P, "extents": ..., "holes": [[offset, length], ...]?, "size": ..., "meta": ...}``
    Parts of the regular file P change in place; ``size`` ends it there.
``{"op": "symlink", "path": P, "target": T, "meta": M}``
    P is a symlink.
``{"op": "node", "path": P, "mode": N, "rdev": N, "meta": M}``
    P is a FIFO, a socket or a device.
``{"op": "link", "path": P, "to": Q}``
    P is another name of Q.
``{"op": "meta", "path": P, "meta": M}``
    Mode, owner, xattrs and modification time only.

M is ``{"mode": N, "uid": N, "gid": N, "mtime_ns": N, "xattrs": {name: base64}?, "flags": N?}``. Without flags
it has none that protect it; they are set at the end of the round, see :mod:`..kernel.inode_flags`.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Callable

from ..base.errors import TransferError
from ..transport.wire import Channel

LENGTH = struct.Struct("!I")
MAX_DATA_BYTES = 1 << 20
MAX_OPERATIONS = 2000

Operation = dict[str, Any]


class Batch:
    """Collects operations of one tree and sends them when there are enough for a message."""

    def __init__(self, channel: Channel, tree: str, progress: Callable[[int], None] | None = None) -> None:
        self._channel = channel
        self._tree = tree
        self._progress = progress
        self._operations: list[Operation] = []
        self._data: list[bytes] = []
        self._data_bytes = 0
        self.sent_bytes = 0

    def add(self, operation: Operation) -> None:
        self._operations.append(operation)
        if len(self._operations) >= MAX_OPERATIONS or self.full:
            self.flush()

    def add_data(self, data: bytes) -> None:
        """Data of an extent of the operation that is added next."""
        self._data.append(data)
        self._data_bytes += len(data)

    @property
    def full(self) -> bool:
        return self._data_bytes >= MAX_DATA_BYTES

    def flush(self) -> None:
        if not self._operations:
            return
        operations = json.dumps(self._operations, separators=(",", ":")).encode()
        body = b"".join([LENGTH.pack(len(operations)), operations, *self._data])
        self.sent_bytes += self._channel.send("files.batch", body, tree=self._tree)
        self._operations, self._data, self._data_bytes = [], [], 0
        if self._progress is not None:
            self._progress(self.sent_bytes)


def unpack(body: bytes) -> tuple[list[Operation], memoryview]:
    """The operations of a batch, and the data of their extents.

    :raises TransferError: the body is no batch.
    """
    try:
        (length,) = LENGTH.unpack_from(body)
        operations = json.loads(body[LENGTH.size : LENGTH.size + length])
    except (struct.error, ValueError, RecursionError) as error:
        raise TransferError(
            f"a batch of file operations arrived damaged: {error}", phase="pre-copy"
        ) from error
    if not isinstance(operations, list) or not all(isinstance(each, dict) for each in operations):
        raise TransferError(
            "a batch of file operations arrived damaged: it is no list of objects", phase="pre-copy"
        )
    return operations, memoryview(body)[LENGTH.size + length :]
