# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of things that are processes, or belong to one: namespaces, tracing, threads, terminals, memory."""

from __future__ import annotations

import os
import platform
import stat
from collections.abc import Iterator

from ..kernel.processes import program_bits
from .executed import Executed
from .holdings import Holdings, Process
from .kinds import KEPT, REFUSED, SAID, UNSEEN, Found, Kind
from .open_files import PTS

SCHED_DEADLINE = 6
DEV_TTY = os.makedev(5, 0)
# Of linux/magic.h, also of memfds of huge pages.
HUGETLBFS_MAGIC = 0x958458F6
TEST = "tests/unit/plugins/module_utils/test_holdings.py::"


def _traced(holdings: Holdings) -> Iterator[Found]:
    # CRIU stops what it does not dump, too.
    running: dict[int, Process | Executed] = {each.pid: each for each in holdings.executed}
    running.update(holdings.processes)
    for process in running.values():
        if process.tracer:
            tracer = running.get(process.tracer)
            by = str(tracer) if tracer else f"process {process.tracer}, which is outside the container"
            yield Found(process, f"is traced by {by}")


def _stopped_below_stopped(holdings: Holdings) -> Iterator[Found]:
    """Only where the freezer is that of cgroup version 1, which has stopped processes wait (stopped.py)."""
    if holdings.cgroup_version != 1:
        return
    for process in holdings.processes.values():
        parent = holdings.processes.get(process.parent)
        if parent is not None and process.state == parent.state == "T":
            yield Found(process, f"is stopped, and so is its parent, {parent}")


