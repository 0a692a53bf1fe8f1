# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of processes: their numbers, when they were started, how much memory they hold."""

from __future__ import annotations


def stat_fields(task: int | str) -> list[str]:
    """The fields of /proc/*task*/stat (proc_pid_stat(5)) from the third, the state, on.

    The second is the command in parentheses, which may hold anything.

    :param task: number of a process, or ``PID/task/TID``.
    :raises OSError: it is gone.
    """
    with open(f"/proc/{task}/stat", encoding="utf-8", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()


def start_time(pid: int) -> str:
    """When *pid* was started, in clock ticks since boot: tells a process from a later one of its number."""
    try:
        return stat_fields(pid)[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def status(task: int | str, name: str) -> str:
    """The line *name* of /proc/*task*/status, without its name; empty if it, or the task, is gone.

    :param task: number of a process, or ``PID/task/TID``.
    """
    try:
        with open(f"/proc/{task}/status", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith(f"{name}:"):
                    return line.partition(":")[2].strip()
    except (FileNotFoundError, ProcessLookupError):
        pass
    return ""


def program_bits(pid: int) -> int:
    """Of an address of the program that it executes, as the head of an ELF file says; 0: it is gone."""
    try:
        with open(f"/proc/{pid}/exe", "rb") as program:
            return {b"\x7fELF\x01": 32, b"\x7fELF\x02": 64}.get(program.read(5), 0)
    except OSError:
        return 0


def container_pids(pids: list[int]) -> dict[int, int]:
    """Number on the host -> number inside the container (the innermost PID namespace)."""
    inside = {pid: status(pid, "NSpid").split() for pid in pids}
    return {pid: int(numbers[-1]) for pid, numbers in inside.items() if numbers}


def memory_bytes(pids: list[int]) -> int:
    """Resident private anonymous memory of the processes."""
    return sum(_status_bytes(pid, "RssAnon") for pid in pids)


def locked_bytes(pid: int) -> int:
    """Memory that the process has locked (mlock(2))."""
    return _status_bytes(pid, "VmLck")


def _status_bytes(pid: int, name: str) -> int:
    words = status(pid, name).split()
    return int(words[0]) * 1024 if words else 0
