# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a tree of files, without its content."""

from __future__ import annotations

import base64
import os
import stat
from typing import Any, NamedTuple

from ..kernel.inode_flags import APPEND, IMMUTABLE, read_flags
from ..kernel.rooted import Root

OVERLAY_XATTR_PREFIX = "trusted.overlay."
# What overlayfs itself protects, which has no flags in an upperdir (fs/overlayfs/util.c, ovl_check_protattr).
OVERLAY_FLAGS = {b"i": IMMUTABLE, b"a": APPEND}
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


def read_extra(root: Root, path: str, fd: int, *, overlay: bool) -> dict[str, Any]:
    """What moves of *path* beside its Stat: ``xattrs`` and ``flags``, as a batch has them; only what it has.

    :param fd: of a regular file or a directory, which alone have flags; -1 for all else.
    """
    xattrs, own = read_xattrs(root, path, overlay=overlay)
    flags = read_flags(fd) if fd >= 0 else 0
    protected = own.get(f"{OVERLAY_XATTR_PREFIX}protattr", b"")
    for letter, flag in OVERLAY_FLAGS.items():
        if letter in protected:
            flags |= flag
    extra: dict[str, Any] = {"xattrs": xattrs} if xattrs else {}
    if flags:
        extra["flags"] = flags
    return extra


def metadata(status: Stat, extra: dict[str, Any]) -> dict[str, Any]:
    """What ``chown``, ``chmod``, ``setxattr``, ``utimensat`` and the flags' ioctl set on the target."""
    return {
        "mode": stat.S_IMODE(status.mode),
        "uid": status.uid,
        "gid": status.gid,
        "mtime_ns": status.mtime_ns,
        **extra,
    }
