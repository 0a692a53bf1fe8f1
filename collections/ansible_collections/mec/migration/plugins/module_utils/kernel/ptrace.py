# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One thread of another process, traced by this one.

Sources: ptrace(2); kernel/signal.c and kernel/ptrace.c of Linux. What differs between processors is in
:mod:`.registers`.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import struct
import time
from collections.abc import Collection
from typing import Any, NamedTuple

from . import kcmp, processes
from .libc import libc
from .registers import ThreadRegisters

# linux/ptrace.h
PTRACE_CONT, PTRACE_DETACH, PTRACE_SYSCALL = 7, 17, 24
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_GETSIGMASK, PTRACE_SETSIGMASK = 0x4206, 0x4207, 0x420A, 0x420B
PTRACE_GET_RSEQ_CONFIGURATION, PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG = 0x420F, 0x4211
PTRACE_O_TRACESYSGOOD, PTRACE_O_SUSPEND_SECCOMP = 1, 1 << 21
PTRACE_EVENT_STOP = 128
WALL = 0x40000000  # __WALL: threads, too
SYSCALL_STOP = signal.SIGTRAP | 0x80

ALL_SIGNALS = (1 << 64) - 1

_ptrace = libc.ptrace
_ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_ptrace.restype = ctypes.c_long


class RemoteError(Exception):
    """The process cannot be made to run a system call; it is as it was. The message is a clause."""


class TryAgain(RemoteError):
    """Not at this moment: a thread does not stop, or stands where it may not be diverted."""


def share_memory(pid: int, other: int) -> bool:
    """Whether two processes have one memory (between vfork and exec, or by clone).

    :raises OSError: one of them is gone, or the kernel has no kcmp.
    """
    return kcmp.compare(pid, other, kcmp.VM) == 0


def sharing_memory(pids: Collection[int]) -> dict[int, int]:
    """Those of *pids* that have the memory of their parent, which is one of them, too -> that parent."""
    return _sharing(pids, kcmp.VM)


def sharing_directory(pids: Collection[int]) -> dict[int, int]:
    """Likewise the working directory, the root and the umask: where one changes it, it changes for both."""
    return _sharing(pids, kcmp.FS)


def _sharing(pids: Collection[int], what: int) -> dict[int, int]:
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            state, parent = processes.stat_fields(pid)[:2]
            if state != "Z" and int(parent) in pids and kcmp.compare(pid, int(parent), what) == 0:
                found[pid] = int(parent)
    return found


class Stop(NamedTuple):
    """What a thread that stopped reports."""

    signal: int
    event: int

    @property
    def plain(self) -> bool:
        """Stopped by PTRACE_INTERRUPT, and by nothing else."""
        return self.event == PTRACE_EVENT_STOP and self.signal == signal.SIGTRAP


