# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls in another process, by ptrace, while all its threads stand still. x86-64 only.

Whoever changes the registers of a thread must put them back, or the process is lost. So this is done in
a child of ours that no signal reaches (:func:`in_child`), with everything looked up before the first
thread is stopped, and which gives up only as long as nothing is changed.

Sources: ptrace(2); kernel/signal.c, kernel/ptrace.c and arch/x86/kernel/signal.c of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import platform
import signal
import socket
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

from ..base.priority import hurry
from . import processes
from .process_memory import Area, areas

# linux/ptrace.h
PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_DETACH, PTRACE_SYSCALL = 7, 12, 13, 17, 24
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_GETSIGMASK, PTRACE_SETSIGMASK = 0x4206, 0x4207, 0x420A, 0x420B
PTRACE_GET_RSEQ_CONFIGURATION, PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG = 0x420F, 0x4211
PTRACE_O_TRACESYSGOOD, PTRACE_O_SUSPEND_SECCOMP = 1, 1 << 21
PTRACE_EVENT_STOP = 128
WALL = 0x40000000  # __WALL: threads, too
SYSCALL_STOP = signal.SIGTRAP | 0x80

# arch/x86/entry/syscalls/syscall_64.tbl
SYS_CLOSE, SYS_KCMP, SYS_USERFAULTFD, SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 3, 312, 323, 434, 438
KCMP_VM = 1
# Calls that end with EINTR, and are not begun anew by the kernel, when a thread is stopped and goes on:
# read, write, readv, writev, connect, accept, send*, recv* (with a timeout), semop, rt_sigtimedwait,
# io_getevents, semtimedop, epoll_wait, epoll_pwait, accept4, recvmmsg, sendmmsg, epoll_pwait2 (signal(7)).
GIVE_UP_ON_STOP = frozenset(
    (0, 1, 19, 20, 42, 43, 44, 45, 46, 47, 65, 128, 208, 220, 232, 281, 288, 299, 307, 441)
)
CODE_64_BIT = 0x33  # the user's code segment
SYSCALL_INSTRUCTION = b"\x0f\x05"
SYSCALL_BYTES = len(SYSCALL_INSTRUCTION)
ALL_SIGNALS = (1 << 64) - 1
NO_CALL = (1 << 64) - 1

# How long a thread may take to stop while others stand still already.
STOP_TIMEOUT_S = 0.05
# And how long to wait for it after giving up, only to let it go as it was.
FAREWELL_S = 1.0
ANSWER_TIMEOUT_S = 5.0
ATTEMPTS = 4

_libc = ctypes.CDLL(None, use_errno=True)
_ptrace = _libc.ptrace
_ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_ptrace.restype = ctypes.c_long
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


class RemoteError(Exception):
    """The process cannot be made to run a system call; it is as it was. The message is a clause."""


class TryAgain(RemoteError):
    """Not at this moment: a thread does not stop, or stands where it may not be diverted."""


