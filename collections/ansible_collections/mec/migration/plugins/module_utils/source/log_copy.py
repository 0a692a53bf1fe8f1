# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container's log goes along, so that `docker logs` on the target shows what was printed here, too.

What is there goes before the container is started there: Docker opens its log then. What is printed later
goes between the rounds and in the frozen window. Docker on the target shows of the file that it has open only
what was in it then, and what it has written itself, so this must go elsewhere:

- With an option max-file of 2 or more all goes into files that Docker takes for full ones. Where Docker packs
  these it knows only packed ones; such a file may have several parts, one behind the other (RFC 1952).
- With a single file of lines there is room at its end: spaces, which are no entry. There is as much as the
  service prints in a minute, judged by what it printed so far.
- With a single file of frames it stays behind.

Nothing is asked, and the move does not fail for it: what stayed behind is a warning.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import time
from typing import Any, BinaryIO

from ..docker.container_log import (
    JSON_LINES,
    MOST_FILES,
    NO_LOG,
    OPTION_PREFIX,
    ROTATED,
    ContainerLog,
    LogFile,
)
from ..transport.wire import Channel

CHUNK_BYTES = 1 << 20
PACK_LEVEL = 1
ROOM_S = 60.0
LEAST_ROOM_BYTES, MOST_ROOM_BYTES = 1 << 16, 8 << 20


