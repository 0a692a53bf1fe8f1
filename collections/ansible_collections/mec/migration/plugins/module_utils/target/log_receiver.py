# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the container's log to where Docker on this host will show it, and go on with it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable

from ..base.ranges import MOST_LOG_MIB
from ..docker.container_log import NAMES, ROTATED, ContainerLog
from ..transport.wire import Channel, Message

# No source sends more in a file (whose room is more than its entries), or more files.
MAX_FILE_BYTES, MOST_FILES = 2 * MOST_LOG_MIB << 20, 1000
# As Docker makes them.
FILE_MODE, DIRECTORY_MODE = 0o640, 0o700


class LogReceiver:
    """Keeps the parts that come before there is a container; :meth:`place` puts them into its directory.

    Later ones are written there at once. Messages have no answer: what cannot be written is told at the end.
    Each part ends with an entry; a log that is not there to the end of an entry Docker cannot go on with, so
    if one of the first parts is missing none is placed, and of later ones none is left in part.

    :param staging_dir: on the file system of *docker_root*; made here.
    """

    def __init__(self, docker_root: str, staging_dir: str) -> None:
        self._docker_root = docker_root
        self._staging_dir = staging_dir
        self._container_id = ""
        # By form and suffix. Docker may rename a file, which then is still the same.
        self._files: dict[tuple[str, str], int] = {}
        self._error = ""
        self.handlers: dict[str, Callable[[Message, Channel], None]] = {"log.part": self._on_part}

    @property
    def told(self) -> dict[str, str]:
        """For the source, which makes a warning of it."""
        return {"log_error": self._error}

    def place(self, container_id: str) -> None:
        """Before the container is started: Docker opens its log then, and writes behind what is there."""
        self._container_id = container_id
        if self._error:
            self._drop()
            return
        try:
            for form, suffix in self._files:
                there = ContainerLog.at(self._docker_root, container_id, form).path + suffix
                os.makedirs(os.path.dirname(there), mode=DIRECTORY_MODE, exist_ok=True)
                os.rename(self._staged(form, suffix), there)
        except OSError as error:
            self._fail(error)

    def _drop(self) -> None:
        """Forget what has come."""
        for (form, suffix), descriptor in self._files.items():
            os.close(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._staged(form, suffix))
        self._files = {}

    def _on_part(self, message: Message, _channel: Channel) -> None:
        form, suffix, offset = message.text("form"), message.text("file"), message.integer("offset")
        if message.flag("first") and not self._container_id:
            # What an earlier connection has brought is void.
            self._drop()
            self._error = ""
        known = form in NAMES and (not suffix or ROTATED.match(suffix))
        if not known or offset + len(message.body) > MAX_FILE_BYTES or len(self._files) > MOST_FILES:
            self._error = self._error or f"a part of it arrived damaged ({form}, {suffix}, {offset})"
        if self._error:
            return
        try:
            self._write(self._file(form, suffix), offset, message.body, last=bool(suffix))
        except OSError as error:
            self._fail(error)

    def _staged(self, form: str, suffix: str) -> str:
        return os.path.join(self._staging_dir, f"log.{form}{suffix}")

    def _file(self, form: str, suffix: str) -> int:
        """A descriptor of that file, which is made if it is not there and there is no container yet."""
        key = (form, suffix)
        if key not in self._files:
            if self._container_id:
                raise FileNotFoundError(errno.ENOENT, f"a part of it is missing ({form}, {suffix})")
            os.makedirs(self._staging_dir, mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._files[key] = os.open(self._staged(form, suffix), flags, FILE_MODE)
        return self._files[key]

    def _write(self, descriptor: int, offset: int, data: bytes, *, last: bool) -> None:
        """:param last: cut the file behind this part (it is one that Docker does not write to)."""
        # Docker cannot read over a hole, which is left where a connection broke.
        if os.fstat(descriptor).st_size < offset:
            raise FileNotFoundError(errno.ENOENT, f"a part of it is missing (before {offset})")
        # Docker writes to the file that it has open, and relies on its length.
        ours = last or not self._container_id
        end = offset
        try:
            while end < offset + len(data):
                end += os.pwrite(descriptor, data[end - offset :], end)
        except OSError:
            if ours:
                os.ftruncate(descriptor, offset)
            raise
        if ours:
            # An earlier connection may have written further.
            os.ftruncate(descriptor, end)

    def _fail(self, error: OSError) -> None:
        where = f"Docker's directory {self._docker_root} on the target"
        self._error = self._error or f"{where}: {error.strerror or error}"