class Registers(ctypes.Structure):
    """``struct user_regs_struct``."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx"),
            *("rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base"),
            *("ds", "es", "fs", "gs"),
        )
    ]

    rax: int
    rdi: int
    rip: int
    cs: int
    orig_rax: int

    @property
    def result(self) -> int:
        return ctypes.c_int64(self.rax).value

    @property
    def in_call(self) -> bool:
        """Whether the thread was in a system call."""
        return ctypes.c_int64(self.orig_rax).value >= 0

    def copy(self) -> Registers:
        return Registers.from_buffer_copy(self)


def supported() -> str:
    """Why this machine cannot do it; empty if it can."""
    machine = platform.machine()
    return "" if machine == "x86_64" else f"it is made for x86_64, this is {machine}"


def syscall(number: int, *arguments: int) -> int:
    """A system call of this process. :raises OSError: it failed."""
    result = int(_syscall(ctypes.c_long(number), *(ctypes.c_long(value) for value in arguments)))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def share_memory(pid: int, other: int) -> bool:
    """Whether two processes have one memory (between vfork and exec, or by clone).

    :raises OSError: one of them is gone, or the kernel has no kcmp.
    """
    return syscall(SYS_KCMP, pid, other, KCMP_VM, 0, 0) == 0


class _Stop(NamedTuple):
    """What a thread that stopped reports."""

    signal: int
    event: int

    @property
    def plain(self) -> bool:
        """Stopped by PTRACE_INTERRUPT, and by nothing else."""
        return self.event == PTRACE_EVENT_STOP and self.signal == signal.SIGTRAP


class _Thread:
    """One thread that is traced by this process."""

    def __init__(self, pid: int, tid: int) -> None:
        self.pid = pid
        self.tid = tid
        self.held_back = False
        self.registers = Registers()
        self.stopped = False
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
            self.ptrace(PTRACE_INTERRUPT)
        except OSError as error:
            tracer = self.status("TracerPid")
            if tracer not in ("", "0", str(os.getpid())):
                raise RemoteError(f"process {tracer} traces it") from error
            raise RemoteError(f"it may not be traced ({error.strerror})") from error

    def wait(self, end: float | None) -> _Stop:
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
                return _Stop(os.WSTOPSIG(status), status >> 16)
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
        self.ptrace(PTRACE_GETREGS, 0, ctypes.addressof(self.registers))
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Let a call that only our stop has ended, with EINTR, be made again."""
        if (
            self.registers.result == -errno.EINTR
            and self.registers.orig_rax in GIVE_UP_ON_STOP
            and not self._signal_pending()
        ):
            self.registers.rax = self.registers.orig_rax
            self.registers.rip -= SYSCALL_BYTES
            self.registers.orig_rax = NO_CALL
            self.ptrace(PTRACE_SETREGS, 0, ctypes.addressof(self.registers))

    def diverted_by(self, memory: int) -> str:
        """Why this thread may not run a call for us; empty if it may. *memory*: its /proc/PID/mem."""
        if self.registers.cs != CODE_64_BIT:
            return "it runs 32-bit code"
        dispatch = (ctypes.c_uint64 * 4)()
        self.ptrace(
            PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, ctypes.sizeof(dispatch), ctypes.addressof(dispatch)
        )
        if dispatch[0]:
            return "it handles its system calls itself (syscall user dispatch)"
        if not self.registers.in_call and self._in_critical_section(memory):
            return f"thread {self.tid} is in a restartable sequence"
        return ""

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
        return bool(0 <= self.registers.rip - start < size)

    def status(self, name: str) -> str:
        """A line of its /proc status; empty if it is gone."""
        return processes.status(f"{self.pid}/task/{self.tid}", name)

    def _signal_pending(self) -> bool:
        pending = int(self.status("SigPnd") or "0", 16) | int(self.status("ShdPnd") or "0", 16)
        return bool(pending & ~int(self.status("SigBlk") or "0", 16))


