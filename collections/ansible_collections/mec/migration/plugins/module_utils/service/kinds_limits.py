# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits that the service is at, where CRIU needs a little more for a moment, or cannot read them."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

from ..kernel.identity import common_identity
from ..kernel.process_limits import may_exceed_limits
from .holdings import Holdings
from .kinds import REFUSED, Found, Kind

TEST = "tests/unit/plugins/module_utils/test_holdings_limits.py::"
# CRIU's own processes while it restores; seen to be enough, and two are not.
TASKS_OF_RESTORE = 4
# Seen to be enough, and 2 descriptors and no address space are not.
DESCRIPTORS_OF_DUMP = 4
ADDRESS_SPACE_OF_DUMP = 4 << 20
# criu/servicefd.c: it needs some above the highest one of a process, in steps of 128.
DESCRIPTORS_OF_RESTORE = 256


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


def _few_tasks_left(holdings: Holdings) -> Iterator[Found]:
    left = holdings.tasks_left
    if left is not None and left < TASKS_OF_RESTORE:
        yield Found(None, f"may have {max(left, 0)} more processes and threads (`--pids-limit`)")


def _unreadable_limits(holdings: Holdings) -> Iterator[Found]:
    unreadable = [process for process in holdings.processes.values() if not process.limits_readable]
    # CRIU can be started as that user, but not as several.
    if unreadable and common_identity(holdings.processes) is None:
        for process in unreadable:
            yield Found(process, f"runs as user {process.uid}, others as another one")


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
        "few-tasks",
        f"A limit of processes and threads (`--pids-limit`) with fewer than {TASKS_OF_RESTORE} left",
        REFUSED,
        "pids.max and pids.current of its cgroup",
        f"CRIU needs {TASKS_OF_RESTORE} beside them for its restore, within that limit",
        "Raise it: `docker update --pids-limit` takes effect at once",
        TEST + "test_a_limit_of_processes_that_is_used_up",
        _few_tasks_left,
    ),
    Kind(
        "beyond-the-targets-limits",
        "More of something than the target's kernel allows: mappings (vm.max_map_count), open files "
        "(fs.nr_open), instances and watches of inotify (fs.inotify.*), asynchronous input and output "
        "(fs.aio-max-nr)",
        REFUSED,
        "/proc/PID of each process, beside /proc/sys of the target",
        "the restore would fail; with fewer open files than it may have now the service would run on, and "
        "nobody would say so",
        "Raise that limit on the target, as the message says. Instances and watches of inotify that others "
        "use there are not counted",
        "tests/unit/plugins/module_utils/test_kernel_limits.py::test_each_limit_of_the_target",
    ),
    Kind(
        "other-user",
        "Processes of several users, or groups, on a host without CAP_SYS_RESOURCE (of one: kept)",
        REFUSED,
        "prlimit(2) of a process fails, and their ids in /proc/PID/status differ",
        "this host lacks CAP_SYS_RESOURCE, without which CRIU reads the resource limits (rlimit) of one "
        "user's processes only",
        "Give the host (a container or a restricted machine) that capability, or let all of the service run "
        "as one user (`docker run --user`, or as root)",
        TEST + "test_processes_of_several_users_whose_limits_cannot_be_read",
        _unreadable_limits,
    ),
)
