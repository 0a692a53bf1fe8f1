# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events that the kernel reports, in a buffer of our own.

The kernel's tracing has "instances": each has its own buffer and its own choice of events, so neither whoever
else traces on this host nor we notice the other. Sources: Documentation/trace/ftrace.rst and events.rst of
Linux; fsopen(2), fsmount(2).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable

from .calls import SYS_FSCONFIG, SYS_FSMOUNT, SYS_FSOPEN, syscall

FSOPEN_CLOEXEC = FSMOUNT_CLOEXEC = 1
FSCONFIG_CMD_CREATE = 6
PREFIX = "mec-migration-"
READ_BYTES = 1 << 16
MAX_FILTER_BYTES = 4095
"""What the kernel takes for the filter of an event."""
# Another migration may take a new instance for one that was left, in the moment before it is opened.
ATTEMPTS = 3


class TraceBuffer:
    """An instance of the kernel's tracing.

    :param size_bytes: of the buffer, for all processors together.
    :raises OSError: this kernel, or this host's rules, do not allow it.
    """

    def __init__(self, size_bytes: int) -> None:
        self._instances = _open_instances()
        self._pipe = self._dir = -1
        self._name = ""
        try:
            _remove_left(self._instances)
            self._make()
            per_cpu_kib = max(64, size_bytes // 1024 // (os.cpu_count() or 1))
            self._write("buffer_size_kb", str(per_cpu_kib))
            # Only the event's name and its fields, not who caused it and when.
            self._write("trace_options", "nocontext-info")
        except OSError:
            self.close()
            raise

    def _make(self) -> None:
        for attempt in range(ATTEMPTS):
            self._name = PREFIX + secrets.token_hex(8)
            os.mkdir(self._name, 0o700, dir_fd=self._instances)
            try:
                self._dir = os.open(
                    self._name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._instances
                )
                flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
                # While it is open, the kernel refuses to remove the instance.
                self._pipe = os.open("trace_pipe", flags, dir_fd=self._dir)
                return
            except FileNotFoundError:
                if attempt == ATTEMPTS - 1:
                    raise

    def first_of(self, events: Iterable[str]) -> str:
        """The first that this kernel has, each given as ``group/name``.

        :raises OSError: it has none.
        """
        tried = list(events)
        for event in tried:
            with contextlib.suppress(FileNotFoundError):
                os.stat(f"events/{event}/enable", dir_fd=self._dir)
                return event
        raise FileNotFoundError(f"the kernel reports no {' or '.join(tried)}")

    def filter(self, event: str, expression: str) -> None:
        """Which of these events are reported, for example ``ino==5||ino==7``; takes effect at once.

        :raises OSError: also if it is longer than MAX_FILTER_BYTES.
        """
        self._write(f"events/{event}/filter", expression)

    def enable(self, event: str) -> None:
        """:raises OSError: it cannot be reported."""
        self._write(f"events/{event}/enable", "1")

    def records(self, event: str) -> bool:
        """Whether these events are still being written down."""
        return self._read("tracing_on") == "1" and self._read(f"events/{event}/enable") == "1"

    def take(self) -> bytes:
        """What was reported since the last call: a line for each event, which are taken out of the buffer.

        Where some were lost because the buffer was full, a line says ``LOST``.

        :raises OSError: they cannot be read.
        """
        parts = []
        while True:
            try:
                part = os.read(self._pipe, READ_BYTES)
            except BlockingIOError:
                break
            if not part:
                break
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        for fd in (self._pipe, self._dir):
            if fd >= 0:
                os.close(fd)
        self._pipe = self._dir = -1
        if self._instances >= 0:
            if self._name:
                with contextlib.suppress(OSError):
                    os.rmdir(self._name, dir_fd=self._instances)
            os.close(self._instances)
        self._instances, self._name = -1, ""

    def _write(self, path: str, text: str) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, dir_fd=self._dir)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def _read(self, path: str) -> str:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._dir)
        try:
            return os.read(fd, 4096).decode().strip()
        finally:
            os.close(fd)


def _open_instances() -> int:
    """The directory of the instances, in a mount of the tracing file system that nobody else sees.

    The kernel takes the mount away with the last descriptor.
    """
    context = syscall(SYS_FSOPEN, b"tracefs", FSOPEN_CLOEXEC)
    try:
        syscall(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, 0, 0, 0)
        mount = syscall(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, 0)
    finally:
        os.close(context)
    try:
        return os.open("instances", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount)
    finally:
        os.close(mount)


def remove_left_instances() -> None:
    """Free the memory of what killed migrations left; nothing where the kernel does not allow it."""
    with contextlib.suppress(OSError):
        instances = _open_instances()
        try:
            _remove_left(instances)
        finally:
            os.close(instances)


def _remove_left(instances: int) -> None:
    """The kernel refuses it for those that are in use."""
    for name in os.listdir(instances):
        if name.startswith(PREFIX):
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=instances)
