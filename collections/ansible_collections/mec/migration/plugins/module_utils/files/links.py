# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""More names on the target for files that an open descriptor leads to: a hard link, or a file of its own.

For what a frozen container has open under a name that is gone. Where one of its names stays in a tree, the
new one is a link to it. Where none does (the other links are in the image, or outside of what moves) the
content is sent: nobody else can have it open there.
"""

from __future__ import annotations

import base64
import os
from typing import NamedTuple

from ..base.errors import MigrationError
from ..kernel.mountinfo import inside_root, mounts
from ..kernel.rooted import Root
from .batch import Batch, Operation
from .content import Content
from .scan import SECURITY_XATTRS_MOVED, Stat, metadata, stat_of
from .trees import Tree


class NewName(NamedTuple):
    """:param tree: that it is made in; *path* is relative to it.
    :param opened: a path below /proc that leads to the file.
    """

    tree: Tree
    path: str
    opened: str


def place(trees: tuple[Tree, ...], pid: int, path: str, opened: str) -> NewName | None:
    """In which tree an absolute *path* of a container lies; None for a tmpfs, which CRIU packs with its name.

    :param pid: a process of the container.
    :raises MigrationError: in none that moves.
    """
    root = f"/proc/{pid}/root"
    points = {mount.point: mount.kind for mount in mounts(pid)}
    by_point = {inside_root(root, tree.destination): tree for tree in trees}
    point = path
    while point not in points and point != "/":
        point = os.path.dirname(point)
    tree = by_point.get(point)
    if tree is None and points.get(point) == "tmpfs":
        return None
    relative = path[len(point) :].strip("/")
    if tree is None or _is_excluded(relative, tree):
        raise MigrationError(
            f"a file in {os.path.dirname(path)} is open by a name that was removed, other links to it stay, "
            f"and what is mounted at {point} does not move. Let the service open it by a name that stays",
            phase="handover",
        )
    return NewName(tree, relative, opened)


def _is_excluded(path: str, tree: Tree) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in tree.excluded())


def name_that_stays(new: NewName, stats: dict[str, Stat], pid: int) -> str:
    """A path of the tree that leads to the same file, empty if there is none.

    :param stats: of all that is in the tree.
    """
    wanted = stat_of(os.stat(new.opened))
    if not new.tree.overlay:
        inode = wanted.dev, wanted.ino
        return next((path for path, status in stats.items() if (status.dev, status.ino) == inode), "")
    # A file of the writable layer may have the number of the image's that it was copied from.
    root = Root(f"/proc/{pid}/root")
    try:
        for path, status in stats.items():
            if _alike(status, wanted):
                seen = root.lstat(path)
                if seen is not None and (seen.st_dev, seen.st_ino) == (wanted.dev, wanted.ino):
                    return path
    finally:
        root.close()
    return ""


def _alike(one: Stat, other: Stat) -> bool:
    return (one.size, one.mtime_ns, one.mode, one.uid, one.gid) == (
        other.size,
        other.mtime_ns,
        other.mode,
        other.uid,
        other.gid,
    )


def send_name(new: NewName, stays: str, batch: Batch) -> None:
    """:param stays: what :func:`name_that_stays` found."""
    if stays:
        batch.add({"op": "link", "path": new.path, "to": stays})
        return
    fd = os.open(new.opened, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = Content(fd)
        operation: Operation = {"op": "create", "path": new.path, "extents": []}
        for extent in content.extents():
            if extent.data is not None:
                operation["extents"].append([extent.offset, extent.length])
                batch.add_data(extent.data)
                if batch.full:
                    batch.add(operation)
                    operation = {"op": "write", "path": new.path, "extents": []}
        operation["size"] = content.size_bytes
        operation["meta"] = metadata(stat_of(os.fstat(fd)), _xattrs(fd))
        batch.add(operation)
    finally:
        os.close(fd)


def _xattrs(fd: int) -> dict[str, str]:
    return {
        key: base64.b64encode(os.getxattr(fd, key)).decode()
        for key in os.listxattr(fd)
        if not key.startswith("security.") or key in SECURITY_XATTRS_MOVED
    }
