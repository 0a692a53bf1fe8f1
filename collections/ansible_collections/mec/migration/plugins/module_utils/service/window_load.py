# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes the frozen window of a service longer than its private memory does."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from typing import NamedTuple

from ..docker.reconnected_mounts import external_mounts
from ..files.tmpfs_mounts import MAX_CONTENT_BYTES, tree_mounts
from ..kernel.mapped_files import shared_writable_files
from ..kernel.mountinfo import mounts
from ..kernel.processes import memory_bytes, status
from ..memory.shared_memory import SYSTEM_V, shared_bytes
from ..memory.sharing_limits import LIMIT_SHARE, WORTHWHILE_BYTES
from .service import Service

# A file that was written this long ago is taken for one that is written again and again.
WRITTEN_S = 10.0


class WindowLoad(NamedTuple):
    """Counts and sizes; :mod:`..plugin_utils.prediction.cost_model` knows what each of them costs.

    :ivar shared_bytes: shared memory of all kinds, which is compared in the window.
    :ivar system_v_bytes: what of it is System V's, which is also made in it.
    :ivar tmpfs_bytes: what travels in it whole: what is on those tmpfs mounts of the container that do not
        travel in rounds, where that is not little.
    :ivar written_file_bytes: files that are being written; the last round reads them anew.
    :ivar copy_on_write_bytes: memory that forked processes share and CRIU compares, so that it stays shared.
    """

    processes: int
    threads: int
    shared_bytes: int
    system_v_bytes: int
    tmpfs_bytes: int
    written_file_bytes: int
    copy_on_write_bytes: int


def window_load(service: Service) -> WindowLoad:
    """As it is now; what ends meanwhile counts as little."""
    pids = service.pids()
    packed = _packed_bytes(service)
    return WindowLoad(
        processes=len(pids),
        threads=sum(int(status(pid, "Threads") or 1) for pid in pids),
        shared_bytes=shared_bytes(pids),
        system_v_bytes=shared_bytes(pids, SYSTEM_V),
        tmpfs_bytes=sum(packed.values()),
        written_file_bytes=_written_file_bytes(pids, set(packed)),
        copy_on_write_bytes=_copy_on_write_bytes(
            pids, int(service.spec["create"]["HostConfig"].get("Memory") or 0)
        ),
    )


def _packed_bytes(service: Service) -> dict[int, int]:
    """Of the tmpfs mounts that CRIU packs, by device; see :mod:`..files.tmpfs` for the others."""
    pid, external = service.runc.pid, external_mounts(service.runc)
    in_rounds = {mount.device for mount in tree_mounts(pid, external)}
    sizes: dict[int, int] = {}
    for mount in mounts(pid):
        if mount.kind == "tmpfs" and mount.point not in external and mount.device not in in_rounds:
            with contextlib.suppress(OSError):
                held = os.statvfs(f"/proc/{pid}/root{mount.point}")
                used_bytes = (held.f_blocks - held.f_bfree) * held.f_frsize
                if used_bytes > MAX_CONTENT_BYTES:
                    major, minor = map(int, mount.device.split(":"))
                    sizes[os.makedev(major, minor)] = used_bytes
    return sizes


def _written_file_bytes(pids: list[int], apart: set[int]) -> int:
    """:param apart: devices whose files are counted elsewhere."""
    sizes: dict[tuple[int, int], int] = {}
    since = time.time() - WRITTEN_S
    for pid in pids:
        for found in _open_for_writing(pid):
            if stat.S_ISREG(found.st_mode) and found.st_nlink and found.st_mtime >= since:
                sizes[found.st_dev, found.st_ino] = found.st_size
        for path in shared_writable_files([pid]):
            with contextlib.suppress(OSError):
                found = os.stat(f"/proc/{pid}/root{path}")
                if stat.S_ISREG(found.st_mode):
                    sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(size for (device, _inode), size in sizes.items() if device not in apart)


def _open_for_writing(pid: int) -> Iterator[os.stat_result]:
    directory = f"/proc/{pid}/fd"
    try:
        numbers = os.listdir(directory)
    except OSError:
        return
    for number in numbers:
        with contextlib.suppress(OSError):
            # The link's own permissions say how the file was opened (proc_pid_fd(5)).
            if os.lstat(f"{directory}/{number}").st_mode & stat.S_IWUSR:
                yield os.stat(f"{directory}/{number}")


def _copy_on_write_bytes(pids: list[int], limit_bytes: int) -> int:
    if len(pids) < 2:
        return 0
    anonymous = shared = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            sizes = _rollup(pid)
            anonymous += sizes.get("Anonymous", 0)
            shared += sizes.get("Anonymous", 0) - sizes.get("Pss_Anon", sizes.get("Anonymous", 0))
    tight = bool(limit_bytes) and memory_bytes(pids) > limit_bytes * LIMIT_SHARE
    return shared if shared >= WORTHWHILE_BYTES or tight else 0


def _rollup(pid: int) -> dict[str, int]:
    """Sizes from /proc/PID/smaps_rollup, in bytes.

    :raises OSError: the process is gone.
    """
    sizes = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as lines:
        for line in lines:
            words = line.split()
            if len(words) == 3 and words[2] == "kB":
                sizes[words[0].rstrip(":")] = int(words[1]) * 1024
    return sizes
