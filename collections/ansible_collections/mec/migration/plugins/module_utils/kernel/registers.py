# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The general registers of a traced thread, and how each processor makes system calls with them.

Sources: ptrace(2); of Linux 6.12 arch/x86/kernel/signal.c, and ptrace.c, signal.c and syscall.c in
arch/arm64/kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable
from typing import Any, ClassVar

from .processes import WaitingCall

# linux/ptrace.h
PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_GETREGSET, PTRACE_SETREGSET = 12, 13, 0x4204, 0x4205
# linux/elf.h
NT_PRSTATUS, NT_ARM_SYSTEM_CALL, NT_ARM_SVE, NT_ARM_SSVE = 1, 0x404, 0x405, 0x40B
NO_CALL = (1 << 64) - 1

# Request, address, data; see TracedThread.ptrace.
Ptrace = Callable[..., int]


class Registers(ctypes.Structure):
    """What the code that traces threads asks of any processor."""

    # What makes a system call, and at which addresses it may stand.
    SYSCALL_INSTRUCTION: ClassVar[bytes]
    INSTRUCTION_STEP: ClassVar[int]
    SYS_CLOSE: ClassVar[int]
    # Calls that end with EINTR, and are not begun anew by the kernel, when a thread is stopped and goes on:
    # read, write, readv, writev, connect, accept, send*, recv* (with a timeout), semop, rt_sigtimedwait,
    # io_getevents, semtimedop, epoll_wait, epoll_pwait, accept4, recvmmsg, sendmmsg, epoll_pwait2; signal(7).
    GIVE_UP_ON_STOP: ClassVar[frozenset[int]]
    # Whether the first argument of a call is lost where its result is.
    FORGETS_ARGUMENT: ClassVar[bool] = False

    def copy(self) -> Any:
        return type(self).from_buffer_copy(self)

    def read(self, ptrace: Ptrace) -> None:
        """:raises OSError: as ptrace(2) says."""
        raise NotImplementedError

    def write(self, ptrace: Ptrace) -> None:
        """:raises OSError: as ptrace(2) says."""
        raise NotImplementedError

    @property
    def runs_64_bit(self) -> bool:
        raise NotImplementedError

    @property
    def result(self) -> int:
        """Of a system call that has just ended; negative: an error number."""
        raise NotImplementedError

    @property
    def instruction(self) -> int:
        """Where the next instruction is."""
        raise NotImplementedError

    @property
    def in_call(self) -> bool:
        """Whether the thread is known to have been in a system call."""
        raise NotImplementedError

    def gave_up(self, waiting: WaitingCall | None) -> bool:
        """Whether our stop has ended a call for good, with EINTR.

        :param waiting: the call that it was in before we stopped it.
        """
        raise NotImplementedError

    def begin_anew(self, waiting: WaitingCall | None) -> None:
        """Make the call again that :meth:`gave_up` tells of."""
        raise NotImplementedError

    def divert(self, instruction: int, words: tuple[int, ...]) -> None:
        """Make another call.

        :param instruction: the address of one that makes a system call.
        :param words: the number and the arguments.
        """
        raise NotImplementedError

    def hides_call(self, _memory: int) -> bool:
        """Whether only the kernel knows which call the thread makes next. *_memory*: its /proc/PID/mem."""
        return False

    def skip_call(self, ptrace: Ptrace) -> None:
        """At the entry of the call that was hidden: take note of it, and have the kernel leave it out."""

    def loses_by_call(self, _ptrace: Ptrace) -> bool:
        """Whether the thread has something in registers that any system call would take away."""
        return False

    @classmethod
    def find_instruction(cls, code: bytes) -> int:
        """Where in *code*, which begins at a page, there is one that makes a system call; -1: nowhere."""
        at = code.find(cls.SYSCALL_INSTRUCTION)
        while at % cls.INSTRUCTION_STEP and at >= 0:
            at = code.find(cls.SYSCALL_INSTRUCTION, at + 1)
        return at


