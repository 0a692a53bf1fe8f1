# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of processes that are at a limit of their own, where CRIU needs a little more for a moment."""

from __future__ import annotations

import contextlib
import os
import resource
import stat
from collections.abc import Iterator

from ..kernel.process_limits import may_exceed_limits
from ..kernel.removed_files import DELETED
from .holdings import Holdings
from .kinds import REFUSED, SAID, Found, Kind
from .open_files import NAMELESS, PIDFD, TIMER

TEST = "tests/unit/plugins/module_utils/test_holdings_limits.py::"
# Seen to be enough, and 2 descriptors and no address space are not.
DESCRIPTORS_OF_DUMP = 4
ADDRESS_SPACE_OF_DUMP = 4 << 20
# criu/servicefd.c: it needs some above the highest one of a process, in steps of 128.
DESCRIPTORS_OF_RESTORE = 256
# include/uapi/linux/limits.h, and what CRIU adds to such a name: ".cr.1a2b.ghost".
LONGEST_NAME, ADDED_TO_NAME = 255, 14


def _descriptors(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        limit = process.descriptor_limit
        if limit is not None and process.state != "Z":
            used = sum(file.number < limit for file in process.files)
            if limit - used < DESCRIPTORS_OF_DUMP:
                yield Found(process, f"has {used} of the {limit} files open that it may have open at once")


def _address_space(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        left = process.address_space_left
        if left is not None and left < ADDRESS_SPACE_OF_DUMP:
            yield Found(
                process, f"may have {max(left, 0) >> 10} KiB more of address space (`ulimit -v`, RLIMIT_AS)"
            )


def _most_descriptors() -> int:
    """What CRIU may have open. It raises its own limit if it may."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if may_exceed_limits():
        with contextlib.suppress(OSError), open("/proc/sys/fs/nr_open", encoding="ascii") as most:
            return max(limit, int(most.read()))
    return limit


def _high_descriptor(holdings: Holdings) -> Iterator[Found]:
    most = _most_descriptors()
    for process in holdings.processes.values():
        highest = max((file.number for file in process.files), default=0)
        if highest + DESCRIPTORS_OF_RESTORE > most:
            yield Found(process, f"has a file open as number {highest}")


def _long_name(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if stat.S_ISREG(file.mode) and not file.links and not file.link.startswith(NAMELESS):
            name = file.link.removesuffix(DELETED)
            if len(os.fsencode(name.rpartition("/")[2])) > LONGEST_NAME - ADDED_TO_NAME:
                yield Found(
                    process,
                    f"has a deleted file open whose name is longer than {LONGEST_NAME - ADDED_TO_NAME} bytes "
                    f"({file.place})",
                )


def _pidfd_of_thread(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        # PIDFD_THREAD has the number of O_EXCL.
        if file.link == PIDFD and file.flags & os.O_EXCL:
            yield Found(process, f"has a pidfd of a single thread ({file.place})")


def _apart(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        for what in process.apart:
            yield Found(process, f"has {what}")


def _alarm_clock(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.link == TIMER and file.undumped:
            yield Found(process, f"has a timerfd of the clock {file.undumped} ({file.place})")


def _protected(holdings: Holdings) -> Iterator[Found]:
    said: set[tuple[int, str]] = set()
    for process, file in holdings.files():
        if stat.S_ISREG(file.mode) and file.undumped and not holdings.stays_at(file.link):
            said.add((process.pid, file.link))
            yield Found(
                process, f"has the file {file.link} open for writing, which is {file.undumped} by now"
            )
    for process in holdings.processes.values():
        for path in process.protected:
            if (process.pid, path) not in said and not holdings.stays_at(path):
                what = "which was opened for writing and is immutable or append-only (chattr +i, +a) by now"
                yield Found(process, f"has mapped the file {path}, {what}")


def _personality(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        if process.personality:
            yield Found(
                process, f"has the personality {process.personality:#x} (setarch, linux32, personality(2))"
            )


KINDS = (
    Kind(
        "descriptors-used-up",
        f"A process that may open fewer than {DESCRIPTORS_OF_DUMP} files more (RLIMIT_NOFILE)",
        REFUSED,
        "/proc/PID/limits and /proc/PID/fd",
        f"CRIU needs some in it while it dumps it, and {DESCRIPTORS_OF_DUMP} are enough",
        "Let the service close some, or raise its limit: `prlimit --pid PID --nofile=NUMBER` takes effect at "
        "once",
        TEST + "test_a_process_that_may_open_no_more_files",
        _descriptors,
    ),
    Kind(
        "address-space-used-up",
        f"A process that may have less than {ADDRESS_SPACE_OF_DUMP >> 20} MiB of address space more "
        "(RLIMIT_AS)",
        REFUSED,
        "/proc/PID/limits and `VmSize` in /proc/PID/status",
        "CRIU needs some in it while it dumps it",
        "Raise its limit: `prlimit --pid PID --as=BYTES` takes effect at once",
        TEST + "test_a_process_that_may_map_no_more",
        _address_space,
    ),
    Kind(
        "high-descriptor",
        "A file that is open as a number near the highest that the host allows (fs.nr_open; without "
        "CAP_SYS_RESOURCE the hard limit of open files)",
        REFUSED,
        "/proc/PID/fd, beside the limit of this host",
        f"CRIU needs {DESCRIPTORS_OF_RESTORE} higher numbers while it restores it",
        "Let the service use lower ones, or raise that limit on both hosts",
        TEST + "test_a_file_that_is_open_as_a_high_number",
        _high_descriptor,
    ),
    Kind(
        "long-deleted-name",
        f"An open file that is deleted and whose name was longer than {LONGEST_NAME - ADDED_TO_NAME} bytes",
        REFUSED,
        "/proc/PID/fd",
        "CRIU makes it again by a name that is longer still, and no file system takes that",
        "Let the service close it before the move",
        TEST + "test_a_deleted_file_with_a_long_name",
        _long_name,
    ),
    Kind(
        "thread-pidfd",
        "A pidfd of a single thread (PIDFD_THREAD; of processes: kept)",
        REFUSED,
        "`flags` in /proc/PID/fdinfo",
        "CRIU cannot dump it",
        "Close it before the move",
        TEST + "test_a_pidfd_of_a_thread",
        _pidfd_of_thread,
    ),
    Kind(
        "thread-apart",
        "A thread with a table of open files, working directory, umask or namespace of its own (unshare, "
        "setns; Samba's threads), or a namespace for children to come",
        REFUSED,
        "kcmp(2) of each thread and the first one of its process; /proc/PID/task/TID/ns",
        "CRIU gives all threads what the first one has",
        "Let the service use a process of its own for that (fork), or end the thread before the move",
        TEST + "test_a_thread_with_what_threads_have_in_common",
        _apart,
    ),
    Kind(
        "alarm-clock",
        "A timerfd of a clock that wakes the host (CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM; other clocks: "
        "kept)",
        REFUSED,
        "`clockid` in /proc/PID/fdinfo",
        "CRIU cannot dump it",
        "Let the service use CLOCK_REALTIME or CLOCK_BOOTTIME: edge hosts do not sleep",
        TEST + "test_a_timer_of_a_clock_that_wakes_the_host",
        _alarm_clock,
    ),
    Kind(
        "protected-file",
        "A file that was opened for writing, and has become immutable or append-only since (chattr +i, +a; "
        "open for appending to it: kept); also one that is mapped and was opened so",
        REFUSED,
        "`flags` in /proc/PID/fdinfo, the permissions of links in /proc/PID/map_files, and statx(2)",
        "it is so on the target, too, where CRIU cannot open it for writing again",
        "Take that off until the service has moved (`chattr -i`, `chattr -a`), or let the service close it",
        TEST + "test_a_file_that_was_protected_after_it_was_opened",
        _protected,
    ),
    Kind(
        "personality",
        "The personality of a process or thread (setarch, linux32)",
        SAID,
        "/proc/PID/personality, of each thread",
        "CRIU does not restore it: uname(2) and the places of new mappings are the usual ones after the move",
        "Nothing, unless the service goes by them; then let it be started anew",
        TEST + "test_a_personality",
        _personality,
    ),
)
