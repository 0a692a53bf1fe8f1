# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container's own tmpfs mounts (/dev, /dev/shm, masked paths), made on the target before the freeze.

CRIU would run tar and gzip for each of them, on both sides, while the service is frozen. To CRIU they are
external mounts instead: the target mounts and fills them, and CRIU binds those. A bind of a whole tmpfs is
in no way different from the mount itself.

Where the service can write and nothing else is mounted below, as in /dev/shm, the content travels in
rounds like that of a volume: each such mount is a tree of files (:class:`TmpfsTrees`). Of the others only
what is small and plain is taken: those that hold more (files of size, hard links, extended attributes) are
left to CRIU, and so are those where a file is open by a name that was removed while another link stays: CRIU
makes a name for it there while it dumps. What is mounted twice or shared is always CRIU's.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import stat
from collections.abc import Collection
from typing import Any, NamedTuple

from ..base.errors import MigrationError
from ..kernel.libc import call, unmount
from ..kernel.mountinfo import Mount, mounts
from ..kernel.rooted import Root
from .tmpfs_mounts import MAX_CONTENT_BYTES, candidates, tree_mounts
from .trees import Tree

# What may have come in between. It travels in the mark's header, which has a limit of its own.
MAX_CHANGED_BYTES = 8 << 20
MAX_ENTRIES = 1000
TREE_PREFIX = "mec-tmpfs-tree-"
MS_RDONLY, MS_REMOUNT = 1, 32


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


class TmpfsTrees:
    """The source's side of those mounts whose content travels in rounds.

    They are held open, so that they are what is read, whatever the container mounts there later.

    :param pid: a process of the container.
    :param external: mount points that are external to CRIU anyway.
    """

    def __init__(self, pid: int, external: list[str]) -> None:
        self.mounts: list[TmpfsMount] = []
        self._devices: dict[tuple[str, str], TmpfsMount] = {}
        self._open: list[int] = []
        for mount in tree_mounts(pid, external):
            # What vanishes just now has nothing that could be sent.
            with contextlib.suppress(OSError):
                self._open.append(_open_mount(pid, mount.point))
                key = f"{TREE_PREFIX}{len(self.mounts)}"
                taken = TmpfsMount(key, mount.point, mount.source, mount.super_options)
                self.mounts.append(taken)
                self._devices[mount.point, mount.device] = taken

    def trees(self) -> list[Tree]:
        """For :class:`FileSync`; the names are the mounts' keys."""
        return [
            Tree(mount.key, f"/proc/self/fd/{fd}", destination=mount.point, in_memory=True)
            for mount, fd in zip(self.mounts, self._open)
        ]

    def of(self, mount: Mount) -> TmpfsMount | None:
        """What it is here; None if it is not one of these."""
        return self._devices.get((mount.point, mount.device))

    def close(self) -> None:
        for fd in self._open:
            os.close(fd)
        self._open, self.mounts, self._devices = [], [], {}


class TmpfsSource:
    """The source's side: which mounts are taken, what is in them, and whether that has changed.

    :param pid: a process of the container.
    :param external: mount points that are external to CRIU anyway.
    :param left: devices (``major:minor``) that are left to CRIU.
    :param trees: those whose content travels elsewhere.
    """

    def __init__(
        self, pid: int, external: list[str], left: Collection[str] = (), trees: TmpfsTrees | None = None
    ) -> None:
        self._pid = pid
        self.mounts: list[TmpfsMount] = []
        self._content: dict[str, list[list[Any]]] = {}
        for mount in candidates(mounts(pid), external):
            tree = trees.of(mount) if trees is not None else None
            if tree is not None:
                self.mounts.append(tree)
                continue
            if mount.device in left:
                continue
            with contextlib.suppress(_TooMuch, OSError):
                taken = TmpfsMount(
                    f"mec-tmpfs-{len(self.mounts)}", mount.point, mount.source, mount.super_options
                )
                self._content[taken.key] = self._read(taken, MAX_CONTENT_BYTES)
                self.mounts.append(taken)

    def as_fields(self) -> list[dict[str, Any]]:
        """For the target: the mounts and what is in them; without those that are trees."""
        return [
            dict(mount._asdict(), entries=self._content[mount.key])
            for mount in self.mounts
            if mount.key in self._content
        ]

    def changed(self) -> dict[str, list[list[Any]]]:
        """In the frozen container: what is in those mounts that have changed since.

        :raises MigrationError: something is in one of them that cannot be taken along like this.
        """
        found = {}
        for mount in self.mounts:
            if mount.key not in self._content:
                continue
            try:
                now = self._read(mount, MAX_CHANGED_BYTES)
            except (_TooMuch, OSError) as error:
                raise MigrationError(
                    f"{mount.point} of the container changed during the hand-over: {error}. Start the "
                    "migration again",
                    phase="handover",
                ) from error
            if now != self._content[mount.key]:
                found[mount.key] = self._content[mount.key] = now
        return found

    def _read(self, mount: TmpfsMount, limit_bytes: int) -> list[list[Any]]:
        """Nothing is read by its path: the container owns what is there, and may exchange it meanwhile."""
        place = _open_mount(self._pid, mount.point)
        try:
            root = Root(f"/proc/self/fd/{place}")
        finally:
            os.close(place)
        try:
            return _describe_all(root, limit_bytes)
        finally:
            root.close()