class X86Registers(Registers):
    """``struct user_regs_struct`` of x86-64."""

    SYSCALL_INSTRUCTION = b"\x0f\x05"
    INSTRUCTION_STEP = 1
    # arch/x86/entry/syscalls/syscall_64.tbl
    SYS_CLOSE = 3
    GIVE_UP_ON_STOP = frozenset(
        (0, 1, 19, 20, 42, 43, 44, 45, 46, 47, 65, 128, 208, 220, 232, 281, 288, 299, 307, 441)
    )
    CODE_64_BIT = 0x33  # the user's code segment

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx"),
            *("rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base"),
            *("ds", "es", "fs", "gs"),
        )
    ]

    rax: int
    rip: int
    cs: int
    orig_rax: int

    def read(self, ptrace: Ptrace) -> None:
        ptrace(PTRACE_GETREGS, 0, ctypes.addressof(self))

    def write(self, ptrace: Ptrace) -> None:
        ptrace(PTRACE_SETREGS, 0, ctypes.addressof(self))

    @property
    def result(self) -> int:
        return ctypes.c_int64(self.rax).value

    @property
    def instruction(self) -> int:
        return self.rip

    @property
    def in_call(self) -> bool:
        return ctypes.c_int64(self.orig_rax).value >= 0

    @property
    def runs_64_bit(self) -> bool:
        return self.cs == self.CODE_64_BIT

    def gave_up(self, waiting: WaitingCall | None) -> bool:
        return self.result == -errno.EINTR and self.orig_rax in self.GIVE_UP_ON_STOP

    def begin_anew(self, waiting: WaitingCall | None) -> None:
        self.rax = self.orig_rax
        self.rip -= len(self.SYSCALL_INSTRUCTION)
        self.orig_rax = NO_CALL

    def divert(self, instruction: int, words: tuple[int, ...]) -> None:
        self.rip = instruction
        self.orig_rax = NO_CALL
        for name, value in zip(("rax", "rdi", "rsi", "rdx", "r10", "r8", "r9"), words):
            setattr(self, name, value)


