# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network interfaces of a process's network namespace."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct

from ..base.threads import InThread

CLONE_NEWNET = 0x40000000
SIOCGIFHWADDR = 0x8927


def interfaces(pid: int) -> dict[str, str]:
    """MAC address -> name of the interface, as the process sees them; those without an address are left out.

    :raises OSError: the process is gone.
    """
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        # Only the thread that calls setns(2) changes its namespace; it ends with the question.
        return InThread(lambda: _addresses(namespace)).result()
    finally:
        os.close(namespace)


def _addresses(namespace: int) -> dict[str, str]:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        for _index, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                answer = fcntl.ioctl(query.fileno(), SIOCGIFHWADDR, struct.pack("256s", name.encode()))
                address = answer[18:24]
                if any(address):
                    found[":".join(f"{byte:02x}" for byte in address)] = name
    return found
