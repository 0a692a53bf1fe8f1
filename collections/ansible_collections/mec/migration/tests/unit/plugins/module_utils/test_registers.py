# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registers of arm64, whatever processor this is: a kernel that answers as Linux 6.12 does there.

On the processor itself test_uffd_tracker.py shows whether real threads go on.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import subprocess
import sys
import tempfile

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel import ptrace, registers
from ansible_collections.mec.migration.plugins.module_utils.kernel.processes import (
    WaitingCall,
    waiting_call,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel.ptrace import TracedThread
from ansible_collections.mec.migration.plugins.module_utils.kernel.registers import (
    NT_ARM_SSVE,
    NT_ARM_SVE,
    NT_ARM_SYSTEM_CALL,
    NT_PRSTATUS,
    PTRACE_GETREGSET,
    PTRACE_SETREGSET,
    Arm64Registers,
    X86Registers,
)
from victim import Victim

SVC = Arm64Registers.SYSCALL_INSTRUCTION
EPOLL_PWAIT, READ, FUTEX, RESTART_SYSCALL, USERFAULTFD = 22, 63, 98, 128, 282


class Kernel:
    """One stopped thread: its sets of registers, as bytes."""

    def __init__(self, *, size: int = 272, call: int = -1) -> None:
        self.sets = {NT_PRSTATUS: bytearray(size), NT_ARM_SYSTEM_CALL: bytearray(struct.pack("=i", call))}

    def ptrace(self, request: int, kind: int = 0, data: int = 0) -> int:
        if request not in (PTRACE_GETREGSET, PTRACE_SETREGSET) or kind not in self.sets:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        vector = (ctypes.c_uint64 * 2).from_address(data)
        content = self.sets[kind]
        vector[1] = min(vector[1], len(content))
        if request == PTRACE_GETREGSET:
            ctypes.memmove(vector[0], bytes(content), vector[1])
        else:
            content[: vector[1]] = ctypes.string_at(vector[0], vector[1])
        return 0

    def fill(self, **named: int) -> Arm64Registers:
        """Registers that this kernel has then, too: x0 to x30, sp, pc, pstate."""
        filled = Arm64Registers()
        for name, value in named.items():
            if name.startswith("x"):
                filled.x[int(name[1:])] = value & (1 << 64) - 1
            else:
                setattr(filled, name, value)
        self.sets[NT_PRSTATUS][:] = bytes(filled)
        return filled

    @property
    def call(self) -> int:
        return struct.unpack("=i", self.sets[NT_ARM_SYSTEM_CALL])[0]


def read(kernel):
    found = Arm64Registers()
    found.read(kernel.ptrace)
    return found


def test_layout():
    # struct user_pt_regs of arch/arm64/include/uapi/asm/ptrace.h
    assert ctypes.sizeof(Arm64Registers) == 34 * 8
    assert (Arm64Registers.sp.offset, Arm64Registers.pc.offset, Arm64Registers.pstate.offset) == (
        248,
        256,
        264,
    )
    # struct user_regs_struct of arch/x86/include/asm/user_64.h
    assert ctypes.sizeof(X86Registers) == 27 * 8


def test_what_is_read_is_written_back():
    kernel = Kernel(call=FUTEX)
    before = kernel.fill(x0=3, x7=7, x8=FUTEX, x30=30, sp=0x7FF0, pc=0x4000, pstate=0x60001000)
    found = read(kernel)
    assert bytes(found) == bytes(before)
    assert found.runs_64_bit
    kernel.fill()
    found.write(kernel.ptrace)
    assert bytes(kernel.sets[NT_PRSTATUS]) == bytes(before)
    # No call is left that the kernel might begin anew.
    assert kernel.call == -1


def test_a_32_bit_thread_is_told_by_its_fewer_registers():
    kernel = Kernel(size=72)
    found = read(kernel)
    assert not found.runs_64_bit
    assert not found.gave_up(WaitingCall(0, 0, 0, 0))


def test_a_diversion_leaves_the_rest_as_it_was():
    kernel = Kernel()
    kernel.fill(x0=1, x1=2, x5=6, x8=READ, x9=9, sp=0x7FF0, pc=0x4000, pstate=0x60001C00)
    found = read(kernel)
    other = found.copy()
    other.divert(0xFF000, (USERFAULTFD, 0x80801))
    assert (other.pc, other.x[8], other.x[0], other.sp) == (0xFF000, USERFAULTFD, 0x80801, 0x7FF0)
    assert [other.x[number] for number in (1, 5, 9)] == [2, 6, 9]
    # An indirect branch that was under way would not be allowed to go to `svc`: SIGILL (BTI).
    assert other.pstate == 0x60001000
    assert (found.pc, found.x[8], found.pstate) == (0x4000, READ, 0x60001C00)


WAITING = WaitingCall(EPOLL_PWAIT, 5, 0x7FF0, 0x4004)
ENDED = {"x0": -errno.EINTR, "x8": EPOLL_PWAIT, "sp": 0x7FF0, "pc": 0x4004}


def test_a_call_that_our_stop_ended_is_made_again():
    found = Kernel().fill(**ENDED)
    assert found.result == -errno.EINTR
    assert found.gave_up(WAITING)
    found.begin_anew(WAITING)
    assert (found.x[0], found.x[8], found.pc) == (5, EPOLL_PWAIT, 0x4000)


@pytest.mark.parametrize(
    ("waiting", "named"),
    [
        (None, {}),
        (WAITING, {"x0": 0}),
        (WAITING, {"x8": READ}),
        (WAITING, {"sp": 0x7000}),
        (WAITING, {"pc": 0x5004}),
        # A call that the kernel itself makes again where that is right.
        (WAITING._replace(number=FUTEX), {"x8": FUTEX}),
    ],
)
def test_a_call_that_ended_otherwise_stays_ended(waiting, named):
    assert not Kernel().fill(**dict(ENDED, **named)).gave_up(waiting)


@pytest.fixture
def code():
    """A file that stands for /proc/PID/mem."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(4096) + SVC + b"\x1f\x20\x03\xd5" + b"\x41\x00\x00\xd4")
        file.flush()
        yield file.fileno()


@pytest.mark.parametrize(("place", "hidden"), [(4096, True), (4100, False), (4104, True), (9000, False)])
def test_which_call_is_next_is_hidden_where_one_is_made(code, place, hidden):
    assert Kernel().fill(pc=place).hides_call(code) is hidden


def test_the_call_that_the_kernel_chose_is_noted_and_left_out():
    kernel = Kernel(call=RESTART_SYSCALL)
    found = kernel.fill(x0=77, x8=FUTEX, pc=0x4000)
    found.skip_call(kernel.ptrace)
    assert (found.x[8], found.x[0], found.pc) == (RESTART_SYSCALL, 77, 0x4000)
    assert kernel.call == -1


@pytest.mark.parametrize("kind", [NT_ARM_SVE, NT_ARM_SSVE])
def test_vector_registers_that_a_call_would_take_away(kind):
    kernel = Kernel()
    found = kernel.fill()
    assert not found.loses_by_call(kernel.ptrace)
    for flags, lost in ((0, False), (2, False), (1, True), (3, True)):
        kernel.sets[kind] = bytearray(struct.pack("=IIHHHH", 544, 8192, 32, 32, flags, 0))
        assert found.loses_by_call(kernel.ptrace) is lost


def test_where_the_instruction_stands():
    assert Arm64Registers.find_instruction(bytes(8) + SVC) == 8
    # Every instruction is at a multiple of four.
    assert Arm64Registers.find_instruction(bytes(6) + SVC) == -1
    assert Arm64Registers.find_instruction(bytes(6) + SVC + bytes(2) + SVC) == 12
    assert Arm64Registers.find_instruction(b"") == -1
    assert X86Registers.find_instruction(b"\x00\x0f\x05") == 1
    assert X86Registers.find_instruction(b"\x0f") == -1


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_processors_that_it_is_made_for(monkeypatch, machine):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert registers.supported() == ""


def test_another_processor_is_named(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert registers.supported() == "it is made for x86_64 and aarch64, this is riscv64"


def test_kernels_without_user_dispatch_have_no_process_that_uses_it(monkeypatch):
    """Those for arm64; such a request is invalid there."""
    monkeypatch.setattr(ptrace, "ThreadRegisters", Arm64Registers)
    kernel = Kernel()
    thread = TracedThread(os.getpid(), os.getpid())
    thread.registers = kernel.fill()
    thread.ptrace = lambda request, address=0, data=0: (
        0 if request == ptrace.PTRACE_GET_RSEQ_CONFIGURATION else kernel.ptrace(request, address, data)
    )
    assert thread.diverted_by(-1) == ""
    kernel.sets[NT_ARM_SVE] = bytearray(struct.pack("=IIHHHH", 544, 8192, 32, 32, 1, 0))
    assert "uses vector registers that no system call preserves" in thread.diverted_by(-1)
    thread.registers.byte_count = 72
    assert thread.diverted_by(-1) == "it runs 32-bit code"


def test_the_call_that_a_thread_waits_in():
    read_number = {"x86_64": 0, "aarch64": READ}[os.uname().machine]
    with Victim(still=False) as victim:
        task = f"{victim.pid}/task/{victim.pid}"
        while (found := waiting_call(task)) is None or found.number != read_number:
            pass
        assert found.first == 0  # its standard input
        assert found.stack % 8 == 0
        assert found.back
    assert waiting_call(task) is None


def test_a_thread_that_computes_waits_in_no_call():
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"]) as busy:
        while waiting_call(f"{busy.pid}/task/{busy.pid}") is not None:
            pass
        busy.kill()
