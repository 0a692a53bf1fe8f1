# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of processes: their numbers, when they were started, how much memory they hold."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# A flag in /proc/PID/stat (include/linux/sched.h).
PF_EXITING = 0x4
SIGKILL_BIT = 1 << (signal.SIGKILL - 1)


class WaitingCall(NamedTuple):
    """The system call that a thread waits in: its number, its first argument, the stack pointer, and the
    address that it returns to."""

    number: int
    first: int
    stack: int
    back: int


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


def descriptors(pid: int) -> Iterator[tuple[int, str]]:
    """The file descriptors of a process and where their links lead; those that go meanwhile are left out."""
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                yield int(name), os.readlink(f"/proc/{pid}/fd/{name}")


def has_ended(pid: int) -> bool:
    """Whether *pid* has ended or is about to: one that is frozen ends by a SIGKILL once it is thawed."""
    try:
        fields = stat_fields(pid)
    except (FileNotFoundError, ProcessLookupError):
        return True
    return fields[0] in "ZX" or bool(int(fields[6]) & PF_EXITING) or bool(pending_signals(pid) & SIGKILL_BIT)


def pending_signals(task: int | str) -> int:
    """The signals that wait for a thread, or for all of its process, a bit each; none if it is gone."""
    return int(status(task, "SigPnd") or "0", 16) | int(status(task, "ShdPnd") or "0", 16)


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


def tracer_of(pid: int) -> int:
    """Number of the process that traces it, or one of its threads; 0 if nobody does.

    :raises OSError: it is gone.
    """
    for task in os.listdir(f"/proc/{pid}/task"):
        tracer = int(status(f"{pid}/task/{task}", "TracerPid") or 0)
        if tracer:
            return tracer
    return 0


def waiting_call(task: str) -> WaitingCall | None:
    """The system call that *task* (``PID/task/TID``) waits in; None if it waits in none, or is gone."""
    try:
        with open(f"/proc/{task}/syscall", encoding="ascii") as line:
            words = line.read().split()
    except OSError:
        return None
    # Otherwise ``running``, or ``-1`` and two addresses.
    if len(words) != 9:
        return None
    return WaitingCall(int(words[0]), *(int(words[place], 16) for place in (1, 7, 8)))


def program_bits(pid: int) -> int:
    """Of an address of the program that it executes, as the head of an ELF file says; 0: it is gone."""
    try:
        with open(f"/proc/{pid}/exe", "rb") as program:
            return {b"\x7fELF\x01": 32, b"\x7fELF\x02": 64}.get(program.read(5), 0)
    except OSError:
        return 0


def family(first: int, pids: Iterable[int]) -> dict[int, int]:
    """*first* and what descends from it among *pids*: number on the host -> number inside the container.

    Of what runs in a container CRIU dumps its first process and that one's descendants. What `docker exec` or
    a health check starts there has its parent outside.
    """
    parents: dict[int, int] = {}
    inside: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError, IndexError, ValueError):
            parents[pid], inside[pid] = _parent_and_number(pid)
    # One whose parent has ended meanwhile has another one now, inside the container (its first process, say).
    for pid, parent in parents.items():
        if pid != first and parent not in parents:
            with contextlib.suppress(OSError, ValueError):
                parents[pid] = int(stat_fields(pid)[1])
    return {pid: number for pid, number in inside.items() if _descends(pid, first, parents)}


def _parent_and_number(pid: int) -> tuple[int, int]:
    parent, number = 0, 0
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("PPid:"):
                parent = int(line.split()[1])
            elif line.startswith("NSpid:"):
                number = int(line.split()[-1])
                break
    return parent, number


def _descends(pid: int, first: int, parents: dict[int, int]) -> bool:
    seen: set[int] = set()
    while pid != first and pid in parents and pid not in seen:
        seen.add(pid)
        pid = parents[pid]
    return pid == first


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
