# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of open files that are no sockets: anonymous inodes, devices, pipes, queues, deleted files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ..kernel.removed_files import DELETED
from .holdings import Holdings
from .kinds import KEPT, REFUSED, SAID, Found, Kind
from .open_files import NAMELESS, PIDFD, TIMER

TEST = "tests/unit/plugins/module_utils/test_holdings_files.py::"
# include/uapi/linux/limits.h, and what CRIU adds to such a name: ".cr.1a2b.ghost".
LONGEST_NAME, ADDED_TO_NAME = 255, 14
IO_URING = "anon_inode:[io_uring]"
# criu/files.c, dump_one_file: the anonymous inodes that it can dump.
KNOWN_INODES = ("[eventpoll]", "[eventfd]", "inotify", "[fanotify]", "[signalfd]", "[timerfd]", "[pidfd]")
INODES_IN_WORDS = {
    "[userfaultfd]": "handles its page faults itself (userfaultfd)",
    "[landlock-ruleset]": "has a Landlock ruleset open",
    "[perf_event]": "has a performance counter open (perf_event_open)",
}
# criu/files.c, dump_chrdev, and criu/tty.c, get_tty_driver; the numbers are in the kernel's
# Documentation/admin-guide/devices.txt. Of memory null, zero, full, random and kmsg, not what is the host's
# (mem, port); the screens of a host, not its serial ports (from 64 on); what leads to a terminal; pseudo
# terminals; tun and autofs.
KMSG = (1, 11)
MOVING_DEVICES = {
    1: (3, 5, 7, 8, 9, KMSG[1]),
    4: range(1, 64),
    5: range(3),
    10: (200, 235),
    **dict.fromkeys(range(136, 144), range(1 << 20)),
}
# criu/include/pipes.h
MOST_PIPES = 1024
# include/uapi/linux/magic.h
PROC_MAGIC, MQUEUE_MAGIC = 0x9FA0, 0x19800202


def _io_uring(holdings: Holdings) -> Iterator[Found]:
    places: dict[int, str] = {}
    for holder, file in holdings.files():
        if file.link == IO_URING:
            places.setdefault(holder.pid, file.place)
    for process in holdings.processes.values():
        if process.pid in places:
            yield Found(process, f"has an io_uring ({places[process.pid]})")
        elif IO_URING in process.mapped:
            yield Found(process, "has an io_uring mapped")


