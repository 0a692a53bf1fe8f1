# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a directory have been written and closed, told by inotify(7) as it happens."""

from __future__ import annotations

import os
import select
import struct

from .libc import call

# linux/inotify.h
IN_CLOSE_WRITE, IN_Q_OVERFLOW = 0x8, 0x4000
# struct inotify_event before its name: watch, mask, cookie, length of the name.
_EVENT = struct.Struct("=iIII")
READ_BYTES = 64 << 10


class ClosedFiles:
    """:param directory: what happens in it from now on.

    :raises OSError: the host has no inotify left to give.
    """

    _fd = -1

    def __init__(self, directory: str) -> None:
        self._fd = call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            call("inotify_add_watch", self._fd, os.fsencode(directory), IN_CLOSE_WRITE)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()

    def next(self, timeout_s: float) -> list[str]:
        """Names of files that were closed since the last call, in that order; waits for the first.

        Should the kernel have lost some, they are missing.
        """
        if not select.select([self._fd], [], [], timeout_s)[0]:
            return []
        data = os.read(self._fd, READ_BYTES)
        names = []
        at = 0
        while at < len(data):
            _watch, mask, _cookie, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            if not mask & IN_Q_OVERFLOW:
                names.append(os.fsdecode(data[at : at + length].rstrip(b"\0")))
            at += length
        return names
