# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long CRIU packs the tmpfs mounts of a container: it runs tar and gzip while the service is frozen."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ..files.tmpfs_mounts import tree_mounts
from ..kernel.mountinfo import mounts

# Below this it is a second or two.
MUCH_BYTES = 32 << 20
SAMPLE_BYTES, SAMPLES, GZIP_LEVEL = 1 << 20, 3, 6


class PackedMount(NamedTuple):
    """A tmpfs of the container's own.

    :param seconds: what packing it takes on this host, by samples of its content.
    """

    point: str
    used_bytes: int
    seconds: float


def packed_mounts(pid: int) -> Iterator[PackedMount]:
    """The large tmpfs mounts that CRIU packs.

    Neither those that are mounted on the host, too, which are bind mounts to CRIU, nor those in rounds.

    :param pid: a process of the container.
    :raises OSError: the process is gone.
    """
    on_host = {mount.device for mount in mounts()}
    in_rounds = {mount.device for mount in tree_mounts(pid, [])}
    for mount in mounts(pid):
        if mount.kind == "tmpfs" and mount.device not in on_host | in_rounds:
            root = f"/proc/{pid}/root{mount.point}"
            figures = os.statvfs(root)
            used_bytes = (figures.f_blocks - figures.f_bfree) * figures.f_frsize
            if used_bytes > MUCH_BYTES:
                yield PackedMount(mount.point, used_bytes, used_bytes / _bytes_per_s(root))


def _bytes_per_s(root: str) -> float:
    """How fast gzip packs what is in *root*: the middle of its largest files."""
    sizes: list[tuple[int, str]] = []
    for directory, _directories, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            try:
                sizes.append((os.lstat(path).st_size, path))
            except OSError:
                continue
    packed_bytes, start = 1, time.monotonic()
    for size, path in sorted(sizes, reverse=True)[:SAMPLES]:
        try:
            # A file that is no plain one must not be waited for.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError:
            continue
        with open(descriptor, "rb") as file:
            file.seek(max(size - SAMPLE_BYTES, 0) // 2)
            content = file.read(SAMPLE_BYTES)
        zlib.compress(content, GZIP_LEVEL)
        packed_bytes += len(content)
    return packed_bytes / max(time.monotonic() - start, 1e-6)
