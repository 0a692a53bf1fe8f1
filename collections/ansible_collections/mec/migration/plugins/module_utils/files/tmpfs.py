# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container's own tmpfs mounts (/dev, /dev/shm, masked paths), made on the target before the freeze.

CRIU would run tar and gzip for each of them, on both sides, while the service is frozen. To CRIU they are
external mounts instead: the source tells what is in them, the target mounts and fills them, and CRIU
binds those. A bind of a whole tmpfs is in no way different from the mount itself.

Only what is small and plain is taken: mounts that hold more (files of size, hard links, extended
attributes), or that are mounted twice or shared, are left to CRIU.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import os
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..base.errors import MigrationError
from ..kernel.mountinfo import Mount, mounts

MAX_CONTENT_BYTES = 64 << 10
MAX_ENTRIES = 1000
MS_RDONLY, MS_REMOUNT = 1, 32
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


class TmpfsMount(NamedTuple):
    """A mount that we make on the target; ``key`` is its name between the two CRIUs."""

    key: str
    point: str
    source: str
    super_options: str

    @property
    def dump_option(self) -> str:
        """For CRIU's option ``external``, on the dumping side."""
        return f"mnt[{self.point}]:{self.key}"


class TmpfsSource:
    """The source's side: which mounts are taken, what is in them, and whether that has changed.

    :param pid: a process of the container.
    :param external: mount points that are external to CRIU anyway.
    """

    def __init__(self, pid: int, external: list[str]) -> None:
        self._pid = pid
        self.mounts: list[TmpfsMount] = []
        self._content: dict[str, list[list[Any]]] = {}
        for mount in _candidates(mounts(pid), external):
            with contextlib.suppress(_TooMuch, OSError):
                taken = TmpfsMount(
                    f"mec-tmpfs-{len(self.mounts)}", mount.point, mount.source, mount.super_options
                )
                self._content[taken.key] = self._read(taken, MAX_CONTENT_BYTES)
                self.mounts.append(taken)

    def as_fields(self) -> list[dict[str, Any]]:
        """For the target: the mounts and what is in them."""
        return [dict(mount._asdict(), entries=self._content[mount.key]) for mount in self.mounts]

    def changed(self) -> dict[str, list[list[Any]]]:
        """In the frozen container: what is in those mounts that have changed since.

        :raises MigrationError: something is in one of them that cannot be taken along like this.
        """
        found = {}
        for mount in self.mounts:
            try:
                now = self._read(mount, None)
            except _TooMuch as error:
                raise MigrationError(
                    f"{mount.point} of the container changed during the hand-over: {error}. Start the "
                    "migration again",
                    phase="handover",
                ) from error
            if now != self._content[mount.key]:
                found[mount.key] = self._content[mount.key] = now
        return found

    def _read(self, mount: TmpfsMount, limit_bytes: int | None) -> list[list[Any]]:
        root = f"/proc/{self._pid}/root{mount.point}"
        device = os.lstat(root).st_dev
        entries: list[list[Any]] = []
        left = limit_bytes
        for path in _walk(root, device):
            entry, size = _describe(root, path, device)
            entries.append(entry)
            if len(entries) > MAX_ENTRIES:
                raise _TooMuch(f"more than {MAX_ENTRIES} files")
            if left is not None:
                left -= size
                if left < 0:
                    raise _TooMuch(f"more than {limit_bytes} bytes")
        return entries


class TmpfsTarget:
    """The target's side: makes the mounts in *directory* and fills them."""

    def __init__(self, directory: str) -> None:
        self._dir = directory
        self._mounts: dict[str, TmpfsMount] = {}

    def make(self, fields: list[dict[str, Any]]) -> None:
        """:raises OSError: a mount could not be made or filled."""
        self.close()
        for each in fields:
            entries = each.pop("entries")
            mount = TmpfsMount(**each)
            path = self._path(mount.key)
            os.makedirs(path, mode=0o700, exist_ok=True)
            options = ",".join(
                option for option in mount.super_options.split(",") if option not in ("ro", "rw")
            )
            _mount(mount.source, path, 0, options)
            self._mounts[mount.key] = mount
            _fill(path, entries)
            if "ro" in mount.super_options.split(","):
                _mount(mount.source, path, MS_REMOUNT | MS_RDONLY, options)

    def update(self, changed: dict[str, list[list[Any]]]) -> None:
        for key, entries in changed.items():
            _empty(self._path(key))
            _fill(self._path(key), entries)

    @property
    def criu_config(self) -> str:
        """Lines for CRIU's configuration file, on the restoring side."""
        return "".join(f"external mnt[{key}]:{self._path(key)}\n" for key in self._mounts)

    def close(self) -> None:
        """The restored container has its own binds of them."""
        for key in self._mounts:
            _libc.umount2(os.fsencode(self._path(key)), MNT_DETACH)
        self._mounts = {}

    def _path(self, key: str) -> str:
        return os.path.join(self._dir, os.path.basename(key))