class Stopped:
    """All threads of a process, stopped; on leaving they go on as if nothing had been.

    Only within :func:`in_child`. ``areas``: its mappings, which cannot change any more. ``stopped_ms``: for
    how long they stood still, once they go on.

    :raises RemoteError: they cannot be stopped. :raises ProcessLookupError: the process is gone.
    """

    def __init__(self, pid: int) -> None:
        self.stopped_ms = 0.0
        self.areas: list[Area] = []
        self._pid = pid
        self._memory = -1
        self._threads: dict[int, _Thread] = {}

    def __enter__(self) -> Stopped:
        start = time.monotonic()
        try:
            self._stop_all(start + STOP_TIMEOUT_S)
            # Not before: exec gives it other memory.
            self.areas = areas(self._pid)
            self._memory = os.open(f"/proc/{self._pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        except BaseException:
            self._let_go()
            raise
        self._start = start
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()
        self.stopped_ms = (time.monotonic() - self._start) * 1000

    def _stop_all(self, end: float) -> None:
        while True:
            new = [
                _Thread(self._pid, tid)
                for tid in _all_threads(self._pid)
                if tid not in self._threads and _is_live(self._pid, tid)
            ]
            if not new:
                break
            for thread in new:
                try:
                    thread.seize()
                except RemoteError:
                    if _is_live(self._pid, thread.tid):
                        raise
                    continue
                self._threads[thread.tid] = thread
            # Until all are stopped they may start others.
            for thread in new:
                if thread.tid in self._threads:
                    self._await(thread, end)
        if not self._threads:
            raise ProcessLookupError(errno.ESRCH, f"process {self._pid} is gone")

    def _await(self, thread: _Thread, end: float) -> None:
        try:
            thread.wait_interrupted(end)
        except ProcessLookupError:
            del self._threads[thread.tid]

    def _let_go(self) -> None:
        end = time.monotonic() + FAREWELL_S
        for thread in sorted(self._threads.values(), key=lambda thread: not thread.stopped):
            try:
                if not thread.stopped:
                    # The call that it is in ends because of us: not without begin_anew.
                    thread.wait_interrupted(end)
            except (TryAgain, OSError):
                pass
            try:
                thread.ptrace(PTRACE_DETACH)
            except OSError:
                # Gone, or still not stopped: the end of this process lets it go.
                continue
        if self._memory >= 0:
            os.close(self._memory)

    def call(self, *calls: Callable[[int], tuple[int, ...]]) -> list[int]:
        """Run system calls in one of the threads, one after the other.

        :param calls: each is given the result of the one before (0 at first), and returns the number and
            the arguments, or () to leave it out.
        :returns: their results; negative: an error number.
        :raises TryAgain: no thread may be diverted at this moment. :raises RemoteError: none ever may.
        """
        self._instruction = self._find_instruction()
        refusals = []
        for thread in self._threads.values():
            refusal = thread.diverted_by(self._memory)
            if not refusal:
                return self._call_in(thread, calls)
            refusals.append(refusal)
        raise TryAgain(refusals[0])

    def _find_instruction(self) -> int:
        """Address of a system call instruction in its vdso."""
        for area in self.areas:
            if area.path == "[vdso]":
                content = os.pread(self._memory, area.end - area.start, area.start)
                if SYSCALL_INSTRUCTION in content:
                    return area.start + content.index(SYSCALL_INSTRUCTION)
        raise RemoteError("it has no vdso with a system call in it")

    def _call_in(self, thread: _Thread, calls: tuple[Callable[[int], tuple[int, ...]], ...]) -> list[int]:
        mask, blocked = ctypes.c_uint64(), ctypes.c_uint64(ALL_SIGNALS)
        thread.ptrace(PTRACE_GETSIGMASK, 8, ctypes.addressof(mask))
        results: list[int] = []
        try:
            thread.ptrace(PTRACE_SETSIGMASK, 8, ctypes.addressof(blocked))
            value = 0
            for make in calls:
                words = make(value)
                if words:
                    value = self._one_call(thread, words)
                    results.append(value)
        finally:
            self._restore(thread, mask)
        return results

    def _one_call(self, thread: _Thread, words: tuple[int, ...]) -> int:
        registers = thread.registers.copy()
        registers.rip = self._instruction
        registers.orig_rax = NO_CALL
        for name, value in zip(("rax", "rdi", "rsi", "rdx", "r10", "r8", "r9"), words):
            setattr(registers, name, value)
        thread.ptrace(PTRACE_SETREGS, 0, ctypes.addressof(registers))
        for _side in ("entry", "exit"):
            thread.ptrace(PTRACE_SYSCALL)
            while (stop := thread.wait(None)).signal != SYSCALL_STOP:
                if stop.event == 0 and stop.signal != signal.SIGSTOP:
                    raise RemoteError(f"the call ended with {signal.Signals(stop.signal).name}")
                # Only SIGSTOP cannot be blocked; it is sent again afterwards.
                thread.held_back |= stop.event == 0
                thread.ptrace(PTRACE_SYSCALL)
        thread.ptrace(PTRACE_GETREGS, 0, ctypes.addressof(registers))
        return registers.result

    @staticmethod
    def _restore(thread: _Thread, mask: ctypes.c_uint64) -> None:
        """Back to how the thread was, in a stop like the first one: only from there on is a call that it
        was in begun anew as the kernel would have done."""
        while True:
            try:
                thread.ptrace(PTRACE_INTERRUPT)
                thread.ptrace(PTRACE_CONT)
                while not (stop := thread.wait(None)).plain:
                    thread.held_back |= stop == (signal.SIGSTOP, 0)
                    thread.ptrace(PTRACE_CONT)
                thread.ptrace(PTRACE_SETSIGMASK, 8, ctypes.addressof(mask))
                thread.ptrace(PTRACE_SETREGS, 0, ctypes.addressof(thread.registers))
            except OSError as error:
                if not _is_live(thread.pid, thread.tid):
                    raise ProcessLookupError(errno.ESRCH, f"process {thread.pid} is gone") from error
                time.sleep(0.0005)
                continue
            break
        if thread.held_back:
            os.kill(thread.pid, signal.SIGSTOP)
        thread.held_back = False


def take_descriptor(stopped: Stopped, pid: int, number: int, *arguments: int) -> int:
    """Let a stopped process run a call that returns a descriptor, and take that descriptor over.

    :raises RemoteError: the call failed, or the descriptor cannot be had.
    """
    ours = -1
    failure = ""
    process = syscall(SYS_PIDFD_OPEN, pid, 0)

    def take(theirs: int) -> tuple[int, ...]:
        nonlocal ours, failure
        if theirs < 0:
            failure = os.strerror(-theirs)
            return ()
        try:
            ours = syscall(SYS_PIDFD_GETFD, process, theirs, 0)
        except OSError as error:
            failure = f"its descriptor cannot be had: {error.strerror}"
        return SYS_CLOSE, theirs

    try:
        stopped.call(lambda _value: (number, *arguments), take)
    finally:
        os.close(process)
    if ours < 0:
        raise RemoteError(f"system call {number} failed in it: {failure}")
    return ours


def _all_threads(pid: int) -> list[int]:
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))


