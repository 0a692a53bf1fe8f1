# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that are stopped (SIGSTOP, job control) in a cgroup of version 1 that is frozen.

PTRACE_SEIZE of a stopped process waits until that has come from its stop into the tracer's
(``ptrace_attach``, kernel/ptrace.c), which it cannot while it is frozen: CRIU would wait for ever. A process
that has the stop signal still before it is seized at once, and CRIU knows that it is to stay stopped
(``compel_wait_task``).
"""

from __future__ import annotations

import contextlib
import os
import signal

# Where the kernel says that a stopped process waits; its state shows only that it is frozen.
STOPPED_IN = "do_signal_stop"


def put_stops_back(pids: list[int]) -> list[int]:
    """Let stopped processes of a frozen cgroup have their stop before them again; returns which these are.

    None of them runs an instruction: once thawed they handle the signal first. SIGSTOP takes the SIGCONT
    back, so no handler of theirs sees it; their parents are told of both.
    """
    found = []
    for pid in pids:
        if _stopped(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGSTOP)
                found.append(pid)
    return found


def _stopped(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/wchan", encoding="ascii") as place:
            return place.read() == STOPPED_IN
    except OSError:
        return False
