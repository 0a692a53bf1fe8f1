# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container sees of the cgroups, where version 1 is in use: its own ones, and no other container's.

``runc restore`` gives it the hierarchies that runc itself is in, which are the host's. The limits are in
force all the same, but a JVM, Go or a pool of workers reads them there. So the mounts are exchanged from
outside, as soon as the container runs: a mount of its own cgroup is made in the host's namespace and moved
into the container's.

Sources: open_tree(2), move_mount(2), mount_setattr(2), proc_pid_cgroup(5).
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from .calls import SYS_MOUNT_SETATTR, SYS_MOVE_MOUNT, SYS_OPEN_TREE, syscall
from .cgroup import Membership, memberships
from .libc import call, unmount
from .mountinfo import Mount, mounts

OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH, AT_EMPTY_PATH = 1, 4, 0x1000
AT_FDCWD = -100
RDONLY, NOSUID, NODEV, NOEXEC = 1, 2, 4, 8
CLONE_NEWNS = 0x00020000
# struct mount_attr: what is set, what is cleared, the propagation, a user namespace.
ATTRIBUTES = struct.Struct("=4Q")


class Exchange(NamedTuple):
    """A directory of the host that the container is to see at one of its mount points."""

    source: str
    point: str


def exchanges(inside: list[Mount], outside: list[Mount], own: list[Membership]) -> list[Exchange]:
    """Which mounts of a container show another cgroup than its own.

    :param inside: the container's mounts; *outside*: the host's.
    :param own: where the container's first process is.
    """
    hosts = {mount.device: mount for mount in reversed(outside) if mount.kind == "cgroup"}
    found = []
    for mount in inside:
        host = hosts.get(mount.device)
        if mount.kind != "cgroup" or host is None:
            continue
        names = set(mount.super_options.split(","))
        path = next((path for held, path in own if held and names.issuperset(held.split(","))), "")
        below = os.path.relpath(path, host.root) if path.startswith(host.root) else ".."
        wanted = os.path.normpath(os.path.join(host.root, below))
        if path and not below.startswith("..") and mount.root != wanted:
            found.append(Exchange(os.path.normpath(os.path.join(host.point, below)), mount.point))
    return found


def show_own(pid: int) -> list[str]:
    """Let the container of process *pid* see its own cgroups.

    :returns: what could not be exchanged, as words.
    """
    try:
        wanted = exchanges(mounts(pid), mounts(), memberships(pid))
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return [f"the view of the cgroups: {error.strerror}"]
    try:
        return [f"the view of {exchange.point}" for exchange in wanted if not _in_child(namespace, exchange)]
    finally:
        os.close(namespace)


def _in_child(namespace: int, exchange: Exchange) -> bool:
    """A thread may not enter a mount namespace beside others, so a fork of its own does."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _exchange(namespace, exchange)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _exchange(namespace: int, exchange: Exchange) -> None:
    tree = syscall(SYS_OPEN_TREE, AT_FDCWD, os.fsencode(exchange.source), OPEN_TREE_CLONE | os.O_CLOEXEC)
    attributes = ATTRIBUTES.pack(RDONLY | NOSUID | NODEV | NOEXEC, 0, 0, 0)
    syscall(SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, attributes, ATTRIBUTES.size)
    call("setns", namespace, CLONE_NEWNS)
    point = os.fsencode(exchange.point)
    unmount(exchange.point)
    syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, point, MOVE_MOUNT_F_EMPTY_PATH)
