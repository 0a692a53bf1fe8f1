# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls in another process, by ptrace, while all its threads stand still.

Whoever changes the registers of a thread must put them back, or the process is lost. So this is done in
a child of ours that no signal reaches (:func:`.ptrace_child.in_child`), with everything looked up before
the first thread is stopped, and which gives up only as long as nothing is changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import time
from collections.abc import Callable
from types import TracebackType

from .calls import SYS_PIDFD_GETFD, SYS_PIDFD_OPEN, syscall
from .process_memory import Area, areas
from .processes import stat_fields
from .ptrace import (
    ALL_SIGNALS,
    PTRACE_CONT,
    PTRACE_DETACH,
    PTRACE_GETSIGMASK,
    PTRACE_INTERRUPT,
    PTRACE_SETSIGMASK,
    PTRACE_SYSCALL,
    SYSCALL_STOP,
    RemoteError,
    TracedThread,
    TryAgain,
)
from .registers import ThreadRegisters

# Given the result of the call before; returns the number and the arguments, or () to leave a call out.
MakeCall = Callable[[int], tuple[int, ...]]

# How long a thread may take to stop while others stand still already.
STOP_TIMEOUT_S = 0.05
# And how long to wait for it after giving up, only to let it go as it was.
FAREWELL_S = 1.0


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
        self._threads: dict[int, TracedThread] = {}

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
                TracedThread(self._pid, tid)
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

    def _await(self, thread: TracedThread, end: float) -> None:
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
                # To be detached counts as a signal (__ptrace_unlink), with which a call that is entered right
                # then may end. Such a thread just goes on; the end of this process lets it go.
                thread.ptrace(PTRACE_CONT if thread.entering else PTRACE_DETACH)
            except OSError:
                # Gone, or still not stopped: the end of this process lets it go.
                continue
        if self._memory >= 0:
            os.close(self._memory)

    def call(self, *calls: MakeCall) -> list[int]:
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
                found = ThreadRegisters.find_instruction(content)
                if found >= 0:
                    return area.start + found
        raise RemoteError("it has no vdso with a system call in it")

    def _call_in(self, thread: TracedThread, calls: tuple[MakeCall, ...]) -> list[int]:
        mask, blocked = ctypes.c_uint64(), ctypes.c_uint64(ALL_SIGNALS)
        thread.ptrace(PTRACE_GETSIGMASK, 8, ctypes.addressof(mask))
        results: list[int] = []
        try:
            thread.ptrace(PTRACE_SETSIGMASK, 8, ctypes.addressof(blocked))
            if thread.registers.hides_call(self._memory):
                self._enter(thread)
                thread.entering = False
                thread.registers.skip_call(thread.ptrace)
                self._continue(thread)
            value = 0
            for make in calls:
                words = make(value)
                if words:
                    value = self._one_call(thread, words)
                    results.append(value)
        finally:
            self._restore(thread, mask)
        return results

    def _one_call(self, thread: TracedThread, words: tuple[int, ...]) -> int:
        registers = thread.registers.copy()
        registers.divert(self._instruction, words)
        registers.write(thread.ptrace)
        for _side in ("entry", "exit"):
            self._continue(thread)
        registers.read(thread.ptrace)
        return int(registers.result)

    def _enter(self, thread: TracedThread) -> None:
        """Until it enters the call that it is about to make."""
        if not thread.entering:
            self._continue(thread)
            thread.entering = True

    @staticmethod
    def _continue(thread: TracedThread) -> None:
        """Until it enters a system call, or leaves it."""
        thread.ptrace(PTRACE_SYSCALL)
        while (stop := thread.wait(None)).signal != SYSCALL_STOP:
            if stop.event == 0 and stop.signal != signal.SIGSTOP:
                raise RemoteError(f"the call ended with {signal.Signals(stop.signal).name}")
            # Only SIGSTOP cannot be blocked; it is sent again afterwards.
            thread.held_back |= stop.event == 0
            thread.ptrace(PTRACE_SYSCALL)

    def _restore(self, thread: TracedThread, mask: ctypes.c_uint64) -> None:
        """Back to how the thread was, in a stop like the first one: only from there on is a call that it
        was in begun anew as the kernel would have done.

        Where the kernel cannot tell any more that there was a call (:meth:`.Registers.hides_call`), a signal
        would be handled before the call instead of ending it. So the call is entered before signals may come.
        """
        while True:
            try:
                thread.ptrace(PTRACE_INTERRUPT)
                thread.ptrace(PTRACE_CONT)
                while not (stop := thread.wait(None)).plain:
                    thread.held_back |= stop == (signal.SIGSTOP, 0)
                    thread.ptrace(PTRACE_CONT)
                thread.registers.write(thread.ptrace)
                if thread.registers.hides_call(self._memory):
                    # If it fails there, it will do so again by itself.
                    with contextlib.suppress(RemoteError):
                        self._enter(thread)
                thread.ptrace(PTRACE_SETSIGMASK, 8, ctypes.addressof(mask))
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
        return ThreadRegisters.SYS_CLOSE, theirs

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
        return stat_fields(f"{pid}/task/{tid}")[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False
