# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container watches by inotify or fanotify, and under which names.

The kernel tells a watch's inode only. CRIU opens it by its handle (``alloc_openable``, criu/fsnotify.c),
which overlay, proc and sysfs do not offer and which leads nowhere where one file alone is mounted; else it
looks below paths that it is told (``irmap_lookup``, criu/irmap.c).
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from .libc import libc
from .mountinfo import Mount, mounts
from .processes import descriptors

WATCH = re.compile(
    r"^(?:inotify|fanotify) .*?ino:([0-9a-f]+) sdev:([0-9a-f]+).*?"
    r"fhandle-bytes:[0-9a-f]+ fhandle-type:([0-9a-f]+) f_handle:([0-9a-f]*)",
    re.MULTILINE,
)
OF_FILE_SYSTEM = re.compile(r"^fanotify sdev:", re.MULTILINE)
MASK = re.compile(r"^inotify .*? mask:([0-9a-f]+)", re.MULTILINE)
INOTIFY = "anon_inode:inotify"
WATCHERS = (INOTIFY, "anon_inode:[fanotify]")
# IN_EXCL_UNLINK, IN_ONESHOT (inotify(7)): CRIU takes the events only.
NOT_RESTORED = 0x04000000 | 0x80000000
# Nothing to be searched: the kernel makes what is in them as it is looked at.
MADE_BY_KERNEL = ("proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue")

# Process and file descriptor.
Holder = tuple[int, int]


class Watch(NamedTuple):
    """What is watched.

    :ivar device: as the kernel writes it there, 20 bits of it for the minor number.
    :ivar handle: a ``struct file_handle``.
    """

    inode: int
    device: int
    handle: bytes


class Watches(NamedTuple):
    """Of a container.

    :ivar paths: what CRIU is to be told, deep ones first, as it searches below each.
    :ivar nameless: those that CRIU can find nowhere.
    :ivar of_file_systems: those with a mark of fanotify on a whole file system.
    :ivar with_options: those with IN_ONESHOT or IN_EXCL_UNLINK.
    :ivar of_inotify: how many watches each instance of inotify has.
    """

    paths: tuple[str, ...] = ()
    nameless: tuple[Holder, ...] = ()
    of_file_systems: tuple[Holder, ...] = ()
    with_options: tuple[Holder, ...] = ()
    of_inotify: tuple[tuple[Holder, int], ...] = ()


def watches(first: int, pids: Iterable[int]) -> Watches:
    """Where it is what these processes watch.

    :param first: a process of the container, for its root directory.
    """
    holders: dict[Watch, list[Holder]] = {}
    of_file_systems, with_options, of_inotify = [], [], []
    for holder, link, text in _descriptors(pids):
        if link == INOTIFY:
            of_inotify.append((holder, text.count("\ninotify ")))
        if OF_FILE_SYSTEM.search(text):
            of_file_systems.append(holder)
        if any(int(mask, 16) & NOT_RESTORED for mask in MASK.findall(text)):
            with_options.append(holder)
        for inode, device, kind, handle in WATCH.findall(text):
            packed = bytes.fromhex(handle)
            header = struct.pack("=Ii", len(packed), int(kind, 16))
            holders.setdefault(Watch(int(inode, 16), int(device, 16), header + packed), []).append(holder)
    root = f"/proc/{first}/root"
    try:
        points = mounts(first) if holders else []
        top = _number(os.stat(root).st_dev)
    except OSError:
        return Watches()
    found: dict[Watch, str] = {}
    for device in {watch.device for watch in holders}:
        wanted = {watch for watch in holders if watch.device == device}
        on_it = [mount for mount in points if _device(mount) == device]
        if device == top:
            found.update(_searched(root, "", wanted))
        else:
            wanted -= {watch for watch in wanted if _opens(root, on_it, watch)}
            found.update(_elsewhere(root, on_it, wanted))
        for watch in wanted & set(found):
            del holders[watch]
        if device != top:
            for watch in {watch for watch in holders if watch.device == device} - wanted:
                del holders[watch]
    told = {_tellable(path) for path in found.values()}
    nameless = sorted({holder for each in holders.values() for holder in each})
    return Watches(
        tuple(sorted(told, key=lambda path: (-path.rstrip("/.").count("/"), path))),
        tuple(nameless),
        tuple(of_file_systems),
        tuple(with_options),
        tuple(of_inotify),
    )


