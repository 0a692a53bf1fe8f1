# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Docker keeps what a container has printed, which `docker logs` shows.

Names and formats are those of moby, `daemon/logger`: the driver json-file writes an object a line to
``ID-json.log``; the driver local writes frames to ``local-logs/container.log``; for a driver that cannot be
read from Docker keeps a copy in ``container-cached.log``, as local writes it. A frame is a length (4 bytes,
big-endian), so many bytes, and the length again. Docker renames a file that is full: ``.1`` is the newest of
these, ``.2`` the one before; one that ends in ``.gz`` is packed.
"""

from __future__ import annotations

import errno
import gzip
import os
import re
import struct
from typing import BinaryIO, NamedTuple, cast

# How a log is written -> where, below the container's directory.
JSON_LINES, FRAMES, CACHED = "json-file", "local", "cached"
NAMES = {JSON_LINES: "{id}-json.log", FRAMES: "local-logs/container.log", CACHED: "container-cached.log"}
# What the names of the driver's options begin with.
OPTION_PREFIX = {JSON_LINES: "", FRAMES: "", CACHED: "cache-"}
# As go-units reads sizes, of which k is 1,000; Docker refuses any other.
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?\Z", re.IGNORECASE)
UNITS = ("", "k", "m", "g", "t", "p")
# What is behind the name of a file that is full.
ROTATED = re.compile(r"\.([1-9]\d{0,3})(\.gz)?\Z")
FRAME_LENGTH = struct.Struct(">I")
# Of the newest part so much moves, if nobody says otherwise.
LOG_MIB = 16
# Where a line begins is looked for in pieces of this size.
PIECE_BYTES = 1 << 16


class LogLimits(NamedTuple):
    """What Docker keeps of a log.

    :ivar most_files: so many files.
    :ivar file_bytes: a file is full when it has so many bytes; infinite if none ever is.
    :ivar packed: whether full ones are packed.
    """

    most_files: int
    file_bytes: float
    packed: bool

    @classmethod
    def of(cls, form: str, options: dict[str, str]) -> LogLimits:
        """:param options: of the container's log driver, accepted by Docker, whose defaults fill them up."""
        prefix = OPTION_PREFIX[form]
        lines = form == JSON_LINES
        size = SIZE.match(options.get(prefix + "max-size", ""))
        file_bytes = float("inf") if lines else 20.0 * (1 << 20)
        if size:
            file_bytes = float(size.group(1)) * 1000 ** UNITS.index(size.group(2).lower())
        files = options.get(prefix + "max-file", "")
        # As strconv.ParseBool of Go understands it.
        packed = options.get(prefix + "compress", str(not lines)) in ("1", "t", "T", "true", "TRUE", "True")
        most_files = int(files) if files.isdigit() else 1 if lines else 5
        return cls(most_files, file_bytes, packed and most_files > 1)


class LogFile(NamedTuple):
    """One file of a log, and from where on it moves.

    :ivar number: 0 for the one that Docker writes to, 1 for the newest full one.
    :ivar offset: in what :meth:`open` reads.
    :ivar size_bytes: as it lies on disk.
    :ivar inode: Docker renames files when it begins a new one.
    """

    number: int
    path: str
    packed: bool
    offset: int
    size_bytes: int
    inode: int

    def open(self) -> BinaryIO:
        """Its entries.

        :raises FileNotFoundError: another one has its name now.
        :raises OSError, EOFError, zlib.error: it cannot be read; of a packed one that may be found out later.
        """
        log = self.open_packed()
        return cast(BinaryIO, gzip.GzipFile(fileobj=log)) if self.packed else log

    def open_packed(self) -> BinaryIO:
        """It as it lies on disk; errors as of :meth:`open`."""
        log = open(self.path, "rb")  # noqa: SIM115
        if os.fstat(log.fileno()).st_ino != self.inode:
            log.close()
            raise FileNotFoundError(errno.ENOENT, "it has another name now", self.path)
        return log


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
        found: dict[int, LogFile] = {}
        # Where a file is there packed and not packed, Docker is packing it: the packed one is not complete.
        for entry in sorted(os.listdir(directory), reverse=True):
            match = ROTATED.match(entry[len(name) :]) if entry.startswith(name) else None
            if match or entry == name:
                path = os.path.join(directory, entry)
                number = int(match.group(1)) if match else 0
                status = os.stat(path)
                found[number] = LogFile(number, path, path.endswith(".gz"), 0, status.st_size, status.st_ino)
        return [found[number] for number in sorted(found)]

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
                if file.number:
                    return taken, sum(each.size_bytes for each in files[number:])
                with file.open() as log:
                    offset = self.entry_after(log, file.size_bytes - left_bytes, file.size_bytes)
            taken.append(file._replace(offset=offset))
            left_bytes -= file.size_bytes - offset
            if offset:
                return taken, offset + sum(each.size_bytes for each in files[number + 1 :])
        return taken, 0

    def entry_after(self, log: BinaryIO, position: int, size_bytes: int) -> int:
        """Where the first entry begins that does not begin before *position*; *size_bytes* if none does."""
        if self.form != JSON_LINES:
            offset = 0
            while offset < position:
                log.seek(offset)
                length = log.read(FRAME_LENGTH.size)
                if len(length) < FRAME_LENGTH.size:
                    return size_bytes
                offset += FRAME_LENGTH.unpack(length)[0] + 2 * FRAME_LENGTH.size
            return min(offset, size_bytes)
        # An entry that begins right there has the end of a line before it.
        offset = max(position - 1, 0)
        log.seek(offset)
        while True:
            piece = log.read(PIECE_BYTES)
            end = piece.find(b"\n")
            if end >= 0:
                return offset + end + 1
            if not piece:
                return size_bytes
            offset += len(piece)

    def whole_entries_bytes(self, data: bytes) -> int:
        """Where in *data*, which begins with an entry, the last one ends that is there to its end."""
        if self.form == JSON_LINES:
            return data.rfind(b"\n") + 1
        end = 0
        while end + FRAME_LENGTH.size <= len(data):
            after = end + FRAME_LENGTH.unpack_from(data, end)[0] + 2 * FRAME_LENGTH.size
            if after > len(data):
                break
            end = after
        return end


# Of a container whose driver keeps none on this host.
NO_LOG = ContainerLog(JSON_LINES, "")