class LogCopy:
    """Sends one container's log.

    :param log: None where there is none that Docker could show.
    :param options: of its log driver.
    """

    def __init__(self, log: ContainerLog | None, options: dict[str, str]) -> None:
        self._log = log or NO_LOG
        self._most_files = _most_files(self._log.form, options)
        self._packed = self._most_files > 1 and _packed(self._log.form, options)
        self._seen = (self._size_bytes(), time.monotonic())
        self._channel: Channel | None = None
        # The file that is being read, from where on, and to where in the target's.
        self._open: BinaryIO | None = None
        self._begin = 0
        self._begin_there = 0
        # In the target's, where the next part belongs, and where it must end.
        self._position = 0
        self._end: float = 0
        self._left_bytes = 0

    @classmethod
    def of(cls, docker_root: str, inspected: dict[str, Any]) -> LogCopy:
        """:param inspected: what Docker says of the container."""
        config = inspected["HostConfig"].get("LogConfig") or {}
        return cls(ContainerLog.find(docker_root, str(inspected["Id"])), config.get("Config") or {})

    @property
    def error(self) -> str:
        """What stayed behind of what was printed during the move; empty if nothing did."""
        if not self._left_bytes:
            return ""
        return (
            f"there is no room for {self._left_bytes} bytes that were printed while it was moved; with "
            "option max-file of its log driver at 2 or more there is"
        )

    def send(self, channel: Channel, most_bytes: int) -> None:
        """Its newest part, before the container is there. What an earlier connection brought is void."""
        self.close()
        self._channel, self._position, self._end, self._left_bytes = channel, 0, float("inf"), 0
        if most_bytes <= 0:
            return
        # A log that is not there, or cannot be read, is none.
        with contextlib.suppress(OSError):
            files, _older_bytes = self._log.newest(most_bytes)
            for file in reversed(files[1:]):
                there = self._name_there(file.suffix)
                if there:
                    with open(file.path, "rb") as log:
                        self._send_rest(log, there, 0, pack=self._packed and not file.suffix.endswith(".gz"))
            for file in files[:1]:
                self._read(file)
                # Docker there must find the file even if nothing is in it.
                self._position = self._part(self._name_there(""), 0, b"", pack=self._packed)
            self.send_new(channel)
            if self._most_files == 1 and self._open is not None:
                self._leave_room()

    def send_new(self, channel: Channel) -> None:
        """What was printed since."""
        if self._open is None:
            return
        with contextlib.suppress(OSError):
            if channel is not self._channel:
                # What was under way on the one that broke may not have arrived.
                self._channel, self._position, self._left_bytes = channel, self._begin_there, 0
                self._open.seek(self._begin)
            # Asked first: if there are newer ones, nothing is written to this one any more.
            newer = self._begun_since()
            self._position = self._send_more(self._open)
            # On the target all of them go into one.
            for file in reversed(newer):
                self._position = self._send_more(self._read(file))

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _size_bytes(self) -> int:
        try:
            return os.path.getsize(self._log.path)
        except OSError:
            return 0

    def _leave_room(self) -> None:
        size_bytes, (seen_bytes, seen_at) = self._size_bytes(), self._seen
        bytes_per_s = (size_bytes - seen_bytes) / max(time.monotonic() - seen_at, 0.1)
        room_bytes = int(min(max(bytes_per_s * ROOM_S, LEAST_ROOM_BYTES), MOST_ROOM_BYTES))
        self._end = self._position
        if self._log.form == JSON_LINES:
            self._part("", self._position, b" " * (room_bytes - 1) + b"\n", pack=False)
            # Its last byte ends the line of spaces.
            self._end += room_bytes - 1

    def _name_there(self, suffix: str) -> str:
        """What a file of this name is called on the target; a full one that is too old has none."""
        if self._most_files == 1:
            return suffix
        match = ROTATED.match(suffix)
        number = int(match.group(1)) + 1 if match else 1
        packed = ".gz" if self._packed or (match and match.group(2)) else ""
        return f".{number}{packed}" if number < self._most_files else ""

    def _read(self, file: LogFile) -> BinaryIO:
        """Go on with this file, behind what is on the target."""
        self.close()
        self._open = open(file.path, "rb")  # noqa: SIM115
        self._open.seek(file.offset)
        self._begin, self._begin_there = file.offset, self._position
        return self._open

    def _begun_since(self) -> list[LogFile]:
        """Files that are newer than the one that is being read, newest first."""
        if self._open is None:
            return []
        known = os.fstat(self._open.fileno())
        # Once the container is removed it is there for whoever has it open.
        if not os.path.exists(self._log.path) or os.path.samestat(os.stat(self._log.path), known):
            return []
        newer: list[LogFile] = []
        for file in self._log.files():
            if os.path.samestat(os.stat(file.path), known):
                return newer
            newer.append(file)
        # It was packed or removed meanwhile; how many were begun since nobody knows but for the last one.
        return newer[:1]

    def _send_more(self, log: BinaryIO) -> int:
        return self._send_rest(log, self._name_there(""), self._position, pack=self._packed)

    def _send_rest(self, log: BinaryIO, there: str, position: int, *, pack: bool) -> int:
        """What is left to read, for that place in the target's file; returns the place behind it."""
        while True:
            data = log.read(CHUNK_BYTES)
            if not data:
                return position
            if position + len(data) > self._end:
                fits = max(int(self._end - position), 0)
                if self._log.form == JSON_LINES:
                    fits = data.rfind(b"\n", 0, fits) + 1
                self._left_bytes += len(data) - fits
                data = data[:fits]
            if data:
                position = self._part(there, position, data, pack=pack)

    def _part(self, there: str, position: int, data: bytes, *, pack: bool) -> int:
        """Send one; returns the place behind it."""
        data = gzip.compress(data, PACK_LEVEL) if pack else data
        if self._channel is not None:
            self._channel.send("log.part", data, form=self._log.form, file=there, offset=position)
        return position + len(data)


def _most_files(form: str, options: dict[str, str]) -> int:
    """So many files Docker keeps of the log."""
    default = MOST_FILES[form]
    try:
        return int(options.get(OPTION_PREFIX[form] + "max-file", default))
    except ValueError:
        return default


def _packed(form: str, options: dict[str, str]) -> bool:
    """Whether Docker packs files that are full."""
    # As strconv.ParseBool of Go understands it.
    chosen = options.get(OPTION_PREFIX[form] + "compress", str(form != JSON_LINES))
    return chosen in ("1", "t", "T", "true", "TRUE", "True")