class _TooMuch(Exception):
    pass


def _candidates(every: list[Mount], external: list[str]) -> Iterator[Mount]:
    points = [mount.point for mount in every]
    for mount in every:
        bound = [other for other in every if other.device == mount.device and other.point not in external]
        if (
            mount.kind == "tmpfs"
            and mount.root == "/"
            and mount.point not in ("/", *external)
            and not mount.propagation
            and points.count(mount.point) == 1
            and bound == [mount]
        ):
            yield mount


def _walk(root: str, device: int) -> Iterator[str]:
    """*root* and all below it on its device, parents first, in a fixed order."""
    yield root
    with os.scandir(root) as entries:
        names = sorted(entries, key=lambda entry: entry.name)
    for entry in names:
        if entry.is_dir(follow_symlinks=False) and os.lstat(entry.path).st_dev == device:
            yield from _walk(entry.path, device)
        else:
            yield entry.path


def _describe(root: str, path: str, device: int) -> tuple[list[Any], int]:
    """[path, mode, uid, gid, mtime_ns, rdev, link or content], and the size of the content."""
    found = os.lstat(path)
    relative = os.path.relpath(path, root)
    if found.st_dev != device:
        # Something is mounted there, and hides what it is mounted on.
        mode = stat.S_IFDIR | 0o755 if stat.S_ISDIR(found.st_mode) else stat.S_IFREG | 0o644
        return [relative, mode, 0, 0, 0, 0, ""], 0
    content, size = "", 0
    if stat.S_ISLNK(found.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(found.st_mode):
        if found.st_nlink > 1 or os.listxattr(path, follow_symlinks=False):
            raise _TooMuch(f"{relative} has hard links or extended attributes")
        with open(path, "rb") as file:
            data = file.read()
        content, size = base64.b64encode(data).decode("ascii"), len(data)
    return [
        relative,
        found.st_mode,
        found.st_uid,
        found.st_gid,
        found.st_mtime_ns,
        found.st_rdev,
        content,
    ], size


def _fill(root: str, entries: list[list[Any]]) -> None:
    times = []
    for relative, mode, uid, gid, mtime_ns, rdev, content in entries:
        path = os.path.normpath(os.path.join(root, relative))
        if path != root and not path.startswith(root + os.sep):
            raise OSError(f"{relative} lies outside of its mount")
        if stat.S_ISDIR(mode):
            if path != root:
                os.mkdir(path)
        elif stat.S_ISLNK(mode):
            os.symlink(content, path)
        elif stat.S_ISREG(mode):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(base64.b64decode(content))
        elif stat.S_ISSOCK(mode):
            # CRIU binds the socket anew.
            continue
        else:
            os.mknod(path, mode, rdev)
        os.lchown(path, uid, gid)
        if not stat.S_ISLNK(mode):
            os.chmod(path, stat.S_IMODE(mode))
        times.append((path, mtime_ns))
    # Last, and children first: what is made in a directory changes its time.
    for path, mtime_ns in reversed(times):
        os.utime(path, ns=(mtime_ns, mtime_ns), follow_symlinks=False)


def _empty(root: str) -> None:
    for path, folders, files in os.walk(root, topdown=False):
        for name in files:
            os.unlink(os.path.join(path, name))
        for name in folders:
            below = os.path.join(path, name)
            if os.path.islink(below):
                os.unlink(below)
            else:
                os.rmdir(below)


def _mount(source: str, point: str, flags: int, options: str) -> None:
    done = _libc.mount(os.fsencode(source), os.fsencode(point), b"tmpfs", flags, os.fsencode(options))
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot mount a tmpfs ({options}): {os.strerror(code)}", point)
