# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which directories of a service move."""

from __future__ import annotations

from typing import NamedTuple

DOCKER_MANAGED = (
    ".dockerenv",
    "dev",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "proc",
    "sys",
)
"""What Docker itself puts into a container's root file system, anew on each host."""
# The name of the container's own files; those of a mount bear its destination.
ROOTFS_TREE = "rootfs"


class Tree(NamedTuple):
    """A directory whose contents move.

    :param name: the same on both hosts, for example ``rootfs`` or ``volume:data``.
    :param path: the directory; of a container's root file system the overlay2 upperdir.
    :param overlay: whether *path* is an overlay upperdir: whiteouts mean "deleted" there.
    :param destination: where the container sees it, an absolute path.
    :param exclude: relative paths that stay behind, with everything below them (mount points of
        volumes); an overlay tree leaves out DOCKER_MANAGED as well.
    :param in_memory: a tmpfs of the container alone. What is written there through memory never changes
        the times of a file.
    """

    name: str
    path: str
    overlay: bool = False
    destination: str = "/"
    exclude: tuple[str, ...] = ()
    in_memory: bool = False

    def excluded(self) -> frozenset[str]:
        paths = tuple(path.strip("/") for path in self.exclude)
        return frozenset(paths + (DOCKER_MANAGED if self.overlay else ()))