def _without_first_thread(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        if process.state == "Z" and process.threads > 1:
            yield Found(process, "goes on although its first thread has ended (pthread_exit)")


def _below_terminal(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        if process.below_terminal:
            yield Found(process, "has a controlling terminal (a pty) and does not lead its session")


def _terminal_by_name(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if stat.S_ISCHR(file.mode) and file.rdev == DEV_TTY:
            yield Found(process, f"has /dev/tty open ({file.place})")


def _terminal_outside(holdings: Holdings) -> Iterator[Found]:
    inside = {file.terminal for _process, file in holdings.files()}
    for process, file in holdings.files():
        is_terminal = stat.S_ISCHR(file.mode) and os.major(file.rdev) == PTS
        if is_terminal and file.rdev not in inside and not file.hung_up:
            yield Found(
                process, f"has the terminal {file.link} open ({file.place}), whose other end is outside"
            )


def _sharing_memory(holdings: Holdings) -> Iterator[Found]:
    for pid, parent in holdings.sharing_memory.items():
        what = f"has the memory of its parent, {holdings.processes[parent]} (vfork, or clone with CLONE_VM)"
        yield Found(holdings.processes[pid], what)


def _sharing_directory(holdings: Holdings) -> Iterator[Found]:
    for pid, parent in holdings.sharing_directory.items():
        if pid not in holdings.sharing_memory:
            what = (
                f"has the working directory and umask of its parent, {holdings.processes[parent]} (CLONE_FS)"
            )
            yield Found(holdings.processes[pid], what)


def _apart(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        for what in process.apart:
            yield Found(process, f"has {what}")


def _other_namespace(holdings: Holdings, name: str) -> Iterator[Process]:
    first = holdings.first
    for process in holdings.processes.values():
        own = process.namespaces.get(name)
        if first is not None and own and own != first.namespaces.get(name):
            yield process


def _own_user_namespace(holdings: Holdings) -> Iterator[Found]:
    for process in _other_namespace(holdings, "user"):
        yield Found(process, "is in a user namespace of its own")


def _nested_namespaces(holdings: Holdings) -> Iterator[Found]:
    for name, called in (
        ("pid", "PID"),
        ("ipc", "IPC"),
        ("uts", "UTS"),
        ("cgroup", "cgroup"),
        ("time", "time"),
        ("net", "network"),
    ):
        for process in _other_namespace(holdings, name):
            yield Found(process, f"is in a {called} namespace of its own")


def _nested_mounts(holdings: Holdings) -> Iterator[Found]:
    for process in _other_namespace(holdings, "mnt"):
        yield Found(process, "is in a mount namespace of its own")


def _deadlines(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        if SCHED_DEADLINE in process.policies:
            yield Found(process, "is scheduled by deadlines (SCHED_DEADLINE)")


def _real_time(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        if process.policies & {os.SCHED_FIFO, os.SCHED_RR}:
            yield Found(process, "has threads of real-time priority (SCHED_FIFO, SCHED_RR)")


def _personality(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        if process.personality:
            yield Found(
                process, f"has the personality {process.personality:#x} (setarch, linux32, personality(2))"
            )


def _first_thread_timer(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        if process.times_first_thread:
            yield Found(process, "has a timer that signals its first thread (timer_create, SIGEV_THREAD_ID)")


def _executed(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.executed:
        if not process.may_be_check:
            yield Found(process, "was started by `docker exec`")


def _sized(count: int) -> str:
    for unit, size in (("TiB", 1 << 40), ("GiB", 1 << 30)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / (1 << 20):.0f} MiB"


def _secret_memory(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        names = {*process.mapped, *(file.link for file in process.files)}
        if any(name.startswith("/secretmem") for name in names):
            yield Found(process, "has secret memory (memfd_secret)")


def _program_in_memory(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        if process.program.startswith("/memfd:"):
            yield Found(process, "executes a program that lies in memory only (memfd_create, fexecve)")


def _program_of_32_bits(holdings: Holdings) -> Iterator[Found]:
    if platform.machine() == "aarch64":
        for process in holdings.processes.values():
            if program_bits(process.pid) == 32:
                yield Found(process, "is a 32-bit program on a 64-bit kernel (arm64)")


def _huge_pages(holdings: Holdings) -> Iterator[Found]:
    for process in holdings.processes.values():
        if process.huge_bytes or any(name.startswith("/anon_hugepage") for name in process.mapped):
            yield Found(process, f"has {_sized(process.huge_bytes)} in huge pages (hugetlb)")
    # Also one of which nothing was used yet.
    for process, file in holdings.files():
        if file.magic == HUGETLBFS_MAGIC and not process.huge_bytes:
            yield Found(process, f"has {file.link} open, a file of huge pages ({file.place})")


def _session_keys(holdings: Holdings) -> Iterator[Found]:
    count = holdings.session_keys
    if count:
        yield Found(None, f"has {count} key{'s' if count > 1 else ''} in its session keyring")


KINDS = (
    Kind(
        "traced",
        "A process that another one traces (debugger, strace, a sandbox by ptrace)",
        REFUSED,
        "`TracerPid` in /proc/PID/status, of each thread",
        "CRIU must trace it itself, and a process has one tracer at most",
        "End the tracer, or let it detach, and start the migration again",
        TEST + "test_a_traced_process",
        _traced,
    ),
    Kind(
        "stopped-below-stopped",
        "A stopped process whose parent is stopped, too, with cgroup version 1 (one of the two: kept)",
        REFUSED,
        "T in /proc/PID/status, of it and of its parent",
        "CRIU cannot seize the parent while the kernel tells it of its child's stop",
        "Let one of them go on (`kill -CONT`), or end it",
        TEST + "test_a_stopped_process_below_a_stopped_one",
        _stopped_below_stopped,
    ),
    Kind(
        "without-first-thread",
        "A process whose first thread has ended while others go on (pthread_exit in main)",
        REFUSED,
        "Z in /proc/PID/status with more than one thread",
        "CRIU cannot dump it",
        "Let the first thread wait for the others (pthread_join)",
        TEST + "test_a_process_whose_first_thread_has_ended",
        _without_first_thread,
    ),
    Kind(
        "shared-memory-space",
        "A process that has its parent's memory: made by vfork, with its program not executed yet, or by "
        "clone with CLONE_VM (threads: kept)",
        REFUSED,
        "kcmp(2) of each process and its parent; looked at again a few times",
        "CRIU dumps the memory of each process for itself, and cannot seize who waits in vfork",
        "After a vfork that is over as soon as the child executes its program: start the migration again "
        "then. Let the service make a thread, or a process with fork",
        TEST + "test_a_process_with_its_parents_memory",
        _sharing_memory,
    ),
    Kind(
        "shared-directory",
        "A process that shares working directory, root and umask with its parent (clone with CLONE_FS; "
        "threads: kept)",
        REFUSED,
        "kcmp(2) of each process and its parent",
        "CRIU cannot dump what two processes have in common there",
        "Let the service make a thread, or a process with fork",
        TEST + "test_a_process_with_its_parents_directory",
        _sharing_directory,
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
        "user-namespace",
        "A process in a user namespace of its own (sandboxes, rootless tools)",
        REFUSED,
        "/proc/PID/ns/user differs from that of the first process",
        "CRIU cannot dump user namespaces that are nested",
        "Switch the sandbox off in the service (for example `--no-sandbox`), or end that process",
        TEST + "test_a_user_namespace_of_its_own",
        _own_user_namespace,
    ),
    Kind(
        "nested-namespace",
        "A process in a PID, IPC, UTS, cgroup, time or network namespace of its own",
        REFUSED,
        "/proc/PID/ns differs from that of the first process",
        "CRIU cannot dump namespaces of that sort that are nested in a container",
        "Start it without `unshare` or the like, or end that process",
        TEST + "test_a_nested_namespace",
        _nested_namespaces,
    ),
    Kind(
        "nested-mounts",
        "A process in a mount namespace of its own",
        REFUSED,
        "/proc/PID/ns/mnt differs from that of the first process",
        "the target could not make its mounts again",
        "Start it without `unshare --mount` (systemd units: without `PrivateTmp` and the like)",
        TEST + "test_a_nested_namespace",
        _nested_mounts,
    ),
    Kind(
        "deadlines",
        "Threads that are scheduled by deadlines (SCHED_DEADLINE)",
        REFUSED,
        "sched_getscheduler(2) of each thread",
        "CRIU does not restore that policy",
        "Start it with another one",
        TEST + "test_deadlines",
        _deadlines,
    ),
    Kind(
        "first-thread-timer",
        "A POSIX timer that signals a process's first thread by number (SIGEV_THREAD_ID; others: kept)",
        REFUSED,
        "`notify: signal/tid.PID` in /proc/PID/timers",
        "CRIU 4.2 loses the number of that thread",
        "Profilers make such timers (Go's CPU profile, async-profiler): let none run during the move",
        TEST + "test_a_timer_that_signals_the_first_thread",
        _first_thread_timer,
    ),
    Kind(
        "real-time",
        "Threads of real-time priority (SCHED_FIFO, SCHED_RR)",
        SAID,
        "sched_getscheduler(2) of each thread",
        "CRIU sets policy and priority again on the target, whose kernel and cgroups must allow them, too",
        "Give the target the same `--cpu-rt-runtime` settings of its daemon, with cgroup version 1 (a "
        "container without is refused where the kernel asks for it)",
        TEST + "test_real_time_priority",
        _real_time,
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
    Kind(
        "exec",
        "Processes that `docker exec` started",
        SAID,
        "not descended from the container's first process, and older than a health check",
        "what was started by exec does not move and ends with the container on the source",
        "Start it on the target again, or from the service itself",
        TEST + "test_a_process_that_exec_started",
        _executed,
    ),
    Kind(
        "controlling-terminal",
        "A controlling terminal of processes that do not lead its session (a shell's commands on a pty of "
        "the container's own; of the leader: kept)",
        SAID,
        "tty_nr and session in /proc/PID/stat",
        "CRIU gives it back to the leader only: they have theirs open as before, but no /dev/tty",
        "Nothing, unless they open /dev/tty (to ask for a password, say); then let them be started anew",
        TEST + "test_a_controlling_terminal",
        _below_terminal,
    ),
    Kind(
        "terminal-outside",
        "An open terminal (pty) whose other end is open outside the service: of what `docker exec -t` "
        "started and left to the service (one that is hung up: kept)",
        REFUSED,
        "the device of the file, and `tty-index` in /proc/PID/fdinfo of the other ends; poll(2) of a "
        "duplicate",
        "CRIU cannot restore it",
        "End that process, or start it without `-t`",
        TEST + "test_a_terminal_whose_other_end_is_outside",
        _terminal_outside,
    ),
    Kind(
        "terminal-by-name",
        "An open /dev/tty, the terminal of one's session by that name (interactive shells with job control, "
        "below tmux, screen, script, expect)",
        REFUSED,
        "device 5, 0 of the file",
        "CRIU cannot dump it where another process has the terminal's other end",
        "End that shell or program, or let it run without job control (`set +m`)",
        TEST + "test_an_open_terminal_by_name",
        _terminal_by_name,
    ),
    Kind(
        "reserved-memory",
        "Address space that is reserved and not used, of any size",
        KEPT,
        "private mappings in /proc/PID/maps",
        "from 64 GiB of it on, CRIU is asked for a plain dump, which takes no memory for each page of it",
        "",
        "tests/unit/plugins/module_utils/test_dump.py::test_a_huge_reservation_is_dumped_plainly",
    ),
    Kind(
        "secret-memory",
        "Secret memory (memfd_secret)",
        REFUSED,
        "/secretmem in /proc/PID/fd and maps",
        "the kernel gives its content to nobody else, so CRIU cannot dump it",
        "Switch it off in the service, or on the hosts (kernel parameter `secretmem.enable=0`) if the "
        "service does without",
        TEST + "test_secret_memory",
        _secret_memory,
    ),
    Kind(
        "program-in-memory",
        "A process that executes a memfd (a deleted file: kept)",
        REFUSED,
        "/memfd: in /proc/PID/exe",
        "CRIU does not restore a program that is no file",
        "Start it from a file",
        TEST + "test_a_program_that_lies_in_memory_only",
        _program_in_memory,
    ),
    Kind(
        "32-bit-on-arm64",
        "A 32-bit program (armhf, arm/v7) on an arm64 kernel",
        REFUSED,
        "the head of /proc/PID/exe",
        "CRIU reads the registers of 64-bit programs only there",
        "Take the image for arm64 (`docker run --platform linux/arm64`)",
        TEST + "test_a_32_bit_program_on_arm64",
        _program_of_32_bits,
    ),
    Kind(
        "huge-pages",
        "Huge pages of hugetlbfs",
        REFUSED,
        "`HugetlbPages` in /proc/PID/status, /anon_hugepage in maps, an open file of hugetlbfs",
        "the rounds and the lazy restore work with pages of 4 KiB",
        "Let the service use ordinary or transparent huge pages",
        TEST + "test_huge_pages",
        _huge_pages,
    ),
    Kind(
        "landlock",
        "A Landlock restriction",
        UNSEEN,
        "the kernel shows it to nobody; an open ruleset is refused",
        "after the move the restriction is not in force: CRIU does not know it",
        "Restrict the service by the container's own means (seccomp, AppArmor, read-only mounts)",
        "",
    ),
    Kind(
        "session-keys",
        "Keys in the session keyring that runc gives each container (keyctl, which Docker's seccomp profile "
        "forbids)",
        SAID,
        "the keyring's line in /proc/keys, which has the container's id",
        "keys are not in a checkpoint",
        "Let the service load them again",
        TEST + "test_keys_of_the_containers_session",
        _session_keys,
    ),
    Kind(
        "keyrings",
        "Other keyrings: of users, processes and threads, and sessions of a process's own (keyctl)",
        UNSEEN,
        "whose a keyring is, the kernel tells only that process; Docker's seccomp profile forbids keyctl",
        "keys are not in a checkpoint",
        "Let the service load them again",
        "",
    ),
)
