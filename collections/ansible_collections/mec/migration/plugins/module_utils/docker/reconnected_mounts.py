# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mount points of a container that a checkpoint leaves out, because the restore connects them anew."""

from __future__ import annotations

import os

from ..kernel.mountinfo import inside_root, mounts
from .runc_state import RuncState


def external_mounts(state: RuncState) -> list[str]:
    """Mount points that CRIU must not dump but reconnect: binds, cgroups, devices, masked paths.

    The same list as runc makes (``addCriuDumpMount``, ``getCgroupMounts``, ``addMaskPaths``): without the
    root file system's own path, and without symbolic links, as the kernel's table of mounts has them.
    """
    rootfs = state.config["rootfs"]
    points = []
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    for mount in state.config.get("mounts") or []:
        if mount.get("device") == "bind":
            points.append(inside_root(rootfs, mount["destination"]))
        elif mount.get("device") == "cgroup" and not unified and "NEWCGROUP" not in state.namespaces:
            for hierarchy in _cgroup_v1_mount_points():
                point = os.path.join(mount["destination"], os.path.basename(hierarchy))
                points.append(inside_root(rootfs, point))
    points += [device["path"] for device in state.config.get("devices") or []]
    return points


def masked_files(state: RuncState) -> list[str]:
    """Masked paths that are files in the container; they are bind mounts of /dev/null."""
    masked = []
    for path in state.config.get("mask_paths") or []:
        seen = f"/proc/{state.pid}/root{path}"
        if os.path.exists(seen) and not os.path.isdir(seen):
            masked.append(path)
    return masked


def reconnected_mounts(state: RuncState) -> list[str]:
    """All mount points that CRIU does not dump: :func:`external_mounts` and :func:`masked_files`."""
    return [*external_mounts(state), *masked_files(state)]


def _cgroup_v1_mount_points() -> list[str]:
    return [mount.point for mount in mounts() if mount.kind == "cgroup"]
