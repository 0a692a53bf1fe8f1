# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a tree of files, and which parts of a file's content changed."""

from __future__ import annotations

import base64
import collections
import concurrent.futures
import os
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..kernel.rooted import Root
from .digest import DIGEST_BYTES, block_digests

BLOCK_BYTES = 16 << 10
READ_BYTES = 1 << 20
"""How much is read, and at most sent in one extent, at a time; a multiple of BLOCK_BYTES."""
MAX_WHOLE_BYTES = 64 << 10
"""Files up to this size travel whole when they change; of larger ones only changed blocks do."""
PARALLEL_BYTES = 8 << 20
RUNS_AHEAD = 4
HOLE_DIGEST = bytes(DIGEST_BYTES)

OVERLAY_XATTR_PREFIX = "trusted.overlay."
# Other names in security.* (SELinux, IMA, Smack labels) are the policy of the host, not the file's.
SECURITY_XATTRS_MOVED = ("security.capability",)


class Stat(NamedTuple):
    """The fields by which a change is noticed; times in nanoseconds since the epoch."""

    dev: int
    ino: int
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @property
    def is_whiteout(self) -> bool:
        """Whether this is an overlayfs whiteout (kernel: filesystems/overlayfs.rst)."""
        return stat.S_ISCHR(self.mode) and self.rdev == 0


