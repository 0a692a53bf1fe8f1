# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets of MPTCP that one process, CRIU, is told are plain TCP.

CRIU refuses a socket whose SO_PROTOCOL is MPTCP (``can_dump_ipproto``, criu/sk-inet.c). In all else such a
listener looks like one of TCP: the kernel lists its first subflow as a TCP listener with the same inode
(``mptcp_subflow_create_socket``, net/mptcp/subflow.c). So a BPF program of type CGROUP_SOCKOPT changes this
one answer, for this one process. What is restored is a TCP listener, which clients of MPTCP fall back to.

The program is held by a descriptor: with it, or with the process that has it, it is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import tempfile
from collections.abc import Iterable

from .calls import syscall
from .libc import call, unmount
from .mountinfo import mounts
from .processes import descriptors

# include/uapi/linux/bpf.h
BPF_PROG_LOAD, BPF_LINK_CREATE = 5, 28
PROGRAM_OF_SOCKET_OPTIONS, AT_GETSOCKOPT = 25, 21
GET_NS_CURRENT_PID_TGID = 120
# Offsets in struct bpf_sockopt, and in struct bpf_sock.
SOCKET, OPTVAL, OPTVAL_END, LEVEL, OPTNAME, OPTLEN, RETVAL = 0, 8, 16, 24, 28, 32, 36
PROTOCOL = 12
# Codes of instructions: 64-bit moves, additions and jumps, loads and stores.
MOVE, MOVE_NUMBER, ADD_NUMBER, WIDE = 0xBF, 0xB7, 0x07, 0x18
LOAD_32, LOAD_64, STORE_32 = 0x61, 0x79, 0x63
CALL, LEAVE, JUMP, UNLESS_EQUAL, UNLESS_EQUAL_32, IF_GREATER = 0x85, 0x95, 0x05, 0x55, 0x56, 0x2D
SOL_SOCKET, SO_PROTOCOL, IPPROTO_MPTCP = 1, 38, 262


def holds_mptcp(pids: Iterable[int]) -> bool:
    """Whether one of the processes has a socket of MPTCP open."""
    for pid in pids:
        for number, link in descriptors(pid):
            if link.startswith("socket:"):
                with contextlib.suppress(OSError):
                    protocol = os.getxattr(f"/proc/{pid}/fd/{number}", "system.sockprotoname")
                    if protocol.startswith(b"MPTCP"):
                        return True
    return False


def tell_tcp(pid: int) -> int:
    """From now on process *pid* is told that sockets of MPTCP are of TCP.

    :returns: a descriptor; the end of it is the end of that.
    :raises OSError: the kernel does not allow it.
    """
    program = _load(_instructions(pid))
    try:
        root = _root_cgroup()
        try:
            return _bpf(BPF_LINK_CREATE, struct.pack("=IIII", program, root, AT_GETSOCKOPT, 0))
        finally:
            os.close(root)
    finally:
        os.close(program)


def obstacle() -> str:
    """Why this host cannot do it, tried out; empty if it can."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as ours:
            link = tell_tcp(os.getpid())
            try:
                answer = ours.getsockopt(SOL_SOCKET, SO_PROTOCOL)
            finally:
                os.close(link)
    except OSError as error:
        return error.strerror or repr(error)
    return "" if answer == socket.IPPROTO_TCP else "the kernel's answer stays the same"


def _instructions(pid: int) -> bytes:
    """The program: for that process, and sockets of MPTCP, SO_PROTOCOL is TCP; options that MPTCP does not
    have are zero."""
    space = os.stat("/proc/self/ns/pid")
    head = [
        _instruction(MOVE, 6, 1),
        _wide(1, space.st_dev),
        _wide(2, space.st_ino),
        _instruction(MOVE, 3, 10),
        _instruction(ADD_NUMBER, 3, number=-8),
        _instruction(MOVE_NUMBER, 4, number=8),
        _instruction(CALL, number=GET_NS_CURRENT_PID_TGID),
        # The number of the process, behind that of the thread; 0 in another PID namespace.
        _instruction(LOAD_32, 2, 10, -4),
    ]
    value, end, limit, word = 3, 4, 5, 2
    body: list[tuple[int, int, int, int | str, int]] = [
        (UNLESS_EQUAL, word, 0, "out", pid),
        (LOAD_64, 7, 6, SOCKET, 0),
        (LOAD_32, word, 7, PROTOCOL, 0),
        (UNLESS_EQUAL, word, 0, "out", IPPROTO_MPTCP),
        (LOAD_64, value, 6, OPTVAL, 0),
        (LOAD_64, end, 6, OPTVAL_END, 0),
        (MOVE, limit, value, 0, 0),
        (ADD_NUMBER, limit, 0, 0, 4),
        (IF_GREATER, limit, end, "out", 0),
        (LOAD_32, word, 6, LEVEL, 0),
        (UNLESS_EQUAL, word, 0, "another", SOL_SOCKET),
        (LOAD_32, word, 6, OPTNAME, 0),
        (UNLESS_EQUAL, word, 0, "another", SO_PROTOCOL),
        (MOVE_NUMBER, word, 0, 0, socket.IPPROTO_TCP),
        (STORE_32, value, word, 0, 0),
        (JUMP, 0, 0, "out", 0),
        # another:
        (LOAD_32, word, 6, RETVAL, 0),
        (UNLESS_EQUAL_32, word, 0, "out", -errno.EOPNOTSUPP),
        (MOVE_NUMBER, word, 0, 0, 4),
        (STORE_32, 6, word, OPTLEN, 0),
        (MOVE_NUMBER, word, 0, 0, 0),
        (STORE_32, value, word, 0, 0),
        (STORE_32, 6, word, RETVAL, 0),
    ]
    labels = {"another": 1 + next(at for at, line in enumerate(body) if line[0] == JUMP), "out": len(body)}
    for at, (code, to, source, offset, number) in enumerate(body):
        place = labels[offset] - at - 1 if isinstance(offset, str) else offset
        head.append(_instruction(code, to, source, place, number))
    return b"".join([*head, _instruction(MOVE_NUMBER, 0, number=1), _instruction(LEAVE)])


def _instruction(code: int, to: int = 0, source: int = 0, offset: int = 0, number: int = 0) -> bytes:
    return struct.pack("<BBhi", code, to | source << 4, offset, number)


def _wide(to: int, number: int) -> bytes:
    low, high = struct.unpack("<ii", struct.pack("<Q", number))
    return _instruction(WIDE, to, number=low) + _instruction(0, number=high)


def _load(instructions: bytes) -> int:
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_name = ctypes.create_string_buffer(b"GPL")
    count = len(instructions) // 8
    attributes = struct.pack(
        *("=IIQQIIQII16sII", PROGRAM_OF_SOCKET_OPTIONS, count, ctypes.addressof(code)),
        *(ctypes.addressof(license_name), 0, 0, 0, 0, 0, b"mec_tell_tcp", 0, AT_GETSOCKOPT),
    )
    return _bpf(BPF_PROG_LOAD, attributes)


def _root_cgroup() -> int:
    """A descriptor of the root of cgroup version 2, which every socket belongs to or lies below."""
    for mount in mounts():
        if mount.kind == "cgroup2" and mount.root == "/":
            return os.open(mount.point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    # Version 1 has it, too, without controllers; it is mounted for a moment.
    with tempfile.TemporaryDirectory() as point:
        call("mount", b"none", os.fsencode(point), b"cgroup2", 0, None)
        try:
            return os.open(point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            with contextlib.suppress(OSError):
                unmount(point)


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return syscall("bpf", command, ctypes.addressof(buffer), len(attributes))
