# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of things that a move changes without breaking the service: told, so that none is lost silently."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .holdings import Holdings
from .kinds import REFUSED, SAID, UNSEEN, Found, Kind
from .packed_mounts import PackedMount

TEST = "tests/unit/plugins/module_utils/test_holdings_lost.py::"
SEMAPHORE = re.compile(r"^eventfd-semaphore:\s*1$", re.MULTILINE)
# Of the minute that a dump may take.
LONGEST_PACKING_S = 30
# A timer that is due and was not read: CRIU takes it for one that is switched off.
DUE_TIMER = re.compile(r"^it_value: \(0, 0\)\nit_interval: \((?!0, 0\))", re.MULTILINE)


def _semaphore(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.link == "anon_inode:[eventfd]" and SEMAPHORE.search(file.info):
            yield Found(process, f"has an eventfd that counts as a semaphore (descriptor {file.number})")


def _due_timer(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.link == "anon_inode:[timerfd]" and DUE_TIMER.search(file.info):
            yield Found(process, f"has a periodic timer that is due and not read (descriptor {file.number})")


def _settings(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        for name, usual in holdings.usual_settings.items():
            value = process.settings.get(name, usual)
            if value != usual:
                yield Found(process, f"has set its {name} to {value}")


def _affinity(holdings: Holdings) -> Iterator[Found]:
    """Against the widest set in the container: a cpuset of the container binds all alike."""
    widest = max((len(process.processors) for process in holdings.processes.values()), default=0)
    for process in holdings.processes.values():
        if process.processors and len(process.processors) < widest:
            numbers = ", ".join(map(str, sorted(process.processors)))
            yield Found(process, f"is bound to the processors {numbers}")


def _memberships(holdings: Holdings) -> Iterator[Found]:
    for group in holdings.multicast_groups:
        yield Found(None, f"is a member of the multicast group {group}")


def _takes(mount: PackedMount) -> str:
    return (
        f"has {mount.used_bytes / 1e6:.0f} MB in the tmpfs {mount.point}, which CRIU packs (tar, gzip) for "
        f"about {mount.seconds:.0f} s"
    )


def _too_much_to_pack(holdings: Holdings) -> Iterator[Found]:
    return (
        Found(None, _takes(mount)) for mount in holdings.packed_mounts if mount.seconds > LONGEST_PACKING_S
    )


def _much_to_pack(holdings: Holdings) -> Iterator[Found]:
    return (
        Found(None, _takes(mount)) for mount in holdings.packed_mounts if mount.seconds <= LONGEST_PACKING_S
    )


KINDS = (
    Kind(
        "large-tmpfs",
        "A tmpfs with so much in it that CRIU cannot pack it in time",
        REFUSED,
        "what is in it (statvfs), and how fast a sample is packed",
        "the dump is given up after a minute, and a busy host takes longer than that estimate",
        "Put less into it, or use a volume: volumes travel while the service runs",
        TEST + "test_a_tmpfs_that_takes_too_long",
        _too_much_to_pack,
    ),
    Kind(
        "much-in-tmpfs",
        "A tmpfs with more than 32 MiB in it",
        SAID,
        "as before",
        "the service is frozen meanwhile",
        "Use a volume if that is too long: volumes travel while the service runs",
        TEST + "test_a_tmpfs_that_takes_time",
        _much_to_pack,
    ),
    Kind(
        "eventfd-semaphore",
        "An eventfd with EFD_SEMAPHORE",
        SAID,
        "`eventfd-semaphore` in /proc/PID/fdinfo",
        "after the move a read takes the whole count instead of one",
        "Use a pipe or a futex if the service depends on it",
        TEST + "test_an_eventfd_that_is_a_semaphore",
        _semaphore,
    ),
    Kind(
        "due-timer",
        "A periodic timer (timerfd) that is due and not read yet",
        SAID,
        "`it_value` of zero with an `it_interval` in /proc/PID/fdinfo",
        "if it is still so when the service is frozen, it does not fire again",
        "Let the service set it anew when it has not fired for a while",
        TEST + "test_a_timer_that_is_due",
        _due_timer,
    ),
    Kind(
        "process-settings",
        "coredump_filter, timer slack, autogroup of a process",
        SAID,
        "the files of that name in /proc/PID, against those of the process that started the container",
        "after the move it has the usual value again",
        "Set it again on the target if it matters",
        TEST + "test_settings_of_a_process",
        _settings,
    ),
    Kind(
        "affinity",
        "Processors that a process has bound itself to",
        SAID,
        "`Cpus_allowed_list` in /proc/PID/status, against the widest of the container's",
        "after the move it may run on all of the container's",
        "Start the container with `--cpuset-cpus`, which moves",
        TEST + "test_a_process_that_is_bound_to_a_processor",
        _affinity,
    ),
    Kind(
        "multicast",
        "Memberships in multicast groups",
        SAID,
        "/proc/PID/net/igmp and igmp6, besides the groups that every host is in",
        "membership and TTL of the socket are not in a checkpoint",
        "Let the service join again",
        TEST + "test_a_member_of_a_multicast_group",
        _memberships,
    ),
    Kind(
        "socket-options",
        "Socket options: IP_RECVTOS, IP_MTU_DISCOVER, SO_TIMESTAMP, UDP_GRO, TCP_DEFER_ACCEPT, TCP_FASTOPEN, "
        "TCP_CONGESTION, TCP_USER_TIMEOUT, TCP_MAXSEG, TCP_SYNCNT, IP_MINTTL, SO_MAX_PACING_RATE, "
        "SO_BUSY_POLL, SO_ZEROCOPY, IP_RECVERR",
        UNSEEN,
        "",
        "they are back at their defaults: CRIU does not dump them",
        "Let the service set them for each new socket",
        "",
    ),
    Kind(
        "memory-policies",
        "MLOCK_ONFAULT, NUMA policies, PR_SET_MEMORY_MERGE, PR_SET_MDWE, ioprio",
        UNSEEN,
        "",
        "they are back at their defaults: CRIU does not dump them",
        "Let the service set them again if it matters",
        "",
    ),
    Kind(
        "inode-flags",
        "Inode flags (+i, +a) of files; times of files on tmpfs below a second",
        UNSEEN,
        "",
        "they are not on the target",
        "Set flags again on the target",
        "",
    ),
)
