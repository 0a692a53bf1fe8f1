# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CRIU does not bring back and can be set from outside: read on the source, put back on the target.

As fields of a message: ``tasks``, each a :class:`TaskSettings` as a list, and ``sockets``, each the number of
a process in the container, a file descriptor of it, [level, option, value] and [group, interface, whether
sources are excluded, sources] of what is not as usual; values and addresses are hexadecimal. ``terminals``:
number of a process and file descriptor of what nobody else may open. ``segments``, each :class:`Marks` as a
list.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import Any, NamedTuple

from .processes import descriptors
from .socket_options import Membership, Options, read_options, set_options, socket_of
from .system_v import Marks, mark_segments, marked_segments
from .task_settings import TaskSettings, read_settings, set_settings
from .terminals import exclusive, make_exclusive


class SocketSettings(NamedTuple):
    """Of one socket, by one of the processes that have it open (its number in the container)."""

    process: int
    descriptor: int
    options: Options


class Settings(NamedTuple):
    """Of a whole container."""

    tasks: list[TaskSettings]
    sockets: list[SocketSettings]
    terminals: list[tuple[int, int]] = []  # noqa: RUF012 - never changed
    segments: list[Marks] = []  # noqa: RUF012 - never changed

    def as_fields(self) -> dict[str, Any]:
        return {
            "tasks": [list(task) for task in self.tasks],
            "sockets": [
                [
                    process,
                    descriptor,
                    [[level, option, value.hex()] for level, option, value in options.values],
                    [
                        [each.group.hex(), each.interface, each.excludes, [one.hex() for one in each.sources]]
                        for each in options.memberships
                    ],
                ]
                for process, descriptor, options in self.sockets
            ],
            "terminals": [list(terminal) for terminal in self.terminals],
            "segments": [list(marks) for marks in self.segments],
        }


def from_fields(fields: dict[str, Any]) -> Settings:
    """What :meth:`Settings.as_fields` gave.

    :raises ValueError: it did not give that.
    """
    try:
        tasks = [TaskSettings(*task) for task in fields["tasks"]]
        for task in tasks:
            numbers = (*task.processors, task.number, task.io_priority, task.timer_slack_ns)
            if not all(isinstance(each, int) for each in (*numbers, task.autogroup_nice)):
                raise ValueError("a number is none")
            int(task.coredump_filter or "0", 16)
        return Settings(
            tasks,
            [
                SocketSettings(
                    int(process),
                    int(descriptor),
                    Options(
                        [(int(level), int(option), bytes.fromhex(value)) for level, option, value in values],
                        [_membership(*membership) for membership in memberships],
                    ),
                )
                for process, descriptor, values, memberships in fields["sockets"]
            ],
            [(int(process), int(descriptor)) for process, descriptor in fields["terminals"]],
            [Marks(int(number), bool(to_go), bool(locked)) for number, to_go, locked in fields["segments"]],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"settings of processes and sockets: {error}") from error


def _membership(group: str, interface: str, excludes: bool, sources: list[str]) -> Membership:
    return Membership(
        bytes.fromhex(group), str(interface), bool(excludes), tuple(bytes.fromhex(one) for one in sources)
    )


def read(pids: dict[int, int]) -> Settings:
    """What is not as usual. Nothing is stopped for it.

    :param pids: number on the host -> number in the container.
    """
    sockets = []
    for pid, descriptor in _sockets(list(pids)):
        # Gone meanwhile, or not to be had: a security module may refuse.
        with contextlib.suppress(OSError), socket_of(pid, descriptor) as found:
            options = read_options(found, pid)
            if options.values or options.memberships:
                sockets.append(SocketSettings(pids[pid], descriptor, options))
    terminals = [(pids[pid], descriptor) for pid, descriptor in exclusive(pids)]
    segments: list[Marks] = []
    # All are in one namespace.
    for pid in list(pids)[:1]:
        with contextlib.suppress(OSError):
            segments = marked_segments(pid)
    return Settings(read_settings(list(pids)), sockets, terminals, segments)


def put_back(pids: dict[int, int], settings: Settings) -> list[str]:
    """Set what differs; returns what could not be set, as words.

    The service runs already: a socket that it has closed meanwhile needs nothing.

    :param pids: number on the host -> number in the container.
    """
    by_number = {number: pid for pid, number in pids.items()}
    refused = set_settings(list(pids), settings.tasks)
    for process, descriptor, options in settings.sockets:
        if process in by_number:
            pid = by_number[process]
            try:
                with socket_of(pid, descriptor) as found:
                    failed = set_options(found, pid, options)
            except OSError as error:
                failed = [] if error.errno == errno.EBADF else [f"all options ({error.strerror})"]
            refused += [f"{each} of file descriptor {descriptor} of process {process}" for each in failed]
    for process, descriptor in settings.terminals:
        failure = make_exclusive(by_number[process], descriptor) if process in by_number else ""
        if failure:
            refused.append(f"TIOCEXCL of file descriptor {descriptor} of process {process} ({failure})")
    # All are in one namespace; none is left of a service that has ended.
    for pid in list(pids)[:1]:
        with contextlib.suppress(OSError):
            refused += mark_segments(pid, settings.segments) if settings.segments else []
    return refused


def _sockets(pids: list[int]) -> Iterator[tuple[int, int]]:
    """(process, file descriptor) of each socket, once however many have it open."""
    seen = set()
    for pid in pids:
        for number, link in descriptors(pid):
            if link.startswith("socket:") and link not in seen:
                seen.add(link)
                yield pid, number