class TracedThread:
    """One thread that is traced by this process."""

    def __init__(self, pid: int, tid: int) -> None:
        self.pid = pid
        self.tid = tid
        self.held_back = False
        self.registers = ThreadRegisters()
        self._waiting: processes.WaitingCall | None = None
        self.stopped = False
        # Whether it stands at the entry of the call that it was in.
        self.entering = False
        self._options = PTRACE_O_TRACESYSGOOD
        if self.status("Seccomp") not in ("", "0"):
            self._options |= PTRACE_O_SUSPEND_SECCOMP

    def ptrace(self, request: int, address: Any = 0, data: Any = 0) -> int:
        """:raises OSError: as ptrace(2) says; ESRCH: not there, or not stopped."""
        result = int(_ptrace(request, self.tid, address, data))
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    def seize(self) -> None:
        """:raises RemoteError: it cannot be traced."""
        try:
            self.ptrace(PTRACE_SEIZE, 0, self._options)
            if self.registers.FORGETS_ARGUMENT:
                self._waiting = processes.waiting_call(f"{self.pid}/task/{self.tid}")
            self.ptrace(PTRACE_INTERRUPT)
        except OSError as error:
            tracer = self.status("TracerPid")
            if tracer not in ("", "0", str(os.getpid())):
                raise RemoteError(f"process {tracer} traces it") from error
            raise RemoteError(f"it may not be traced ({error.strerror})") from error

    def wait(self, end: float | None) -> Stop:
        """Its next stop.

        :param end: time.monotonic() to wait until; None: for ever.
        :raises TryAgain: it did not stop in time.
        :raises ProcessLookupError: it is gone.
        """
        while True:
            found, status = os.waitpid(self.tid, os.WNOHANG | WALL)
            if found:
                if not os.WIFSTOPPED(status):
                    raise ProcessLookupError(errno.ESRCH, f"thread {self.tid} is gone")
                return Stop(os.WSTOPSIG(status), status >> 16)
            left = 1.0 if end is None else end - time.monotonic()
            if left <= 0:
                raise TryAgain(f"thread {self.tid} does not stop ({self.status('State')})")
            signal.sigtimedwait({signal.SIGCHLD}, left)

    def wait_interrupted(self, end: float) -> None:
        """Wait for the stop that PTRACE_INTERRUPT asks for; signals that come before are delivered.

        :raises TryAgain: not in time, or it is stopped by SIGSTOP or the like.
        :raises ProcessLookupError: it is gone.
        """
        while (stop := self.wait(end)).event != PTRACE_EVENT_STOP:
            self.ptrace(PTRACE_CONT, 0, stop.signal)
        self.stopped = True
        if not stop.plain:
            raise TryAgain(f"it is stopped by {signal.Signals(stop.signal).name}")
        self.registers.read(self.ptrace)
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Let a call that only our stop has ended, with EINTR, be made again."""
        if self.registers.gave_up(self._waiting) and not self._signal_pending():
            self.registers.begin_anew(self._waiting)
            self.registers.write(self.ptrace)

    def diverted_by(self, memory: int) -> str:
        """Why this thread may not run a call for us; empty if it may. *memory*: its /proc/PID/mem."""
        if not self.registers.runs_64_bit:
            return "it runs 32-bit code"
        if self._handles_calls_itself():
            return "it handles its system calls itself (syscall user dispatch)"
        if not self.registers.in_call and self._in_critical_section(memory):
            return f"thread {self.tid} is in a restartable sequence"
        if self.registers.loses_by_call(self.ptrace):
            return f"thread {self.tid} uses vector registers that no system call preserves (SVE)"
        return ""

    def _handles_calls_itself(self) -> bool:
        dispatch = (ctypes.c_uint64 * 4)()
        try:
            self.ptrace(
                PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, ctypes.sizeof(dispatch), ctypes.addressof(dispatch)
            )
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # Kernels for arm64 have no such thing (CONFIG_GENERIC_ENTRY), or not yet.
            return False
        return bool(dispatch[0])

    def _in_critical_section(self, memory: int) -> bool:
        """A diversion would make the kernel forget the rseq section that the thread is in (rseq.h)."""
        configuration = ctypes.create_string_buffer(24)
        self.ptrace(PTRACE_GET_RSEQ_CONFIGURATION, len(configuration), ctypes.addressof(configuration))
        (place,) = struct.unpack_from("=Q", configuration)
        if not place:
            return False
        (section,) = struct.unpack("=Q", os.pread(memory, 8, place + 8))
        if not section:
            return False
        _version, _flags, start, size = struct.unpack("=IIQQ", os.pread(memory, 24, section))
        return bool(0 <= self.registers.instruction - start < size)

    def status(self, name: str) -> str:
        """A line of its /proc status; empty if it is gone."""
        return processes.status(f"{self.pid}/task/{self.tid}", name)

    def _signal_pending(self) -> bool:
        pending = processes.pending_signals(f"{self.pid}/task/{self.tid}")
        return bool(pending & ~int(self.status("SigBlk") or "0", 16))
