# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CRIU's image of open files: read once in the frozen window, whoever needs it, and written once.

Format: CRIU's ``images/fdinfo.proto`` (``file_entry``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from .images import read_messages, write_messages

NAME, MAGIC = "files.img", 0x56303138
# Of file_entry: what kind of file it is (enum fd_types), CRIU's number of it.
TYPE, FILE = 1, 2
TYPE_KEY = TYPE << 3


class FilesImage:
    """That below *directory*; none is as good as one without files.

    It is read when it is first asked for something, which raises MigrationError where it is damaged.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._path = os.path.join(directory, NAME)
        self._messages: list[bytes] | None = None
        self._changed = False

    def of_type(self, kind: int) -> Iterator[tuple[int, bytes]]:
        """Files of a kind: where each is for :meth:`replace`, and its message."""
        # The type comes first, and is a number below 128.
        beginning = bytes([TYPE_KEY, kind])
        for index, message in enumerate(self._all()):
            if message.startswith(beginning):
                yield index, message

    def replace(self, index: int, message: bytes) -> None:
        """The image changes with :meth:`write`."""
        self._all()[index] = message
        self._changed = True

    def write(self) -> None:
        """If something was replaced."""
        if self._changed:
            write_messages(self._path, MAGIC, self._all())
        self._changed = False

    def _all(self) -> list[bytes]:
        if self._messages is None:
            exists = os.path.exists(self._path)
            self._messages = read_messages(self._path, MAGIC) if exists else []
        return self._messages
