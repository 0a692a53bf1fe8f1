# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pages of a process were written: userfaultfd's asynchronous write protection and PAGEMAP_SCAN.

A page that is protected and written loses its mark in the kernel, at the price of one fault; nobody is
asked and nobody waits. Kernels from 6.7 on, on arm64 from 6.10 on (HAVE_ARCH_USERFAULTFD_WP). Sources:
linux/userfaultfd.h; Documentation/admin-guide/mm (userfaultfd.rst, pagemap.rst) of Linux; fs/proc/task_mmu.c.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import struct
from typing import Any

from ..base.page_ranges import Range, RangeSet
from .calls import number_of, syscall
from .process_memory import (
    PAGE_BYTES,
    PAGE_IS_WPALLOWED,
    PAGE_IS_WRITTEN,
    Pagemap,
    Query,
)
from .ptrace import RemoteError, share_memory
from .ptrace_child import in_child
from .registers import supported
from .remote_syscall import Stopped, take_descriptor

UFFD_USER_MODE_ONLY = 1
UFFD_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK | UFFD_USER_MODE_ONLY
UFFDIO_API, UFFDIO_REGISTER, UFFDIO_WRITEPROTECT = 0xC018AA3F, 0xC020AA00, 0xC018AA06
UFFD_API = 0xAA
UFFD_FEATURES = 1 << 12 | 1 << 13 | 1 << 15  # WP_HUGETLBFS_SHMEM, WP_UNPOPULATED, WP_ASYNC
UFFDIO_REGISTER_MODE_WP = 2
LINK = "anon_inode:[userfaultfd]"

# Written since the last CLEAR; CLEAR also sets the marks anew, of all that it returns, in one step.
PM_SCAN_WP_MATCHING = 1
WRITTEN = Query(all_of=PAGE_IS_WPALLOWED | PAGE_IS_WRITTEN)
CLEAR = WRITTEN._replace(flags=PM_SCAN_WP_MATCHING)
UNTRACKED = Query(none_of=PAGE_IS_WPALLOWED)


