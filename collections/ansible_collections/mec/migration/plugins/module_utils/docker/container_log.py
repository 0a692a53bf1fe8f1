# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Docker keeps what a container has printed, which `docker logs` shows.

Names and formats are those of moby, `daemon/logger`: the driver json-file writes an object a line to
``ID-json.log``; the driver local writes frames to ``local-logs/container.log``; for a driver that cannot be
read from Docker keeps a copy in ``container-cached.log``, as local writes it. A frame is a length (4 bytes,
big-endian), so many bytes, and the length again. Docker renames a file that is full: ``.1`` is the newest of
these, ``.2`` the one before; behind ``.gz`` it is packed.
"""

from __future__ import annotations

import os
import re
import struct
from typing import NamedTuple

# How a log is written -> where, below the container's directory.
JSON_LINES, FRAMES, CACHED = "json-file", "local", "cached"
NAMES = {JSON_LINES: "{id}-json.log", FRAMES: "local-logs/container.log", CACHED: "container-cached.log"}
# So many files Docker keeps of a log, if its driver's options do not say otherwise.
MOST_FILES = {JSON_LINES: 1, FRAMES: 5, CACHED: 5}
# What the names of these options begin with.
OPTION_PREFIX = {JSON_LINES: "", FRAMES: "", CACHED: "cache-"}
# What is behind the name of a file that is full.
ROTATED = re.compile(r"\.([1-9]\d{0,3})(\.gz)?\Z")
FRAME_LENGTH = struct.Struct(">I")
# Of the newest part so much moves, if nobody says otherwise.
LOG_MIB = 16
# Where a line begins is looked for in pieces of this size.
PIECE_BYTES = 1 << 16


class LogFile(NamedTuple):
    """One file of a log, and from where on it moves.

    :ivar suffix: what is behind the name, ``.2.gz``; empty for the one that Docker writes to.
    """

    suffix: str
    path: str
    offset: int
    size_bytes: int


class ContainerLog(NamedTuple):
    """The log of one container on this host.

    :ivar form: one of :data:`NAMES`.
    """

    form: str
    path: str

    @classmethod
    def at(cls, docker_root: str, container_id: str, form: str) -> ContainerLog:
        """Where Docker has, or will have, a log of this form."""
        name = NAMES[form].format(id=container_id)
        return cls(form, os.path.join(docker_root, "containers", container_id, name))

    @classmethod
    def find(cls, docker_root: str, container_id: str) -> ContainerLog | None:
        """The log that is there; None where the container's driver keeps none on this host."""
        logs = (cls.at(docker_root, container_id, form) for form in NAMES)
        return next((log for log in logs if os.path.exists(log.path)), None)

    def files(self) -> list[LogFile]:
        """All files, newest first, each whole."""
        directory, name = os.path.split(self.path)
        found = []
        for entry in os.listdir(directory):
            match = ROTATED.match(entry[len(name) :]) if entry.startswith(name) else None
            if match or entry == name:
                path = os.path.join(directory, entry)
                number = int(match.group(1)) if match else 0
                found.append((number, LogFile(entry[len(name) :], path, 0, os.path.getsize(path))))
        return [file for _number, file in sorted(found, key=lambda one: one[0])]

    def newest(self, most_bytes: int) -> tuple[list[LogFile], int]:
        """The newest files, newest first, of at most *most_bytes*, and how many bytes are older than they.

        The file that Docker writes to is cut between two entries if it is longer. A full one moves whole or
        not at all.

        :raises OSError: it cannot be read.
        """
        files, left_bytes = self.files(), most_bytes
        taken: list[LogFile] = []
        for number, file in enumerate(files):
            offset = 0
            if file.size_bytes > left_bytes:
                if file.suffix:
                    return taken, sum(each.size_bytes for each in files[number:])
                offset = self._entry_after(file, file.size_bytes - left_bytes)
            taken.append(file._replace(offset=offset))
            left_bytes -= file.size_bytes - offset
            if offset:
                return taken, offset + sum(each.size_bytes for each in files[number + 1 :])
        return taken, 0

    def _entry_after(self, file: LogFile, position: int) -> int:
        """Where the first entry begins that does not begin before *position*; the file's end if none does."""
        with open(file.path, "rb") as log:
            if self.form != JSON_LINES:
                offset = 0
                while offset < position:
                    log.seek(offset)
                    length = log.read(FRAME_LENGTH.size)
                    if len(length) < FRAME_LENGTH.size:
                        return file.size_bytes
                    offset += FRAME_LENGTH.unpack(length)[0] + 2 * FRAME_LENGTH.size
                return min(offset, file.size_bytes)
            # An entry that begins right there has the end of a line before it.
            offset = max(position - 1, 0)
            log.seek(offset)
            while True:
                piece = log.read(PIECE_BYTES)
                end = piece.find(b"\n")
                if end >= 0:
                    return offset + end + 1
                if not piece:
                    return file.size_bytes
                offset += len(piece)


# Of a container whose driver keeps none on this host.
NO_LOG = ContainerLog(JSON_LINES, "")
