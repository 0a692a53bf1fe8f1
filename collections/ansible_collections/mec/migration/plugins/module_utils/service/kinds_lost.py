# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of things that a move changes without breaking the service: told, so that none is lost silently."""

from __future__ import annotations

from collections.abc import Iterator

from .holdings import Holdings
from .kinds import KEPT, REFUSED, SAID, UNSEEN, Found, Kind
from .packed_mounts import PackedMount

TEST = "tests/unit/plugins/module_utils/test_holdings_lost.py::"
# From here on they take longer than the rest of a small service.
MANY_MAPPINGS = 5000
# Of the minute that a dump may take.
LONGEST_PACKING_S = 30


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


def _many_mappings(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        if process.mappings >= MANY_MAPPINGS:
            yield Found(process, f"has {process.mappings} memory mappings")


def _unlocked(holdings: Holdings) -> Iterator[Found]:
    for pid, count in holdings.unlocked.items():
        if pid in holdings.processes:
            what = f"has locked {count / 1024:.0f} KiB of memory at the same addresses as its parent's"
            yield Found(holdings.processes[pid], what)


def _memory_settings(holdings: Holdings) -> Iterator[Found]:
    for pid, settings in holdings.memory_settings.items():
        for what in settings:
            yield Found(holdings.processes[pid], f"has {what}")


def _semaphores(holdings: Holdings) -> Iterator[Found]:
    if holdings.semaphore_sets:
        count = holdings.semaphore_sets
        yield Found(None, f"has {count} System V semaphore set{'s' if count > 1 else ''}")


def _waiting_client(holdings: Holdings) -> Iterator[Found]:
    for client in holdings.waiting_clients:
        yield Found(None, f"is waited for on this host by {client}")


KINDS = (
    Kind(
        "locked-by-child",
        "Locked memory (mlock, mlockall) of a forked child that runs its parent's program, where the parent "
        "has a mapping of the same bounds (other locked memory: kept)",
        SAID,
        "`VmLck` in /proc/PID/status, `lo` in smaps, beside the parent's maps",
        "CRIU has the child inherit that from its parent, so that it is not locked after the move",
        "Let the child lock it again, or execute its program anew after the fork",
        TEST + "test_memory_that_a_forked_child_has_locked",
        _unlocked,
    ),
    Kind(
        "many-mappings",
        f"A process with {MANY_MAPPINGS} memory mappings or more",
        SAID,
        "the lines of /proc/PID/maps",
        "CRIU dumps and restores each of them while the service is frozen, which the prediction does not "
        "count: 20,000 took 2 to 9 s on a busy host",
        "Let the service map fewer or larger pieces if that is too long",
        TEST + "test_a_process_with_many_mappings",
        _many_mappings,
    ),
    Kind(
        "large-tmpfs",
        "A tmpfs that cannot travel in rounds (something is mounted below it, or it is mounted twice), with "
        "so much in it that CRIU cannot pack it in time",
        REFUSED,
        "what is in it (statvfs), and how fast a sample is packed",
        "the dump is given up after a minute, and a busy host takes longer than that estimate",
        "Put less into it, or use a volume: volumes travel while the service runs",
        TEST + "test_a_tmpfs_that_takes_too_long",
        _too_much_to_pack,
    ),
    Kind(
        "much-in-tmpfs",
        "A tmpfs that cannot travel in rounds (something is mounted below it, or it is mounted twice), with "
        "more than 32 MiB in it",
        SAID,
        "what is in it (statvfs), and how fast a sample is packed",
        "the service is frozen meanwhile",
        "Use a volume if that is too long: volumes travel while the service runs",
        TEST + "test_a_tmpfs_that_takes_time",
        _much_to_pack,
    ),
    Kind(
        "eventfd-semaphore",
        "An eventfd with EFD_SEMAPHORE (not shown by Linux before 6.5: there a read takes the whole count "
        "after the move)",
        KEPT,
        "`eventfd-semaphore` in /proc/PID/fdinfo, once the service is frozen",
        "CRIU is given such an eventfd by the target",
        "",
        "tests/e2e/test_kinds.py::test_what_a_service_holds_is_there_after_the_move",
    ),
    Kind(
        "due-timer",
        "A periodic timer (timerfd) that is due and not read yet",
        KEPT,
        "`it_value` of zero with an `it_interval` in the images of the dump",
        "its image is edited, so that it expires at once and goes on from there",
        "",
        "tests/unit/plugins/module_utils/test_criu_edits.py::test_only_an_expired_periodic_timer_is_changed",
    ),
    Kind(
        "process-settings",
        "coredump_filter, timer slack, autogroup, ioprio of a process, and the processors it is bound to",
        KEPT,
        "the files of that name in /proc/PID, sched_getaffinity, ioprio_get",
        "they are put back from outside, right after the restore",
        "",
        "tests/unit/plugins/module_utils/test_settings.py::test_what_was_set_is_put_back",
    ),
    Kind(
        "exclusive-terminal",
        "A terminal of its own (pty) that nobody else may open (TIOCEXCL)",
        KEPT,
        "TIOCGEXCL, of a duplicate of the descriptor",
        "it is put back from outside, right after the restore",
        "",
        "tests/unit/plugins/module_utils/test_settings.py::test_a_terminal_that_nobody_else_may_open",
    ),
    Kind(
        "socket-options",
        "Socket options of UDP, TCP, raw, UNIX and netlink sockets that CRIU does not dump (IP_RECVTOS, "
        "IP_MTU_DISCOVER, SO_TIMESTAMP, UDP_GRO, TCP_DEFER_ACCEPT, TCP_FASTOPEN, TCP_CONGESTION, "
        "TCP_USER_TIMEOUT and many more), multicast memberships with their sources, and TTL",
        KEPT,
        "pidfd_getfd and getsockopt; /proc/PID/net/igmp and igmp6 for the groups",
        "they are put back from outside, right after the restore",
        "",
        "tests/unit/plugins/module_utils/test_settings.py::test_what_was_set_is_put_back",
    ),
    Kind(
        "memory-settings",
        "mlockall (MCL_FUTURE; what is locked by then: kept), MLOCK_ONFAULT, PR_SET_MEMORY_MERGE, and on "
        "hosts with several nodes NUMA policies",
        SAID,
        "`VmLck` in /proc/PID/status beside all that is mapped, `lf` in smaps, ksm_stat, numa_maps",
        "CRIU does not dump that: locked pages are all there at once after the move, new memory is neither "
        "locked nor merged, pages come from any node",
        "Let the service ask for it again if it matters",
        TEST + "test_what_was_asked_for_memory",
        _memory_settings,
    ),
    Kind(
        "memory-policies",
        "mlockall(MCL_FUTURE) without MCL_CURRENT, PR_SET_MDWE, hints of how long what is written lives "
        "(F_SET_RW_HINT), the content of memory that the kernel may drop at any time (MAP_DROPPABLE)",
        UNSEEN,
        "the kernel shows the first two to nobody; hints change no result, and dropped content is its "
        "owner's business at any time",
        "they are back at their defaults: CRIU does not dump them",
        "Let the service set them again if it matters",
        "",
    ),
    Kind(
        "semaphore-undo",
        "System V semaphores (kept), and what is to be undone of them at a process's end (SEM_UNDO)",
        SAID,
        "/proc/sysvipc/sem in its namespace; the kernel shows nobody what is to be undone",
        "their values move, and that something is to be undone (SEM_UNDO) does not: what a process has taken "
        "of them before the move stays taken if it dies without giving it back",
        "`ipcs -s` and `ipcrm` in the container show and remove what is left",
        TEST + "test_semaphores_of_system_v",
        _semaphores,
    ),
    Kind(
        "segment-marks",
        "That a System V segment of shared memory goes with its last user (IPC_RMID), or is never swapped "
        "out (SHM_LOCK)",
        KEPT,
        "/proc/sysvipc/shm in its namespace",
        "they are put back from outside, right after the restore",
        "",
        "tests/unit/plugins/module_utils/test_settings.py::test_marks_of_system_v_segments",
    ),
    Kind(
        "not-read-yet",
        "Datagrams of UDP, raw and ping sockets and events of inotify and fanotify that have come in and are "
        "not read",
        SAID,
        "`rx_queue` in /proc/PID/net/udp and the like, FIONREAD of a duplicate of the descriptor: in the "
        "frozen processes, once the service runs on the target; said at the end and in the report",
        "CRIU does not dump these",
        "Nothing for most, as UDP may lose datagrams anyway; let the service look at watched files once more",
        "tests/unit/plugins/module_utils/test_unread.py::test_what_was_not_read_is_named",
    ),
    Kind(
        "sealed-mappings",
        "That mappings are sealed (mseal)",
        SAID,
        "`sl` in smaps, at the end likewise, as the kernel walks through all memory to tell it",
        "CRIU does not dump that",
        "Let the service seal them again if it matters",
        "tests/unit/plugins/module_utils/test_unread.py::test_what_was_not_read_is_named",
    ),
    Kind(
        "unfinished-line",
        "What was written of a line without its end to a terminal of its own (pty) in line mode (whole ones, "
        "and all in other modes: kept)",
        UNSEEN,
        "",
        "CRIU reads the terminal to dump what is in it, and cannot read that",
        "Nothing, if the other end asks again; else let it write the whole line before the move",
        "",
    ),
    Kind(
        "told-already",
        "The mark of urgent data (MSG_OOB) of UNIX sockets, that an epoll with EPOLLET has told of something "
        "already",
        UNSEEN,
        "the kernel shows them to nobody",
        "CRIU does not dump these; such an epoll tells once more",
        "Nothing: programs must expect an event too many",
        "",
    ),
    Kind(
        "directory-signals",
        "Signals at changes of a directory (fcntl with F_NOTIFY, dnotify; inotify and fanotify: kept)",
        UNSEEN,
        "the kernel shows them to nobody",
        "CRIU does not dump them, so that none comes any more",
        "Let the service use inotify",
        "",
    ),
    Kind(
        "names-of-connections",
        "The names of the two ends of UNIX stream connections, as getsockname(2) and getpeername(2) tell "
        "them (those of listeners and of datagram sockets: kept)",
        UNSEEN,
        "",
        "CRIU restores the two ends as a pair, which has no names",
        "Nothing for most: a server knows its listener's name, and can ask for its clients' process "
        "(SO_PEERCRED)",
        "",
    ),
    Kind(
        "waiting-calls",
        "The wait of a system call that signal(7) lists as ended by SIGSTOP and SIGCONT: semop, futex, a "
        "sleep of some clocks; what is left of a write to a full pipe",
        UNSEEN,
        "",
        "the call ends with EINTR, and a sleep does not tell how much of it was left; the write tells how "
        "much it has written",
        "Let the service make the call again, as after any signal; most runtimes do",
        "",
    ),
    Kind(
        "socket-programs",
        "BPF programs of SO_REUSEPORT groups, SO_INCOMING_CPU",
        UNSEEN,
        "the kernel gives the program to nobody",
        "the kernel distributes by its own rule again (filters of SO_ATTACH_FILTER are kept)",
        "Let the service attach again",
        "",
    ),
    Kind(
        "memory-from-outside",
        "Reads of memory by /proc/PID/mem or ptrace(2) (debuggers) of pages that have not come yet: for a "
        "moment after the move, with `migrate_postcopy` until all have",
        UNSEEN,
        "",
        "the kernel waits for a page in all other ways (accesses, system calls, process_vm_readv), and gives "
        "an error (EIO) in these",
        "Let whoever looks ask again",
        "tests/e2e/test_postcopy.py::test_a_service_that_never_leaves_its_memory_alone",
    ),
    Kind(
        "process-history",
        "CPU time that was used so far, start times of processes, the scheduler's slice, PR_MCE_KILL",
        UNSEEN,
        "",
        "processes are new ones to the kernel of the target; RLIMIT_CPU and clocks of CPU time begin anew",
        "Nothing, unless the service bills by them",
        "",
    ),
    Kind(
        "inode-flags",
        "Flags of files and directories that chattr sets (i, a, A, d, S, D)",
        KEPT,
        "FS_IOC_GETFLAGS of ioctl_iflags(2); for the writable layer also overlayfs's own mark",
        "they are set on the target at the end of each round; where its file system does not know A, d, S or "
        "D, the others",
        "",
        "tests/unit/plugins/module_utils/test_file_sync.py::test_flags_of_files_and_directories_arrive",
    ),
    Kind(
        "packed-files",
        "Times below a second, and flags, of files on a tmpfs that CRIU packs and of open deleted files; "
        "extended attributes of the latter",
        UNSEEN,
        "",
        "CRIU does not dump them",
        "Use a volume",
        "",
    ),
    Kind(
        "waiting-client",
        "A program of Docker that waits on the source for the container's end (`docker run` without `-d`, "
        "`start --attach`, `attach`, `wait`, `docker compose up`), mostly in a unit of systemd",
        SAID,
        "command lines of the host's processes, with the container's name or the directory of its Compose "
        "project",
        "that ends with the container here, and what started it may start another one, beside the one on the "
        "target",
        "See that nothing does, before the move: `systemctl edit --runtime UNIT` with `Restart=no`, say",
        "tests/unit/plugins/module_utils/test_waiting_clients.py::test_who_waits_for_it_is_named",
        _waiting_client,
    ),
)