class WriteProtection:
    """A userfaultfd of another process, held by this one. The end of both leaves no mark on it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def enable(self) -> None:
        """First of all. :raises OSError: the kernel lacks a feature."""
        fcntl.ioctl(self.descriptor, UFFDIO_API, bytearray(struct.pack("=3Q", UFFD_API, UFFD_FEATURES, 0)))

    def register(self, start: int, end: int) -> bool:
        """Have one mapping tracked; only while its process stands still, or the mapping is cut in two.

        False: the kernel will not (another userfaultfd has it, or it is of a kind that cannot be).
        :raises ProcessLookupError: the memory that this belongs to is gone.
        """
        argument = bytearray(struct.pack("=4Q", start, end - start, UFFDIO_REGISTER_MODE_WP, 0))
        try:
            fcntl.ioctl(self.descriptor, UFFDIO_REGISTER, argument)
        except OSError as error:
            if error.errno in (errno.ENOMEM, errno.ESRCH):
                raise ProcessLookupError(errno.ESRCH, "its memory is another one now") from error
            return False
        return True

    def forget_marks(self, start: int, end: int) -> bool:
        """Clear marks of earlier days, which would hide writes. False: not all of it is registered."""
        try:
            fcntl.ioctl(
                self.descriptor,
                UFFDIO_WRITEPROTECT,
                bytearray(struct.pack("=3Q", start, end - start, 0)),
            )
        except OSError:
            return False
        return True

    def close(self) -> None:
        os.close(self.descriptor)


def inject(stopped: Stopped, pid: int) -> WriteProtection:
    """A new userfaultfd of a stopped process.

    :raises RemoteError: it cannot be had.
    """
    descriptor = take_descriptor(stopped, pid, number_of("userfaultfd"), UFFD_FLAGS)
    protection = WriteProtection(descriptor)
    if os.readlink(f"/proc/self/fd/{descriptor}") != LINK:
        protection.close()
        raise RemoteError("its threads do not share their descriptors")
    try:
        protection.enable()
    except OSError as error:
        protection.close()
        raise RemoteError(f"userfaultfd refuses: {error.strerror}") from error
    return protection


def attach(pid: int, protection: WriteProtection | None) -> tuple[dict[str, Any], list[int]]:
    """Stop *pid* and register what is not tracked; for :func:`in_child`.

    :param protection: from an earlier time, or None to inject one.
    :returns: ``registered`` ranges and ``stopped_ms``; the new descriptor, if there is one: after exec
        the earlier one is of no use.
    """
    registered: list[Range] = []
    made: WriteProtection | None = None
    with Stopped(pid) as stopped:
        wanted = [Range(area.start, area.end) for area in stopped.areas if area.private_anonymous]
        if protection is not None:
            with Pagemap(pid) as pagemap:
                untracked = _touched(wanted, pagemap.scan(wanted, UNTRACKED))
            try:
                registered = [one for one in untracked if protection.register(*one)]
            except ProcessLookupError:
                protection = None
        if protection is None:
            made = inject(stopped, pid)
            registered = [one for one in wanted if made.register(*one)]
    return {"registered": registered, "stopped_ms": stopped.stopped_ms}, [made.descriptor] if made else []


def _touched(ranges: list[Range], pages: RangeSet) -> list[Range]:
    """Those of *ranges*, which are in order, that hold some of *pages*."""
    found, at = [], 0
    for one in ranges:
        while at < len(pages.ranges) and pages.ranges[at].end <= one.start:
            at += 1
        if at < len(pages.ranges) and pages.ranges[at].start < one.end:
            found.append(one)
    return found


def obstacle() -> str:
    """Why processes of this host cannot be tracked, found out on a child of this one; empty if they can."""
    if supported():
        return supported()
    try:
        kernel = _kernel_obstacle()
        if kernel:
            return kernel
        share_memory(os.getpid(), os.getpid())
        return _ptrace_obstacle()
    except OSError as error:
        return f"the kernel refuses: {error.strerror}"


def _kernel_obstacle() -> str:
    """Track a page of this process, as far as that needs no other one."""
    pages = mmap.mmap(-1, 2 * PAGE_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    holder = ctypes.c_char.from_buffer(pages)
    start = ctypes.addressof(holder)
    place = [Range(start, start + 2 * PAGE_BYTES)]
    try:
        protection = WriteProtection(syscall("userfaultfd", UFFD_FLAGS))
    except OSError as error:
        return f"the kernel has no userfaultfd ({error.strerror})"
    try:
        protection.enable()
        if not protection.register(*place[0]) or not protection.forget_marks(*place[0]):
            return "userfaultfd cannot write-protect memory here"
        pages[0] = pages[PAGE_BYTES] = 1
        with Pagemap(os.getpid()) as pagemap:
            first = pagemap.scan(place, CLEAR)
            between = pagemap.scan(place, WRITTEN)
            pages[PAGE_BYTES] = 2
            then = pagemap.scan(place, CLEAR)
    except OSError as error:
        return f"asynchronous write protection needs Linux 6.7, on arm64 6.10, or later ({error.strerror})"
    finally:
        protection.close()
        del holder
        pages.close()
    written = RangeSet([(start + PAGE_BYTES, start + 2 * PAGE_BYTES)])
    if (first, between, then) != (RangeSet(place), RangeSet(), written):
        return "the kernel does not tell written pages from others"
    return ""


def _ptrace_obstacle() -> str:
    child = os.fork()
    if child == 0:
        try:
            while True:
                signal.pause()
        finally:
            os._exit(0)
    try:
        _answer, descriptors = in_child(lambda: attach(child, None))
    except RemoteError as error:
        return f"another process cannot be given a userfaultfd: {error}"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    for descriptor in descriptors:
        os.close(descriptor)
    return ""