def stat_of(status: os.stat_result) -> Stat:
    return Stat(
        status.st_dev,
        status.st_ino,
        status.st_mode,
        status.st_nlink,
        status.st_uid,
        status.st_gid,
        status.st_rdev,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def scan(root: Root, excluded: frozenset[str] = frozenset()) -> dict[str, Stat]:
    """Every path of the tree with its Stat, ``""`` (the root directory) included.

    What vanishes during the scan is left out. Names that are not UTF-8 are surrogate-escaped.
    """
    root.forget()
    # This loop runs while the service is frozen: locals instead of attributes, one call per file.
    new, make, is_dir = tuple.__new__, Stat, stat.S_IFDIR
    found: dict[str, Stat] = {"": stat_of(os.fstat(root.directory("")))}
    directories = [""]
    while directories:
        directory = directories.pop()
        prefix = f"{directory}/" if directory else ""
        try:
            fd = root.directory(directory)
            entries = os.scandir(fd)
        except OSError:
            # Removed, or replaced by something else, since its parent was read: with the entry goes
            # what would be taken for an empty directory. The next scan sees what it has become.
            if not directory:
                raise
            found.pop(directory, None)
            continue
        with entries:
            for entry in entries:
                path = prefix + entry.name
                if path in excluded:
                    continue
                try:
                    s = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                mode = s.st_mode
                found[path] = new(
                    make,
                    (
                        s.st_dev,
                        s.st_ino,
                        mode,
                        s.st_nlink,
                        s.st_uid,
                        s.st_gid,
                        s.st_rdev,
                        s.st_size,
                        s.st_mtime_ns,
                        s.st_ctime_ns,
                    ),
                )
                if mode & 0o170000 == is_dir:
                    directories.append(path)
    return found


def read_xattrs(root: Root, path: str, *, overlay: bool) -> tuple[dict[str, str], dict[str, bytes]]:
    """Extended attributes of *path*: those that move (base64), and overlayfs's own (raw).

    In an upperdir ``trusted.overlay.*`` is overlayfs's bookkeeping; elsewhere it is data.
    """
    name = root.proc_path(path)
    # The root's own name ends in a descriptor, which is a link to follow.
    follow = not path
    moved: dict[str, str] = {}
    own: dict[str, bytes] = {}
    for key in os.listxattr(name, follow_symlinks=follow):
        if key.startswith("security.") and key not in SECURITY_XATTRS_MOVED:
            continue
        try:
            value = os.getxattr(name, key, follow_symlinks=follow)
        except OSError:
            continue  # removed since it was listed
        if overlay and key.startswith(OVERLAY_XATTR_PREFIX):
            own[key] = value
        else:
            moved[key] = base64.b64encode(value).decode()
    return moved, own


class Extent(NamedTuple):
    """A piece of a file: *data* at *offset* (bytes), or a hole of *length* bytes where it is None."""

    offset: int
    length: int
    data: bytes | None


class Content:
    """Reads a file once, yields what differs from the digests of last time, leaves new digests.

    One digest stands for the whole of a file of up to MAX_WHOLE_BYTES, else for BLOCK_BYTES each.
    """

    def __init__(self, fd: int, known: bytes = b"") -> None:
        self._fd = fd
        self._known = known
        self.size_bytes = os.fstat(fd).st_size
        self.digests = b""

    @property
    def whole(self) -> bool:
        return self.size_bytes <= MAX_WHOLE_BYTES

    def extents(self) -> Iterator[Extent]:
        """What to write, in order. Exhaust it before ``digests`` is used."""
        if self.whole:
            content = _read(self._fd, 0, self.size_bytes)
            self.size_bytes = len(content)
            self.digests = block_digests(content, MAX_WHOLE_BYTES)
            if self.digests != self._known:
                yield from self._sparse(content)
            return
        digests = bytearray()
        offset = 0
        for start, data, run_digests in self._digested_runs():
            if data is None:
                block_count = -(-(start - offset) // BLOCK_BYTES)
                yield from self._holes(offset, start, len(digests))
                digests += HOLE_DIGEST * block_count
                offset = start
                continue
            place = len(digests)
            digests += run_digests
            if run_digests != self._known[place : len(digests)]:
                yield from self._changed(offset, data, run_digests, place)
            offset += len(data)
        self.size_bytes = min(self.size_bytes, offset)
        self.digests = bytes(digests)

    def _changed(self, offset: int, data: bytes, run_digests: bytes, place: int) -> Iterator[Extent]:
        """The changed blocks of a run at *offset*, neighbours together."""
        changed_from = None
        for at in range(0, len(data), BLOCK_BYTES):
            i = at // BLOCK_BYTES * DIGEST_BYTES
            known = self._known[place + i : place + i + DIGEST_BYTES]
            if run_digests[i : i + DIGEST_BYTES] != known:
                if changed_from is None:
                    changed_from = at
            elif changed_from is not None:
                part = data[changed_from:at]
                yield Extent(offset + changed_from, len(part), part)
                changed_from = None
        if changed_from is not None:
            part = data[changed_from:]
            yield Extent(offset + changed_from, len(part), part)

    def _digested_runs(self) -> Iterator[tuple[int, bytes | None, bytes]]:
        """The runs with the digests of their blocks; of a large file hashed in two threads.

        This can be inside the frozen window, where the service's processors are free.
        """
        if self.size_bytes < PARALLEL_BYTES:
            for start, data in self._runs():
                yield start, data, _block_digests(data)
            return
        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            ahead: collections.deque[tuple[int, bytes | None, concurrent.futures.Future[bytes]]]
            ahead = collections.deque()
            for start, data in self._runs():
                ahead.append((start, data, threads.submit(_block_digests, data)))
                if len(ahead) > RUNS_AHEAD:
                    first, content, hashed = ahead.popleft()
                    yield first, content, hashed.result()
            for first, content, hashed in ahead:
                yield first, content, hashed.result()

    def _sparse(self, data: bytes) -> Iterator[Extent]:
        for start, end in _data_ranges(self._fd, len(data)):
            yield Extent(start, end - start, data[start:end])

    def _runs(self) -> Iterator[tuple[int, bytes | None]]:
        """Runs of data as (offset, bytes), and (end, None) for each hole, aligned to blocks."""
        position = 0
        for data_start, data_end in _data_ranges(self._fd, self.size_bytes):
            start = max(position, data_start // BLOCK_BYTES * BLOCK_BYTES)
            if start > position:
                yield start, None
                position = start
            end = min(self.size_bytes, -(-data_end // BLOCK_BYTES) * BLOCK_BYTES)
            while position < end:
                data = _read(self._fd, position, min(READ_BYTES, end - position))
                if not data:
                    return  # truncated while it was read; its times tell the next round
                yield position, data
                position += len(data)
                if position % BLOCK_BYTES and position < self.size_bytes:
                    return
        if position < self.size_bytes:
            yield self.size_bytes, None

    def _holes(self, start: int, end: int, place: int) -> Iterator[Extent]:
        """The hole from *start* to *end*, where the target is not known to have one there."""
        count = -(-(end - start) // BLOCK_BYTES)
        if self._known and self._known[place:][: count * DIGEST_BYTES] != HOLE_DIGEST * count:
            yield Extent(start, end - start, None)


def _block_digests(data: bytes | None) -> bytes:
    """Of a run; a hole has none."""
    return b"" if data is None else block_digests(data, BLOCK_BYTES)


def _read(fd: int, offset: int, length: int) -> bytes:
    data = os.pread(fd, length, offset)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def _data_ranges(fd: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are not holes (lseek(2), SEEK_DATA)."""
    position = 0
    while position < size_bytes:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
        except OSError:
            return  # ENXIO: a hole up to the end
        end = min(size_bytes, os.lseek(fd, start, os.SEEK_HOLE))
        if start >= size_bytes:
            return
        yield start, end
        position = end


def metadata(status: Stat, xattrs: dict[str, str]) -> dict[str, Any]:
    """What ``chown``, ``chmod``, ``setxattr`` and ``utimensat`` set on the target."""
    fields: dict[str, Any] = {
        "mode": stat.S_IMODE(status.mode),
        "uid": status.uid,
        "gid": status.gid,
        "mtime_ns": status.mtime_ns,
    }
    if xattrs:
        fields["xattrs"] = xattrs
    return fields
