# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process has asked of the kernel for its memory, that CRIU does not bring back and nobody else can
set: Documentation/filesystems/proc.rst and Documentation/admin-guide/mm/ksm.rst of Linux."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..kernel.process_memory import PAGE_BYTES, flagged_ranges
from ..kernel.processes import locked_bytes

# 4 to 7 pages, by architecture and release; no program locks nearly all of its memory otherwise.
KERNELS_OWN_BYTES = 256 << 10
NODES = "/sys/devices/system/node/online"


def memory_settings(pid: int) -> tuple[str, ...]:
    """In words. A process that is gone has none."""
    with contextlib.suppress(OSError):
        return tuple(_settings(pid))
    return ()


def _settings(pid: int) -> Iterator[str]:
    # To look for it the kernel walks through all memory.
    if locked_bytes(pid) and flagged_ranges(pid, "lf"):
        yield "memory that is locked page by page as it is touched (MLOCK_ONFAULT)"
    if _is_all_locked(pid):
        yield "all of its memory locked (mlockall)"
    if _is_merged(pid):
        yield "memory that the kernel may merge with other memory (PR_SET_MEMORY_MERGE)"
    # On a host with one node they mean nothing, and it would be another such walk.
    policies = _policies(pid) if _several_nodes() else ()
    if policies:
        yield f"memory with a NUMA policy ({', '.join(policies)})"


def _is_all_locked(pid: int) -> bool:
    """All but what the kernel itself has mapped there and never locks (vdso, vvar).

    Whether what is mapped later is locked, too (MCL_FUTURE), the kernel does not tell.
    """
    locked = locked_bytes(pid)
    if not locked:
        return False
    with open(f"/proc/{pid}/statm", encoding="ascii") as sizes:
        return int(sizes.read().split()[0]) * PAGE_BYTES - locked <= KERNELS_OWN_BYTES


def _is_merged(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/ksm_stat", encoding="ascii") as lines:
        return any(line.split() == ["ksm_merge_any:", "yes"] for line in lines)
    # No such file before Linux 6.1, or without KSM.
    return False


def _several_nodes() -> bool:
    with contextlib.suppress(OSError), open(NODES, encoding="ascii") as nodes:
        return nodes.read().strip() != "0"
    return False


def _policies(pid: int) -> list[str]:
    with open(f"/proc/{pid}/numa_maps", encoding="utf-8", errors="replace") as lines:
        return sorted({line.split()[1] for line in lines} - {"default"})