def _other_inode(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        name = file.link.partition("anon_inode:")[2]
        if name and name not in KNOWN_INODES and file.link != IO_URING:
            what = INODES_IN_WORDS.get(name, f"has a kernel object open ({name})")
            yield Found(process, f"{what}, {file.place}")


def _device(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        number = os.major(file.rdev), os.minor(file.rdev)
        if stat.S_ISBLK(file.mode) or (
            stat.S_ISCHR(file.mode) and number[1] not in MOVING_DEVICES.get(number[0], ())
        ):
            yield Found(process, f"has the device {file.link} open ({file.place})")
    for process in holdings.processes.values():
        for name in sorted(process.mapped):
            if name.startswith("/dev/") and not name.startswith(("/dev/zero", "/dev/shm/")):  # noqa: S108
                yield Found(process, f"has the device {name} mapped")


def _kernel_log(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        reads = file.flags & os.O_ACCMODE != os.O_WRONLY
        if reads and stat.S_ISCHR(file.mode) and file.rdev == os.makedev(*KMSG):
            yield Found(process, f"has the log of this host's kernel open ({file.link}, {file.place})")


def _packet_pipe(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.link.startswith("pipe:[") and file.flags & os.O_DIRECT:
            yield Found(process, f"has a pipe that keeps writes apart ({file.place})")


def _many_pipes(holdings: Holdings) -> Iterator[Found]:
    read = {file.link for _process, file in holdings.files() if file.flags & os.O_ACCMODE != os.O_WRONLY}
    pipes = sum(link.startswith("pipe:[") for link in read)
    if pipes > MOST_PIPES:
        yield Found(None, f"has {pipes} pipes")


def _many_fifos(holdings: Holdings) -> Iterator[Found]:
    names = {file.link for _process, file in holdings.files() if stat.S_ISFIFO(file.mode) and file.magic}
    if len(names) > MOST_PIPES:
        yield Found(None, f"has {len(names)} FIFOs open")


def _message_queue(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.magic == MQUEUE_MAGIC:
            yield Found(process, f"has the POSIX message queue {file.link} open ({file.place})")


def _message_queue_left(holdings: Holdings) -> Iterator[Found]:
    """CRIU refuses a file system of message queues that is not empty, whoever has them open."""
    held = {file.link for _process, file in holdings.files() if file.magic == MQUEUE_MAGIC}
    for name in holdings.message_queues:
        if name not in held:
            yield Found(None, f"has the POSIX message queue {name}, which no process of it has open")


def _proc_directory(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.magic == PROC_MAGIC and stat.S_ISDIR(file.mode):
            yield Found(process, f"has a directory of /proc open, {file.link} ({file.place})")


def _removed_name(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        removed = stat.S_ISREG(file.mode) and file.link.endswith(DELETED)
        if removed and file.links and not file.link.startswith(NAMELESS):
            name = file.link.removesuffix(DELETED)
            point = holdings.stays_at(name)
            if point:
                yield Found(
                    process,
                    f"has {name} open, whose name was removed while another hard link stays, on the mount at "
                    f"{point}, which does not move",
                )


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


def _protected_directory(holdings: Holdings) -> Iterator[Found]:
    for each in holdings.protected_directories:
        if not holdings.stays_at(each.path):
            yield Found(
                holdings.processes[each.process], f"{each.what}, in a directory that is {each.how} by now"
            )


KINDS = (
    Kind(
        "io-uring",
        "io_uring",
        REFUSED,
        "anon_inode:[io_uring] in /proc/PID/fd or maps",
        "CRIU cannot dump an io_uring",
        "Switch it off in the service (Node: `UV_USE_IO_URING=0`; nginx, MariaDB, PostgreSQL: their option "
        "for asynchronous input/output), or leave Docker's seccomp profile on, which forbids it",
        TEST + "test_an_io_uring",
        _io_uring,
    ),
    Kind(
        "kernel-object",
        "Other kernel objects behind a descriptor: userfaultfd, perf events, BPF, Landlock rulesets, KVM",
        REFUSED,
        "anon_inode:NAME in /proc/PID/fd, with a name that CRIU has no dump for",
        "CRIU cannot dump it",
        "Start the service without what needs it",
        TEST + "test_other_kernel_objects",
        _other_inode,
    ),
    Kind(
        "device",
        "An open or mapped device that is neither memory (/dev/null ...; /dev/mem is) nor a terminal (serial "
        "ports are none) nor tun",
        REFUSED,
        "type and number of the file, by stat(2)",
        "its state is in the device of this host",
        "Start the service without that device",
        TEST + "test_a_device",
        _device,
    ),
    Kind(
        "kernel-log",
        "The log of the host's kernel, open for reading (/dev/kmsg)",
        SAID,
        "as before",
        "on the target it is that host's, and is read from its beginning, after an error (EPIPE)",
        "Let the service pass over what it has not to do with",
        TEST + "test_the_log_of_the_kernel",
        _kernel_log,
    ),
    Kind(
        "packet-pipe",
        "A pipe that keeps writes apart (pipe2 with O_DIRECT; others: kept)",
        REFUSED,
        "`flags` in /proc/PID/fdinfo",
        "CRIU cannot dump a pipe in that mode",
        "Let the service use a UNIX socket of type SOCK_SEQPACKET or SOCK_DGRAM, which keeps them apart, too",
        TEST + "test_a_pipe_that_keeps_writes_apart",
        _packet_pipe,
    ),
    Kind(
        "many-pipes",
        f"More than {MOST_PIPES} pipes",
        REFUSED,
        "what is different in /proc/PID/fd",
        f"CRIU cannot dump more than {MOST_PIPES} of a container",
        "Let the service use fewer, or eventfds and UNIX sockets in place of them",
        TEST + "test_more_pipes_than_can_be_dumped",
        _many_pipes,
    ),
    Kind(
        "many-fifos",
        f"More than {MOST_PIPES} open FIFOs",
        REFUSED,
        "what is different in /proc/PID/fd",
        f"CRIU cannot dump more than {MOST_PIPES} of a container",
        "Let the service use fewer, or UNIX sockets in place of them",
        TEST + "test_more_fifos_than_can_be_dumped",
        _many_fifos,
    ),
    Kind(
        "message-queue",
        "An open POSIX message queue",
        REFUSED,
        "a file on a file system of type mqueue",
        "CRIU does not dump POSIX message queues",
        "Use System V queues or sockets, or close the queue before the move",
        TEST + "test_a_message_queue",
        _message_queue,
    ),
    Kind(
        "message-queue-left",
        "A POSIX message queue that is there and that nobody has open",
        REFUSED,
        "what is listed in /dev/mqueue of the container",
        "CRIU does not dump POSIX message queues",
        "Let the service read it and remove it (mq_unlink(3), or `rm` in the container's /dev/mqueue)",
        TEST + "test_a_message_queue_that_nobody_has_open",
        _message_queue_left,
    ),
    Kind(
        "removed-name",
        "An open or mapped file whose name was removed while another hard link to it stays",
        KEPT,
        "the images of the dump: remap-fpath.img",
        "the target is given another link to it, by the name that CRIU restores it from and then removes",
        "",
        "tests/e2e/test_kinds.py::test_what_a_service_holds_is_there_after_the_move",
    ),
    Kind(
        "removed-name-outside",
        "An open file whose name was removed while another hard link to it stays, on a mount that does not "
        "move (a bind mount that is not in `move_binds`)",
        REFUSED,
        "`(deleted)` in /proc/PID/fd of a file that still has names, and where it is mounted",
        "on the target the file is another one, or none",
        "Let the service open the file by the name that stays (most reopen it on SIGHUP), and move it then",
        TEST + "test_a_file_whose_name_is_gone_while_another_link_stays",
        _removed_name,
    ),
    Kind(
        "proc-directory",
        "An open directory of /proc",
        REFUSED,
        "a directory on a file system of type proc",
        "CRIU cannot restore it",
        "Close it before the move",
        TEST + "test_a_directory_of_proc",
        _proc_directory,
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
        "protected-directory",
        "A directory that has become immutable or append-only (chattr +i, +a) since a UNIX socket was bound "
        "to a name in it, or a file in it was removed that is open or mapped still",
        REFUSED,
        "sock_diag(7) and the names of open and mapped files, and statx(2) of their directories",
        "it is so on the target, too, where CRIU cannot make or remove a name in it",
        "Take that off the directory until the service has moved (`chattr -i`, `chattr -a`), or let the "
        "service close it",
        TEST + "test_a_directory_that_was_protected",
        _protected_directory,
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
)
