# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of processes: their numbers, when they were started, how much memory they hold."""

from __future__ import annotations


def start_time(pid: int) -> str:
    """When *pid* was started, in clock ticks since boot: tells a process from a later one of its number."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def container_pids(pids: list[int]) -> dict[int, int]:
    """Number on the host -> number inside the container (the innermost PID namespace)."""
    numbers = {}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
                for line in status:
                    if line.startswith("NSpid:"):
                        numbers[pid] = int(line.split()[-1])
                        break
        except (FileNotFoundError, ProcessLookupError):
            continue
    return numbers


def memory_bytes(pids: list[int]) -> int:
    """Resident private anonymous memory of the processes, from /proc/PID/status."""
    return sum(_status_bytes(pid, "RssAnon:") for pid in pids)


def locked_bytes(pid: int) -> int:
    """Memory that the process has locked (mlock(2))."""
    return _status_bytes(pid, "VmLck:")


def _status_bytes(pid: int, key: str) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
            for line in status:
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0
