# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of open files that wait for others: inotify, fanotify, epoll."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from ..kernel.epolls import EPOLL
from ..kernel.watches import Holder
from .holdings import Holdings
from .kinds import KEPT, REFUSED, SAID, Found, Kind

TEST = "tests/unit/plugins/module_utils/test_watchers.py::"


def _holders(holdings: Holdings, holders: Iterable[Holder], what: str) -> Iterator[Found]:
    for pid, descriptor in holders:
        yield Found(holdings.processes[pid], f"{what} (file descriptor {descriptor})")


def _nameless(holdings: Holdings) -> Iterator[Found]:
    what = "watches something that has no name in its file systems, or is one of /proc or /sys"
    return _holders(holdings, holdings.watches.nameless, what)


def _of_file_systems(holdings: Holdings) -> Iterator[Found]:
    return _holders(holdings, holdings.watches.of_file_systems, "watches a whole file system by fanotify")


def _options(holdings: Holdings) -> Iterator[Found]:
    return _holders(holdings, holdings.watches.with_options, "has a watch with IN_ONESHOT or IN_EXCL_UNLINK")


def _strangers(holdings: Holdings) -> Iterator[Found]:
    for stranger in holdings.strangers:
        yield Found(
            holdings.processes[stranger.process],
            f"has an epoll (file descriptor {stranger.descriptor}) that waits for a file which was added as "
            f"number {stranger.number} and which it has not open itself",
        )


def _busy(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.link == EPOLL and file.undumped:
            yield Found(process, f"has an epoll that {file.undumped} ({file.place})")


def _pressure(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        is_pressure = file.link.startswith("/proc/pressure/") or file.link.endswith(".pressure")
        if is_pressure and file.flags & os.O_ACCMODE != os.O_RDONLY:
            yield Found(process, f"waits for pressure of {file.link} ({file.place})")


KINDS = (
    Kind(
        "watch",
        "An inotify or fanotify watch, also on the container's own file system and on single files that are "
        "mounted",
        KEPT,
        "inode and device in /proc/PID/fdinfo",
        "CRIU is told the paths of what it cannot find by its handle",
        "",
        "tests/unit/plugins/module_utils/test_watches.py::test_what_is_watched_has_its_path",
    ),
    Kind(
        "nameless-watch",
        "A watch on what has no name: a deleted file that somebody has open still; a watch on /proc or /sys",
        REFUSED,
        "inode and device in /proc/PID/fdinfo, and no mount of the container has that inode",
        "CRIU cannot set it up again",
        "Let the service end that watch, or close the file (watched files that are replaced by a new one of "
        "the same name: most programs do so by themselves)",
        TEST + "test_a_watch_on_what_has_no_name",
        _nameless,
    ),
    Kind(
        "file-system-watch",
        "A fanotify mark on a whole file system (FAN_MARK_FILESYSTEM; on mounts, directories, files: kept)",
        REFUSED,
        "`sdev` in /proc/PID/fdinfo",
        "CRIU would leave it out without a word",
        "Let the service mark the mount, or end the watch before the move",
        TEST + "test_a_watch_on_a_file_system",
        _of_file_systems,
    ),
    Kind(
        "watch-options",
        "IN_ONESHOT and IN_EXCL_UNLINK of inotify's watches",
        SAID,
        "`mask` in /proc/PID/fdinfo",
        "CRIU restores the watch without them, so that it tells of more than before",
        "Let the service ignore what it does not expect",
        TEST + "test_a_watch_with_options",
        _options,
    ),
    Kind(
        "strange-epoll",
        "An epoll that waits for a file which its process does not have open: closed beside a fork and not "
        "taken out, or on its way in a message (SCM_RIGHTS)",
        REFUSED,
        "`tfd` in /proc/PID/fdinfo and kcmp(2)",
        "CRIU finds it among the files of that process only",
        "Let the service take a file out of the epoll (EPOLL_CTL_DEL) before it closes its own descriptor",
        TEST + "test_an_epoll_of_a_file_that_another_process_has",
        _strangers,
    ),
    Kind(
        "pressure-trigger",
        "A trigger of pressure stall information (/proc/pressure, memory.pressure and the like)",
        SAID,
        "such a file that is open for writing, `flags` in /proc/PID/fdinfo",
        "CRIU opens the file again without the trigger, so that nothing is told any more",
        "Let the service write the trigger again",
        TEST + "test_a_trigger_of_pressure",
        _pressure,
    ),
    Kind(
        "busy-epoll",
        "An epoll that polls network devices busily (EPIOCSPARAMS)",
        SAID,
        "EPIOCGPARAMS, of a duplicate of the descriptor",
        "CRIU does not dump that, so that it waits for interrupts as by default",
        "Let the service ask for it again",
        TEST + "test_an_epoll_that_polls_busily",
        _busy,
    ),
)