def _is_live(pid: int, tid: int) -> bool:
    """Whether a thread is not at its end. A process's first thread may end before the others."""
    try:
        with open(f"/proc/{pid}/task/{tid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


Work = Callable[[], tuple[dict[str, Any], list[int]]]


def in_child(work: Work) -> tuple[dict[str, Any], list[int]]:
    """Run *work* in a child of its own session that no signal reaches; again after a TryAgain.

    :param work: returns what can be said in JSON, and descriptors to hand over.
    :raises RemoteError: what *work* raised, or it has not answered in time. Then the child goes on:
        it must restore what it has changed.
    """
    turn = 1
    while True:
        try:
            return _once_in_child(work)
        except TryAgain:
            # Each time a new child: the end of the old one lets go of threads that did not stop.
            if turn == ATTEMPTS:
                raise
            turn += 1
            time.sleep(0.01)


def _once_in_child(work: Work) -> tuple[dict[str, Any], list[int]]:
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            gc.disable()
            os.setsid()
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            ours.close()
            # Someone stands still as long as this child has to wait for a processor.
            hurry()
            answer, descriptors = _answer(work)
            socket.send_fds(theirs, [b"\n"], descriptors)
            theirs.sendall(json.dumps(answer).encode())
        finally:
            os._exit(0)
    theirs.close()
    said = bytearray()
    try:
        ours.settimeout(ANSWER_TIMEOUT_S)
        _first, descriptors, _flags, _address = socket.recv_fds(ours, 1, 4, socket.MSG_CMSG_CLOEXEC)
        while piece := ours.recv(1 << 16):
            said += piece
    except OSError as error:
        raise RemoteError(f"no answer from it within {ANSWER_TIMEOUT_S:g} s: {error}") from error
    finally:
        ours.close()
    os.waitpid(child, 0)
    if not said:
        raise RemoteError("the process that was to do it has ended")
    answer = json.loads(said)
    if "error" in answer:
        raise (TryAgain if answer["again"] else RemoteError)(answer["error"])
    return answer, list(descriptors)


def _answer(work: Work) -> tuple[dict[str, Any], list[int]]:
    try:
        return work()
    except (RemoteError, OSError) as error:
        return {"error": str(error), "again": isinstance(error, TryAgain)}, []
