# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a container's tmpfs mounts travel in rounds; :mod:`.tmpfs` says why."""

from __future__ import annotations

from collections.abc import Iterator

from ..kernel.mountinfo import Mount, mounts

# Of one mount that does not travel in rounds.
MAX_CONTENT_BYTES = 64 << 10


def tree_mounts(pid: int, external: list[str]) -> list[Mount]:
    """Those whose content travels in rounds.

    :param pid: a process of the container.
    :param external: mount points that are external to CRIU anyway.
    """
    every = mounts(pid)
    return [
        mount
        for mount in candidates(every, external)
        if "ro" not in mount.super_options.split(",")
        and not any(other.point.startswith(f"{mount.point}/") for other in every)
    ]


def candidates(every: list[Mount], external: list[str]) -> Iterator[Mount]:
    """Those of a container's tmpfs mounts that can be external to CRIU.

    :param every: all mounts that a process of the container sees.
    :param external: mount points that are external to CRIU anyway.
    """
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