def _descriptors(pids: Iterable[int]) -> Iterator[tuple[Holder, str, str]]:
    """Process and descriptor of each watcher, which one it is, and what the kernel tells of it."""
    for pid in pids:
        for number, link in descriptors(pid):
            if link in WATCHERS:
                told = f"/proc/{pid}/fdinfo/{number}"
                with contextlib.suppress(OSError), open(told, encoding="ascii") as info:
                    yield (pid, number), link, info.read()


def _number(device: int) -> int:
    return os.major(device) << 20 | os.minor(device)


def _device(mount: Mount) -> int:
    major, _colon, minor = mount.device.partition(":")
    return int(major) << 20 | int(minor)


def _is_it(status: os.stat_result, watch: Watch) -> bool:
    return status.st_ino == watch.inode and _number(status.st_dev) == watch.device


def _opens(root: str, points: Iterable[Mount], watch: Watch) -> bool:
    """Whether CRIU opens it by its handle, through a mounted directory, and sees a path that leads to it."""
    for mount in points:
        with contextlib.suppress(OSError):
            directory = os.open(f"{root}{mount.point}", os.O_RDONLY | os.O_DIRECTORY)
            try:
                opened = libc.open_by_handle_at(directory, watch.handle, os.O_PATH)
            finally:
                os.close(directory)
            if opened >= 0:
                try:
                    path = os.readlink(f"/proc/self/fd/{opened}")
                finally:
                    os.close(opened)
                if _is_it(os.lstat(f"{root}{path}"), watch):
                    return True
    return False


def _elsewhere(root: str, points: Iterable[Mount], wanted: Collection[Watch]) -> dict[Watch, str]:
    """Paths of what is mounted itself, or lies below a mount whose file system has no handles."""
    found: dict[Watch, str] = {}
    for mount in points:
        left = set(wanted) - set(found)
        with contextlib.suppress(OSError):
            status = os.lstat(f"{root}{mount.point}")
            found.update({watch: mount.point for watch in left if _is_it(status, watch)})
            if stat.S_ISDIR(status.st_mode) and mount.kind not in MADE_BY_KERNEL:
                found.update(_searched(root, mount.point, left - set(found)))
    return found


def _searched(root: str, below: str, wanted: Collection[Watch]) -> dict[Watch, str]:
    """Paths of those of the *wanted* that are below a directory, on its device."""
    found: dict[Watch, str] = {}
    left = {watch.inode: watch for watch in wanted}
    if left:
        device = os.stat(f"{root}{below}").st_dev
        for path, inode in _everything(root, below, device):
            if inode in left:
                found[left.pop(inode)] = path
                if not left:
                    break
    return found


def _everything(root: str, below: str, device: int) -> Iterator[tuple[str, int]]:
    """Paths on a device, as a process with that root sees them, and their inodes."""
    yield below or "/", os.stat(f"{root}{below}").st_ino
    left = [below]
    while left:
        directory = left.pop(0)
        with contextlib.suppress(OSError), os.scandir(f"{root}{directory}/") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    path = f"{directory}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        if status.st_dev != device:
                            continue
                        left.append(path)
                    yield path, status.st_ino


def _tellable(path: str) -> str:
    """The path, or the directory above it that can be written in CRIU's configuration.

    In double quotes a path may have white space; CRIU's parser knows no way to write a quote. To the root
    directory it finds no way without the point.
    """
    while set(path) & set('"\n\\'):
        path = os.path.dirname(path)
    return path if path != "/" else "/."