class TmpfsTarget:
    """The target's side: makes the mounts in *directory* and fills them."""

    def __init__(self, directory: str) -> None:
        self._dir = directory
        self._mounts: dict[str, TmpfsMount] = {}

    def make_trees(self, fields: list[dict[str, Any]]) -> dict[str, str]:
        """Make mounts whose content comes in rounds; returns the directory of each by its key.

        :raises OSError: a mount could not be made.
        """
        return {mount.key: self._make(mount) for mount in (TmpfsMount(**each) for each in fields)}

    def make(self, fields: list[dict[str, Any]]) -> None:
        """:raises OSError: a mount could not be made or filled."""
        for each in fields:
            entries = each.pop("entries")
            mount = TmpfsMount(**each)
            path = self._make(mount)
            _fill(path, entries)
            if "ro" in mount.super_options.split(","):
                _mount(mount.source, path, MS_REMOUNT | MS_RDONLY, _options(mount))

    def _make(self, mount: TmpfsMount) -> str:
        path = self._path(mount.key)
        os.makedirs(path, mode=0o700, exist_ok=True)
        if mount.key in self._mounts:
            with contextlib.suppress(OSError):
                unmount(path)
        _mount(mount.source, path, 0, _options(mount))
        self._mounts[mount.key] = mount
        return path

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
            with contextlib.suppress(OSError):
                unmount(self._path(key))
        self._mounts = {}

    def _path(self, key: str) -> str:
        return os.path.join(self._dir, os.path.basename(key))


def _options(mount: TmpfsMount) -> str:
    return ",".join(option for option in mount.super_options.split(",") if option not in ("ro", "rw"))


def _open_mount(pid: int, point: str) -> int:
    """A descriptor of the directory that *pid* sees at *point*; no link leads it elsewhere."""
    container = Root(f"/proc/{pid}/root")
    try:
        return os.dup(container.directory(point.strip("/")))
    finally:
        container.close()


class _TooMuch(Exception):
    pass


def _describe_all(root: Root, limit_bytes: int) -> list[list[Any]]:
    """The root and all below it on its device, parents first, in a fixed order."""
    device = os.fstat(root.directory("")).st_dev
    entries: list[list[Any]] = []
    left = limit_bytes
    paths = [""]
    while paths:
        path = paths.pop()
        entry, size = _describe(root, path, device, left)
        entries.append(entry)
        left -= size
        if len(entries) > MAX_ENTRIES:
            raise _TooMuch(f"more than {MAX_ENTRIES} files")
        found = root.lstat(path)
        if found is not None and stat.S_ISDIR(found.st_mode) and found.st_dev == device:
            with os.scandir(root.directory(path)) as below:
                names = sorted((entry.name for entry in below), reverse=True)
            paths += [f"{path}/{name}" if path else name for name in names]
    return entries


def _describe(root: Root, path: str, device: int, left_bytes: int) -> tuple[list[Any], int]:
    """[path, mode, uid, gid, mtime_ns, rdev, link or content], and the size of the content.

    :raises _TooMuch: it is larger than *left_bytes*, or cannot be described so.
    :raises OSError: it is no longer what it was a moment ago.
    """
    relative = path or "."
    found = root.lstat(path)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "vanished while it was read", relative)
    if found.st_dev != device:
        # Something is mounted there, and hides what it is mounted on.
        mode = stat.S_IFDIR | 0o755 if stat.S_ISDIR(found.st_mode) else stat.S_IFREG | 0o644
        return [relative, mode, 0, 0, 0, 0, ""], 0
    content, size = "", 0
    if stat.S_ISLNK(found.st_mode):
        parent, name = root.parent(path)
        content = os.readlink(name, dir_fd=parent)
    elif stat.S_ISREG(found.st_mode):
        if found.st_nlink > 1 or os.listxattr(root.proc_path(path), follow_symlinks=False):
            raise _TooMuch(f"{relative} has hard links or extended attributes")
        if found.st_size > left_bytes:
            raise _TooMuch(f"{relative} has {found.st_size} bytes, and {left_bytes} are left for it")
        with open(root.open_file(path), "rb") as file:
            data = file.read(left_bytes + 1)
        if len(data) > left_bytes:
            raise _TooMuch(f"{relative} grows")
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
    try:
        call("mount", os.fsencode(source), os.fsencode(point), b"tmpfs", flags, os.fsencode(options))
    except OSError as error:
        raise OSError(error.errno, f"cannot mount a tmpfs ({options}): {error.strerror}", point) from error
