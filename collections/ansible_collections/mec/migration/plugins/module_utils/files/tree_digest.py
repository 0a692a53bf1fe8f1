# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Are two trees of files the same? For tests."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from typing import Any

from ..kernel.inode_flags import read_flags
from ..kernel.rooted import Root
from .scan import read_xattrs, scan


def tree_listing(
    path: str, exclude: Iterable[str] = (), *, overlay: bool = False
) -> dict[str, tuple[Any, ...]]:
    """Everything that moves of each path below *path*: type, mode, owner, time, xattrs, flags, content.

    Names of one inode show the first of them; that says which are linked, on any host.

    :param overlay: whether *path* is on an overlay mount or layer, whose own xattrs do not count.
    """
    root = Root(path)
    try:
        found = scan(root, frozenset(exclude))
        first: dict[tuple[int, int], str] = {}
        listing: dict[str, tuple[Any, ...]] = {}
        for name in sorted(found):
            status = found[name]
            content, flags = "", 0
            if stat.S_ISREG(status.mode):
                fd = root.open_file(name)
                with os.fdopen(fd, "rb") as stream:
                    flags = read_flags(stream.fileno())
                    digest = hashlib.blake2b(digest_size=16)
                    for part in iter(lambda: stream.read(1 << 20), b""):
                        digest.update(part)
                    content = digest.hexdigest()
            elif stat.S_ISDIR(status.mode):
                flags = read_flags(root.directory(name))
            elif stat.S_ISLNK(status.mode):
                parent_fd, last = root.parent(name)
                content = os.readlink(last, dir_fd=parent_fd)
            linked = ""
            if status.nlink > 1 and not stat.S_ISDIR(status.mode):
                linked = first.setdefault((status.dev, status.ino), name)
            xattrs, _overlay = read_xattrs(root, name, overlay=overlay)
            listing[name] = (
                stat.S_IFMT(status.mode),
                stat.S_IMODE(status.mode),
                status.uid,
                status.gid,
                status.mtime_ns,
                0 if stat.S_ISDIR(status.mode) else status.size,
                status.rdev,
                tuple(sorted(xattrs.items())),
                flags,
                content,
                linked,
            )
        return listing
    finally:
        root.close()
