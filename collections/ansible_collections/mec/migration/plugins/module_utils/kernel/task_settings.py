# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of processes and threads that CRIU 4.2 does not bring back: read, and set again from outside."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from .calls import syscall
from .processes import status

IOPRIO_WHO_PROCESS = 1


class TaskSettings(NamedTuple):
    """Of one thread, by its number in the container. Empty or -1: as every thread has it.

    :ivar processors: those it may run on, if not all of the machine.
    :ivar io_priority: as ioprio_get(2) has it.
    :ivar coredump_filter: hexadecimal, as /proc has it; of a process's first thread.
    """

    number: int
    processors: list[int]
    io_priority: int
    timer_slack_ns: int
    coredump_filter: str
    autogroup_nice: int


DEFAULT_SLACK_NS = 50000
DEFAULT_FILTER = 0x33


def threads(pids: list[int]) -> dict[int, tuple[int, int]]:
    """Number in the container -> (thread, process) on the host, of all threads."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/task"):
                numbers = status(f"{pid}/task/{name}", "NSpid").split()
                if numbers:
                    found[int(numbers[-1])] = int(name), pid
    return found


def read_settings(pids: list[int]) -> list[TaskSettings]:
    """The settings of those threads that have any."""
    found = []
    everywhere = set(range(os.cpu_count() or 1))
    for number, (tid, pid) in threads(pids).items():
        processors: list[int] = []
        with contextlib.suppress(OSError):
            allowed = os.sched_getaffinity(tid)
            processors = [] if allowed >= everywhere else sorted(allowed)
        slack = _read(tid, "timerslack_ns")
        core_filter = _read(pid, "coredump_filter") if tid == pid else ""
        autogroup = _read(pid, "autogroup") if tid == pid else ""
        settings = TaskSettings(
            number,
            processors,
            _io_priority(tid),
            int(slack) if slack and int(slack) != DEFAULT_SLACK_NS else -1,
            core_filter if core_filter and int(core_filter, 16) != DEFAULT_FILTER else "",
            int(autogroup.split()[-1]) if autogroup else 0,
        )
        if settings[1:] != ([], -1, -1, "", 0):
            found.append(settings)
    return found


def set_settings(pids: list[int], wanted: list[TaskSettings]) -> list[str]:
    """Set them; returns what could not be set, as words."""
    refused = []
    present = threads(pids)
    for settings in wanted:
        if settings.number not in present:
            continue
        tid, pid = present[settings.number]
        who = f"thread {settings.number}"
        if settings.processors:
            try:
                os.sched_setaffinity(tid, settings.processors)
            except OSError as error:
                refused.append(f"processors of {who} ({error.strerror})")
        if settings.io_priority >= 0 and not _set_io_priority(tid, settings.io_priority):
            refused.append(f"priority of input and output of {who}")
        for owner, name, value in (
            (tid, "timerslack_ns", str(settings.timer_slack_ns) if settings.timer_slack_ns >= 0 else ""),
            (pid, "coredump_filter", f"0x{settings.coredump_filter}" if settings.coredump_filter else ""),
            (pid, "autogroup", str(settings.autogroup_nice) if settings.autogroup_nice else ""),
        ):
            if value:
                try:
                    with open(f"/proc/{owner}/{name}", "w", encoding="ascii") as file:
                        file.write(value)
                except OSError as error:
                    refused.append(f"{name} of {who} ({error.strerror})")
    return refused


def _read(task: int, name: str) -> str:
    try:
        with open(f"/proc/{task}/{name}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _io_priority(tid: int) -> int:
    try:
        value = syscall("ioprio_get", IOPRIO_WHO_PROCESS, tid)
    except OSError:
        return -1
    # Class 0: none was set, it follows from the nice value.
    return value if value >> 13 else -1


def _set_io_priority(tid: int, value: int) -> bool:
    try:
        return syscall("ioprio_set", IOPRIO_WHO_PROCESS, tid, value) == 0
    except OSError:
        return False
