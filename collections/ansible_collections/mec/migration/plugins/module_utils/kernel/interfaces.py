# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network interfaces of a process's network namespace."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct

from .namespaces import asked_in

SIOCGIFHWADDR = 0x8927


def interfaces(pid: int) -> dict[str, str]:
    """MAC address -> name of the interface, as the process sees them; those without an address are left out.

    :raises OSError: the process is gone.
    """
    return asked_in(pid, "net", _addresses)


def interface_names(pid: int) -> dict[int, str]:
    """Index of an interface -> its name, as the process sees them.

    :raises OSError: the process is gone.
    """
    return dict(asked_in(pid, "net", socket.if_nameindex))


def _addresses() -> dict[str, str]:
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        for _index, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                answer = fcntl.ioctl(query.fileno(), SIOCGIFHWADDR, struct.pack("256s", name.encode()))
                address = answer[18:24]
                if any(address):
                    found[":".join(f"{byte:02x}" for byte in address)] = name
    return found
