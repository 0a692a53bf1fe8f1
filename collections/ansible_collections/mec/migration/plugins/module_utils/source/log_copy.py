# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container's log goes along, so that `docker logs` on the target shows what was printed here, too.

What is there goes before the container is started there: Docker opens its log then. What is printed later
goes between the rounds and in the frozen window. Docker on the target shows of the file that it has open only
what was in it then, and what it has written itself, so this must go elsewhere:

- With an option max-file of 2 or more all goes into files that Docker takes for full ones. The file that
  Docker writes to here is put behind the newest full one as long as both together are no longer than a full
  file; if there is no place for one more file, no longer than two. So no less is kept than Docker keeps here.
  Where Docker packs full files it knows only packed ones; such a file may have several parts, one behind the
  other (RFC 1952).
- With a single file of lines there is room at its end: spaces, which belong to the entry that follows. There
  is as much as the service prints in a minute, judged by what it printed so far, and at most half of what
  Docker lets the file grow, since it begins anew with an empty one then.
- With a single file of frames it stays behind.

The source does not wait for answers, and a failure here does not fail the move: it becomes a warning.
"""

from __future__ import annotations

import gzip
import os
import re
import time
import zlib
from typing import Any, BinaryIO

from ..docker.container_log import JSON_LINES, NO_LOG, ContainerLog, LogFile, LogLimits
from ..transport.wire import Channel

CHUNK_BYTES = 1 << 20
PACK_LEVEL = 1
ROOM_S = 60.0
LEAST_ROOM_BYTES, MOST_ROOM_BYTES = 1 << 16, 8 << 20
# Two files that begin alike are one: entries hold when they were printed.
HEAD_BYTES = 1 << 12
ATTEMPTS = 3
# Of an earlier move.
UNUSED_ROOM = re.compile(rb"^ +\n?", re.MULTILINE)
UNREADABLE = (OSError, EOFError, zlib.error)


class LogCopy:
    """Sends one container's log.

    :param log: None where there is none that Docker could show.
    :param options: of its log driver.
    """

    def __init__(self, log: ContainerLog | None, options: dict[str, str]) -> None:
        self._log = log or NO_LOG
        self._limits = LogLimits.of(self._log.form, options)
        self._seen = (self._size_bytes(), time.monotonic())
        self._channel: Channel | None = None
        # Whether the next part is the first one, which makes void what came before.
        self._first = True
        # The file being read; the offset where reading began; the offset of that in the target's file.
        self._open: BinaryIO | None = None
        self._begin = 0
        self._begin_there = 0
        # What was read last, right before where it is read on.
        self._last_read = b""
        # In the target's, where the next part belongs, and where it must end.
        self._position = 0
        self._end: float = 0
        self._no_room_bytes = 0
        # Behind the last whole entry.
        self._cut_bytes = 0
        self._removed = False
        self._unreadable = ""

    @classmethod
    def of(cls, docker_root: str, inspected: dict[str, Any]) -> LogCopy:
        """:param inspected: what Docker says of the container."""
        config = inspected["HostConfig"].get("LogConfig") or {}
        return cls(ContainerLog.find(docker_root, str(inspected["Id"])), config.get("Config") or {})

    @property
    def error(self) -> str:
        """What stayed behind of what was printed during the move; empty if nothing did."""
        told = []
        if self._no_room_bytes:
            told.append(
                f"there is no room for {self._no_room_bytes} bytes that were printed during the move; with "
                "option max-file of its log driver at 2 or more there is"
            )
        if self._removed:
            told.append("Docker removed full files of it during the move, before they were sent")
        if self._unreadable:
            told.append(f"it cannot be read ({self._unreadable})")
        if self._cut_bytes:
            told.append(f"its last {self._cut_bytes} bytes are no whole entry")
        return "; ".join(told)

    def send(self, channel: Channel, most_bytes: int) -> None:
        """Its newest part, before the container is there. What an earlier connection brought is void."""
        self._channel, self._end = channel, float("inf")
        self._no_room_bytes = self._cut_bytes = 0
        if most_bytes <= 0 or not self._log.path:
            return
        try:
            self._send_all(most_bytes)
        except UNREADABLE as error:
            self.close()
            self._unreadable = str(error)
            # What was sent may end in the middle of an entry, so it is void.
            self._first, self._position = True, 0
            self._append(b"")
            return
        self.send_new(channel)
        if self._limits.most_files == 1 and self._open is not None:
            self._leave_room()

    def _send_all(self, most_bytes: int) -> None:
        for attempt in range(ATTEMPTS):
            self._first = True
            try:
                self._send_files(self._log.newest(most_bytes)[0])
                break
            except FileNotFoundError:
                # Docker has begun a new file meanwhile, so all of them have other names now.
                if attempt == ATTEMPTS - 1:
                    raise

    def send_new(self, channel: Channel) -> None:
        """What was printed since."""
        if self._open is None:
            return
        try:
            if channel is not self._channel:
                # What was under way on the one that broke may not have arrived.
                self._channel, self._position, self._no_room_bytes = channel, self._begin_there, 0
                self._read_from(self._begin)
            # Look for newer files first: once there is one, Docker writes no more to this one, so one read
            # gets all of it.
            newer = self._begun_since()
            if self._emptied():
                self._read_from(0)
            self._send_rest(self._open)
            # On the target all of them go into one.
            for file in reversed(newer):
                self._send_rest(self._read(file))
            self._unreadable = ""
        except UNREADABLE as error:
            # It is tried again with what is printed next.
            self._unreadable = str(error)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    @property
    def _newest_there(self) -> str:
        """Which file on the target gets what Docker writes here."""
        return self._full_there(1) if self._limits.most_files > 1 else ""

    def _full_there(self, number: int) -> str:
        return f".{number}.gz" if self._limits.packed else f".{number}"

    def _size_bytes(self) -> int:
        try:
            return os.path.getsize(self._log.path)
        except OSError:
            return 0

    def _send_files(self, files: list[LogFile]) -> None:
        """:param files: newest first, the one that Docker writes to among them."""
        self.close()
        self._position = 0
        if not files:
            return
        begun, full = files[0], files[1:]
        newest = full.pop(0) if full and full[0].number == 1 else None
        together = self._put_together(begun, newest, full) if newest is not None else None
        if newest is not None and together is None:
            full = [file._replace(number=file.number + 1) for file in (newest, *full)]
        for file in reversed(full):
            # Docker shows none that is older.
            if file.number < self._limits.most_files:
                self._send_as_it_is(file, self._full_there(file.number))
        if together is not None:
            self._send_before(together)
        # Docker there must find the file even if nothing is in it.
        self._append(b"")
        self._read(begun)

    def _put_together(self, begun: LogFile, newest: LogFile, older: list[LogFile]) -> LogFile | None:
        """The newest full file, if the one that Docker writes to goes behind it; cut if it is too long."""
        try:
            entries_bytes = _entries_bytes(newest)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return None
        both_bytes = begun.size_bytes + entries_bytes
        if both_bytes <= self._limits.file_bytes:
            return newest
        last = self._limits.most_files - 1
        if all(file.number != last for file in (newest, *older)):
            return None
        too_long_bytes = both_bytes - 2 * self._limits.file_bytes
        if too_long_bytes <= 0:
            return newest
        if older:
            # The oldest one goes, as it would here.
            return None
        with newest.open() as log:
            return newest._replace(offset=self._log.entry_after(log, int(too_long_bytes), entries_bytes))

    def _send_before(self, file: LogFile) -> None:
        """The beginning of the file on the target that gets what Docker writes here."""
        if file.packed == self._limits.packed and not file.offset:
            self._position = self._send_as_it_is(file, self._newest_there)
        else:
            self._send_rest(self._read(file))

    def _send_as_it_is(self, file: LogFile, there: str) -> int:
        position = 0
        with file.open_packed() as log:
            for data in iter(lambda: log.read(CHUNK_BYTES), b""):
                position = self._part(there, position, data, pack=self._limits.packed and not file.packed)
        return position

    def _leave_room(self) -> None:
        size_bytes, (seen_bytes, seen_at) = self._size_bytes(), self._seen
        bytes_per_s = (size_bytes - seen_bytes) / max(time.monotonic() - seen_at, 0.1)
        wanted_bytes = min(max(bytes_per_s * ROOM_S, LEAST_ROOM_BYTES), MOST_ROOM_BYTES)
        room_bytes = int(max(min(wanted_bytes, (self._limits.file_bytes - self._position) / 2), 0))
        self._end = self._position
        if self._log.form == JSON_LINES and room_bytes:
            self._part("", self._position, b" " * room_bytes, pack=False)
            self._end += room_bytes

    def _read(self, file: LogFile) -> BinaryIO:
        """Go on with this file, behind what is on the target."""
        # If this fails the one before stays open, so that it can be tried again.
        log = file.open()
        log.seek(file.offset)
        self.close()
        self._open = log
        self._read_from(file.offset)
        return log

    def _read_from(self, offset: int) -> None:
        """Go on from there in the file that is open, behind what is on the target."""
        if self._open is not None:
            self._open.seek(offset)
            self._begin, self._begin_there, self._last_read = offset, self._position, b""

    def _emptied(self) -> bool:
        """Whether somebody has emptied the file that Docker writes to since (``truncate -s 0``)."""
        # A packed one is full, so nobody writes to it.
        if self._open is None or isinstance(self._open, gzip.GzipFile):
            return False
        before = self._open.tell() - len(self._last_read)
        return os.pread(self._open.fileno(), len(self._last_read), before) != self._last_read

    def _begun_since(self) -> list[LogFile]:
        """Files that are newer than the one that is being read, newest first."""
        if self._open is None:
            return []
        descriptor = self._open.fileno()
        known = os.fstat(descriptor)
        # Docker removes the file with the container; our descriptor still reads it.
        if not os.path.exists(self._log.path) or os.path.samestat(os.stat(self._log.path), known):
            return []
        head = os.pread(descriptor, HEAD_BYTES, 0)
        newer: list[LogFile] = []
        for file in self._log.files():
            if os.path.samestat(os.stat(file.path), known) or (file.packed and _head(file) == head):
                return newer
            newer.append(file)
        self._removed = True
        return newer

    def _send_rest(self, log: BinaryIO) -> None:
        """The whole entries that are left to read, behind what is on the target."""
        lines = self._log.form == JSON_LINES
        while True:
            data = log.read(CHUNK_BYTES)
            whole_bytes = self._log.whole_entries_bytes(data)
            begun = data[whole_bytes:].lstrip(b" ") if lines else data[whole_bytes:]
            self._last_read = data[: len(data) - len(begun)][-HEAD_BYTES:] or self._last_read
            self._cut_bytes = len(begun)
            if begun:
                # The rest of this entry is yet to be written.
                log.seek(-len(begun), os.SEEK_CUR)
            if len(begun) == len(data):
                return
            entries = UNUSED_ROOM.sub(b"", data[:whole_bytes]) if lines else data[:whole_bytes]
            fits_bytes = len(entries)
            if self._position + fits_bytes > self._end:
                fits_bytes = self._log.whole_entries_bytes(entries[: max(int(self._end - self._position), 0)])
                self._no_room_bytes += len(entries) - fits_bytes
                # What comes later goes nowhere either, or there would be a gap.
                self._end = self._position + fits_bytes
            if fits_bytes:
                self._append(entries[:fits_bytes])

    def _append(self, data: bytes) -> None:
        """Send more of what Docker writes here."""
        self._position = self._part(self._newest_there, self._position, data, pack=self._limits.packed)

    def _part(self, there: str, position: int, data: bytes, *, pack: bool) -> int:
        """Send one; returns the place behind it."""
        data = gzip.compress(data, PACK_LEVEL) if pack else data
        if self._channel is not None:
            form, first = self._log.form, self._first
            self._channel.send("log.part", data, form=form, file=there, offset=position, first=first)
            self._first = False
        return position + len(data)


def _entries_bytes(file: LogFile) -> int:
    """How long its entries are together."""
    if not file.packed:
        return file.size_bytes
    with file.open() as log:
        return sum(len(data) for data in iter(lambda: log.read(CHUNK_BYTES), b""))


def _head(file: LogFile) -> bytes:
    with file.open() as log:
        return log.read(HEAD_BYTES)
