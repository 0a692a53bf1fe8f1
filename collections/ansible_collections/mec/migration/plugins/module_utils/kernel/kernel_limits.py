# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a kernel (sysctl) that a service can reach, and that are not those of its namespaces."""

from __future__ import annotations

import contextlib

MAPPINGS, DESCRIPTORS = "vm.max_map_count", "fs.nr_open"
INSTANCES, WATCHES = "fs.inotify.max_user_instances", "fs.inotify.max_user_watches"
ASYNCHRONOUS_IO, ASYNCHRONOUS_IO_USED = "fs.aio-max-nr", "fs.aio-nr"
NAMES = (
    MAPPINGS,
    DESCRIPTORS,
    INSTANCES,
    WATCHES,
    ASYNCHRONOUS_IO,
    ASYNCHRONOUS_IO_USED,
)


def kernel_limits() -> dict[str, int]:
    """Those of this host by their names, without those that its kernel does not have."""
    found = {}
    for name in NAMES:
        path = f"/proc/sys/{name.replace('.', '/')}"
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as value:
            found[name] = int(value.read())
    return found
