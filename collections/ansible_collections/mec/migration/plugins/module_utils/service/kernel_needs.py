# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a service takes of what a kernel limits (sysctl).

It has all that on the source. Where the target allows less, the restore fails, which is too late, or CRIU
leaves the service with a lower limit of open files without a word (seen of 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..kernel.kernel_limits import ASYNCHRONOUS_IO, DESCRIPTORS, INSTANCES, MAPPINGS, WATCHES
from .holdings import Holdings, Process


class Need(NamedTuple):
    """What the service takes at most of one thing.

    :ivar limit: the sysctl that limits it, of ``kernel_limits.NAMES``.
    :ivar amount: how much the limit must allow.
    :ivar holder: who has it, in words.
    :ivar what: what it has, in words: the rest of a sentence that begins with the holder.
    """

    limit: str
    amount: int
    holder: str
    what: str


def kernel_needs(container: str, holdings: Holdings) -> tuple[Need, ...]:
    """What there is to compare with the target's limits; nothing of what the service does not have."""
    requests = sum(process.aio_requests for process in holdings.processes.values())
    of_all = Need(
        ASYNCHRONOUS_IO,
        requests,
        f"container {container}",
        f"has room for {requests} asynchronous reads and writes (io_setup)",
    )
    return tuple(need for need in (*_of_processes(container, holdings), of_all) if need.amount)


def _of_processes(container: str, holdings: Holdings) -> Iterator[Need]:
    """For each limit the process that has most of what it limits.

    The kernel counts instances and watches of inotify by user. Their sum over all processes would still be
    too much, since a process shares those that it has inherited with its parent.
    """
    instances, watches = _inotify(holdings)
    kinds: tuple[tuple[str, Callable[[Process], int], str], ...] = (
        (MAPPINGS, lambda process: process.mappings, "has {} memory mappings"),
        (DESCRIPTORS, lambda process: process.most_descriptors, "may have {} files open (RLIMIT_NOFILE)"),
        (INSTANCES, lambda process: instances.get(process.pid, 0), "has {} instances of inotify"),
        (WATCHES, lambda process: watches.get(process.pid, 0), "has {} watches of inotify"),
    )
    for limit, count_of, what in kinds:
        most = max(holdings.processes.values(), key=count_of, default=None)
        if most is not None:
            count = count_of(most)
            yield Need(limit, count, f"{most} of container {container}", what.format(count))


def _inotify(holdings: Holdings) -> tuple[dict[int, int], dict[int, int]]:
    """Process -> instances, and process -> watches of all of them."""
    instances: dict[int, int] = {}
    watches: dict[int, int] = {}
    for (pid, _number), count in holdings.watches.of_inotify:
        instances[pid] = instances.get(pid, 0) + 1
        watches[pid] = watches.get(pid, 0) + count
    return instances, watches
