# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which storage a directory lies on, so that two hosts can find out that they share it."""

from __future__ import annotations

import os
from typing import NamedTuple

from .mountinfo import Mount, is_below, mounts

# File systems whose content more than one host can have at the same time; `fuse.` begins many more.
_SHARED_KINDS = """
nfs nfs4 cifs smb3 ceph glusterfs 9p virtiofs lustre gpfs beegfs afs ocfs2 gfs2 orangefs pvfs2
"""
SHARED_KINDS = frozenset(_SHARED_KINDS.split())


class Storage(NamedTuple):
    """A directory, as two hosts can compare it.

    :param kind: type of the file system, for example ``ext4`` or ``nfs4``.
    :param location: source of the mount and the path in it, for example ``server:/export/data``.
    :param kernel: identity of the running kernel; two containers of one machine have the same.
    """

    kind: str
    location: str
    kernel: str
    device: int
    inode: int
    changed_ns: int

    @property
    def can_be_shared(self) -> bool:
        return self.kind in SHARED_KINDS or self.kind.startswith("fuse.")

    def is_same(self, other: Storage) -> bool:
        """Whether both are the same directory: what is written to one is seen in the other.

        Under one kernel, device and inode number tell. Else only a file system that can be shared counts,
        and then where it comes from; or, since a server can have several names, the directory's inode
        number and time of change in nanoseconds.
        """
        if self.kernel == other.kernel:
            return (self.device, self.inode) == (other.device, other.inode)
        if not (self.can_be_shared and other.can_be_shared):
            return False
        same_directory = (self.inode, self.changed_ns) == (other.inode, other.changed_ns)
        return self.location == other.location or same_directory


def storage(path: str) -> Storage:
    """What *path* lies on.

    :raises OSError: it is not there.
    """
    found = os.stat(path)
    real = os.path.realpath(path)
    mount = _mount_of(real)
    kind, location = "unknown", ""
    if mount is not None:
        inside = os.path.join(mount.root, os.path.relpath(real, mount.point))
        kind, location = mount.kind, mount.source.rstrip("/") + os.path.normpath(inside)
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot:
        kernel = boot.read().strip()
    return Storage(kind, location.rstrip("/"), kernel, found.st_dev, found.st_ino, found.st_ctime_ns)


def _mount_of(real: str) -> Mount | None:
    best = None
    for mount in mounts():
        # Of two at one place the later one is seen.
        if is_below(real, mount.point) and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best
