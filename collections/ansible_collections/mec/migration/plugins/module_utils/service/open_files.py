# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a process has open, as /proc tells of them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import stat
from collections.abc import Iterator
from typing import NamedTuple

from ..kernel.epolls import EPOLL, polls_busily
from ..kernel.inode_flags import IMMUTABLE, protection
from ..kernel.libc import libc
from ..kernel.socket_options import socket_of
from ..kernel.terminals import is_hung_up

# What the kernel calls files that never had a name in a directory.
NAMELESS = ("/memfd:", "/secretmem", "/dmabuf:", "/SYSV", "/anon_hugepage", "/[aio]", "/dev/zero")
SO_PROTOCOL = 38
PIDFD = "anon_inode:[pidfd]"
TIMER = "anon_inode:[timerfd]"
# Documentation/admin-guide/devices.txt: the two ends of a pseudo terminal.
PTMX, PTS = os.makedev(5, 2), 136
# include/uapi/linux/time.h. CRIU's parser knows no others of timerfd's (criu/timerfd.c, verify_timerfd).
UNDUMPED_CLOCKS = {8: "CLOCK_REALTIME_ALARM", 9: "CLOCK_BOOTTIME_ALARM"}
SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS = 270, 9
# What Python allows, and more than the kernel has groups of any protocol.
MOST_GROUPS_BYTES = 1024


class OpenFile(NamedTuple):
    """One file descriptor of a process.

    :param link: what /proc/PID/fd says it is, for example ``/etc/passwd`` or ``anon_inode:[eventfd]``.
    :param mode: type and permissions, as stat(2) gives them; 0 if it could not be looked at.
    :param rdev: of a device, its number.
    :param magic: number of its file system's type (statfs(2)); 0 for anonymous inodes and sockets.
    :param protocol: of a socket, the kernel's name of its protocol, for example ``TCP``.
    :param links: how many names it has; 0 if it could not be looked at.
    :param mount: number of the mount that it was opened on; 0 if it has no path.
    :param flags: of what has a path, of a pipe and a pidfd, as open(2) has them.
    :param terminal: of the end of a terminal that leads to its program (ptmx), the device of the other one.
    :param hung_up: of a terminal, whether nobody has its other end open.
    :param undumped: of a timerfd, netlink socket or epoll, in words, what CRIU does not dump of it; of a file
        why it cannot be opened again as it is; else empty.
    :param in_flight: whether it lies in a message that waits to be read (SCM_RIGHTS); its number is then that
        of the socket at which it waits.
    :param left_in_flight: in words, what is lost of it, or cannot be restored, as it lies there; else empty.
    """

    number: int
    link: str
    mode: int = 0
    rdev: int = 0
    magic: int = 0
    protocol: str = ""
    links: int = 0
    mount: int = 0
    flags: int = 0
    terminal: int = 0
    hung_up: bool = False
    undumped: str = ""
    in_flight: bool = False
    left_in_flight: str = ""

    @property
    def place(self) -> str:
        """Where the process has it, in words."""
        at = f"file descriptor {self.number}"
        return f"in a message that waits at {at}" if self.in_flight else at

    @property
    def socket_inode(self) -> int:
        """0 if it is no socket."""
        return int(self.link[8:-1]) if self.link.startswith("socket:[") else 0


def fields(path: str) -> dict[str, str]:
    """The lines ``name: value`` of a file of /proc. :raises OSError: it is gone."""
    with open(path, encoding="utf-8", errors="replace") as lines:
        return {name: value.strip() for name, _colon, value in (line.partition(":") for line in lines)}


def mount_of(descriptor: int) -> int:
    """Number of the mount that our own *descriptor* was opened on."""
    return int(fields(f"/proc/self/fdinfo/{descriptor}")["mnt_id"])