class Arm64Registers(Registers):
    """``struct user_pt_regs`` of arm64.

    When a thread stops in a call, the kernel has prepared already that the call is made again: the next
    instruction is the one that makes it, its first argument is back in x0, its number is in x8, and nothing
    else tells that there was a call. Two things are out of sight then:

    - A sleep goes on with what is left of it (restart_syscall(2)). The kernel puts that call's number into
      x8 after the stop, and only if the thread goes on where it was. And only then does a signal end the
      call, where signals do. See :meth:`hides_call`.
    - A call that ends with EINTR has that in x0, where the first argument was. The kernel does not tell that
      any more, so it is read before the stop, of threads that sleep (``FORGETS_ARGUMENT``).
    """

    SYSCALL_INSTRUCTION = b"\x01\x00\x00\xd4"  # svc #0
    INSTRUCTION_STEP = 4
    # include/uapi/asm-generic/unistd.h
    SYS_CLOSE = 57
    GIVE_UP_ON_STOP = frozenset(
        (4, 22, 63, 64, 65, 66, 137, 192, 193, 202, 203, 206, 207, 211, 212, 242, 243, 269, 441)
    )
    FORGETS_ARGUMENT = True
    # svc with any operand
    SVC_MASK, SVC = 0xFFE0001F, 0xD4000001
    # Set for the instruction after an indirect branch, which then has to be one that such branches may go to.
    PSTATE_BTYPE = 3 << 10
    # Of ``struct user_sve_header``: its layout, and the flag of registers that a system call takes away.
    SVE_HEADER, SVE_LIVE = "=IIHHHH", 1

    _fields_ = [
        ("x", ctypes.c_uint64 * 31),
        ("sp", ctypes.c_uint64),
        ("pc", ctypes.c_uint64),
        ("pstate", ctypes.c_uint64),
    ]

    x: Any
    sp: int
    pc: int
    pstate: int
    # How many bytes of registers the thread has.
    byte_count = 34 * 8

    def read(self, ptrace: Ptrace) -> None:
        self.byte_count = _regset(ptrace, PTRACE_GETREGSET, NT_PRSTATUS, self)

    def write(self, ptrace: Ptrace) -> None:
        _regset(ptrace, PTRACE_SETREGSET, NT_PRSTATUS, self)
        # Or the kernel might take what is in x0 now for the result of a call that it has to make again.
        _regset(ptrace, PTRACE_SETREGSET, NT_ARM_SYSTEM_CALL, ctypes.c_int(-1))

    @property
    def result(self) -> int:
        return ctypes.c_int64(self.x[0]).value

    @property
    def runs_64_bit(self) -> bool:
        """32-bit threads have fewer registers."""
        return self.byte_count == ctypes.sizeof(self)

    @property
    def instruction(self) -> int:
        return self.pc

    @property
    def in_call(self) -> bool:
        return False

    def gave_up(self, waiting: WaitingCall | None) -> bool:
        return (
            waiting is not None
            and self.runs_64_bit
            and self.result == -errno.EINTR
            and waiting.number in self.GIVE_UP_ON_STOP
            and (waiting.number, waiting.stack, waiting.back) == (self.x[8], self.sp, self.pc)
        )

    def begin_anew(self, waiting: WaitingCall | None) -> None:
        # Else :meth:`gave_up` would not have said so.
        if waiting is not None:
            self.x[0] = waiting.first
            self.pc -= len(self.SYSCALL_INSTRUCTION)

    def divert(self, instruction: int, words: tuple[int, ...]) -> None:
        self.pc = instruction
        self.pstate &= ~self.PSTATE_BTYPE
        self.x[8] = words[0]
        for place, value in enumerate(words[1:]):
            self.x[place] = value

    def hides_call(self, memory: int) -> bool:
        try:
            (code,) = struct.unpack("=I", os.pread(memory, 4, self.pc))
        except (OSError, struct.error):
            # Nothing can be read there; it will see for itself.
            return False
        return bool(code & self.SVC_MASK == self.SVC)

    def skip_call(self, ptrace: Ptrace) -> None:
        number = ctypes.c_int()
        _regset(ptrace, PTRACE_GETREGSET, NT_ARM_SYSTEM_CALL, number)
        _regset(ptrace, PTRACE_SETREGSET, NT_ARM_SYSTEM_CALL, ctypes.c_int(-1))
        self.x[8] = number.value

    def loses_by_call(self, ptrace: Ptrace) -> bool:
        """SVE's registers, and SME's while they are in use as such."""
        for kind in (NT_ARM_SVE, NT_ARM_SSVE):
            header = ctypes.create_string_buffer(struct.calcsize(self.SVE_HEADER))
            try:
                _regset(ptrace, PTRACE_GETREGSET, kind, header)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                # The processor has none.
                continue
            if struct.unpack(self.SVE_HEADER, header)[4] & self.SVE_LIVE:
                return True
        return False


def _regset(ptrace: Ptrace, request: int, kind: int, content: Any) -> int:
    """Read or write a set of registers; returns how many bytes it has."""
    vector = (ctypes.c_uint64 * 2)(ctypes.addressof(content), ctypes.sizeof(content))
    ptrace(request, kind, ctypes.addressof(vector))
    return int(vector[1])


_BY_PROCESSOR: dict[str, type[Registers]] = {"x86_64": X86Registers, "aarch64": Arm64Registers}
# Of this machine; on those of which :func:`supported` says why not it is never used.
ThreadRegisters = _BY_PROCESSOR.get(platform.machine(), X86Registers)


def supported() -> str:
    """Why threads of this machine cannot be given calls; empty if they can."""
    machine = platform.machine()
    if machine in _BY_PROCESSOR:
        return ""
    return f"it is made for {' and '.join(_BY_PROCESSOR)}, this is {machine}"