def open_files(pid: int, devices: dict[int, int]) -> Iterator[OpenFile]:
    """Of a process, which may be gone, as :func:`describe` says of each."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                yield describe(pid, int(entry.name), devices)


def describe(pid: int, number: int, devices: dict[int, int]) -> OpenFile:
    """:raises OSError: it is closed.

    :param devices: type of each file system's device that was seen before; more are added.
    """
    path = f"/proc/{pid}/fd/{number}"
    link = os.readlink(path)
    if link.startswith("socket:["):
        protocol = _protocol(pid, number, path)
        undumped = _undumped_groups(pid, number) if protocol == "NETLINK" else ""
        return OpenFile(number, link, mode=stat.S_IFSOCK, protocol=protocol, undumped=undumped)
    if link in (TIMER, EPOLL):
        undumped = (_undumped_clock if link == TIMER else _undumped_poll)(pid, number)
        return OpenFile(number, link, undumped=undumped)
    if link.startswith("pipe:[") or link == PIDFD:
        return OpenFile(number, link, flags=_flags(pid, number))
    if not link.startswith("/"):
        return OpenFile(number, link)
    try:
        found = os.stat(path)
    except OSError:
        return OpenFile(number, link)
    if found.st_dev not in devices:
        devices[found.st_dev] = _magic(path)
    info = fields(f"/proc/{pid}/fdinfo/{number}")
    flags = int(info["flags"], 8)
    return OpenFile(
        number,
        link,
        found.st_mode,
        found.st_rdev,
        devices[found.st_dev],
        links=found.st_nlink,
        mount=0 if link.startswith(NAMELESS) else int(info["mnt_id"]),
        flags=flags,
        terminal=os.makedev(PTS, int(info.get("tty-index", -1))) if found.st_rdev == PTMX else 0,
        undumped=_protected(path, found, flags),
        hung_up=os.major(found.st_rdev) == PTS and is_hung_up(pid, number),
    )


def _flags(pid: int, number: int) -> int:
    return int(fields(f"/proc/{pid}/fdinfo/{number}")["flags"], 8)


def _protected(path: str, status: os.stat_result, flags: int) -> str:
    """Why the kernel would not let anybody open the file *path* for writing as it was opened before."""
    if not stat.S_ISREG(status.st_mode) or not status.st_nlink or flags & os.O_ACCMODE == os.O_RDONLY:
        return ""
    found = protection(path)
    if found & IMMUTABLE:
        return "immutable (chattr +i)"
    return "append-only (chattr +a)" if found and not flags & os.O_APPEND else ""


def _magic(path: str) -> int:
    """``f_type`` of statfs(2), the first field of its structure on every 64-bit architecture."""
    answer = (ctypes.c_long * 32)()
    return answer[0] if libc.statfs(os.fsencode(path), answer) == 0 else 0


def _protocol(pid: int, number: int, path: str) -> str:
    """The kernel's name of a socket's protocol.

    Of a connection that an MPTCP listener accepted and that is plain TCP, /proc shows the listener's name.
    """
    name = ""
    with contextlib.suppress(OSError):
        name = os.getxattr(path, "system.sockprotoname").rstrip(b"\0").decode()
    if name.startswith("MPTCP") and _protocol_number(pid, number) == socket.IPPROTO_TCP:
        return name.replace("MPTCP", "TCP")
    return name


def _protocol_number(pid: int, number: int) -> int:
    """The protocol of a socket of another process, for example 262 for MPTCP; 0 if it cannot be asked."""
    with contextlib.suppress(OSError), socket_of(pid, number) as ours:
        return ours.getsockopt(socket.SOL_SOCKET, SO_PROTOCOL)
    return 0


def _undumped_clock(pid: int, number: int) -> str:
    clock = fields(f"/proc/{pid}/fdinfo/{number}").get("clockid", "0")
    return UNDUMPED_CLOCKS.get(int(clock), "")


def _undumped_poll(pid: int, number: int) -> str:
    return "polls network devices busily" if polls_busily(pid, number) else ""


def _undumped_groups(pid: int, number: int) -> str:
    """CRIU's image has room for 32 groups, and it goes by the socket's own number (criu/sk-netlink.c)."""
    with contextlib.suppress(OSError), socket_of(pid, number) as ours:
        groups = ours.getsockopt(SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, MOST_GROUPS_BYTES)
        # The kernel keeps them in words of 64 bits, and CRIU leaves out 32 bits at the end if none is set.
        if len(groups) > 8 or any(groups[4:]):
            return "is a member of a group above 32, or of a protocol that has more than 64"
        if any(groups) and not ours.getsockname()[0]:
            return "is a member of groups and has no number (it was not bound)"
    return ""
