# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processes of a container hold: files, sockets, mappings, namespaces, as the kernel tells it.

Everything is read from outside, through /proc and one netlink question. No process is stopped and none
notices. 200 processes with 5,000 open files take about a quarter of a second.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from ..criu.own_mounts import unreadable_mounts
from ..kernel.bound_files import names_of, unfound_by_ending
from ..kernel.cgroup import tasks_left
from ..kernel.epolls import Stranger, in_dump_order, strangers
from ..kernel.identity import limits_readable
from ..kernel.mountinfo import Mount, is_below, mounts
from ..kernel.process_limits import limits, personality
from ..kernel.processes import family, stat_fields, tracer_of
from ..kernel.ptrace import sharing_directory, sharing_memory
from ..kernel.socket_options import socket_of
from ..kernel.sockets import (
    Listener,
    bound_elsewhere,
    command,
    connected_datagrams,
    connected_raw6,
    holders,
    inner_connections,
    unread_netlink,
    unsent_datagrams,
)
from ..kernel.system_v import semaphore_sets
from ..kernel.unix_diag import LISTEN, UnixSocket, unix_sockets
from ..kernel.watches import Watches, watches
from .executed import Executed, executed
from .in_flight import InFlight, in_flight
from .locked_memory import unlocked
from .mappings import mappings
from .memory_settings import memory_settings
from .open_files import OpenFile, fields, mount_of, open_files
from .packed_mounts import PackedMount, packed_mounts
from .protected_directories import ProtectedDirectory, protected_directories
from .threads_apart import apart

NAMESPACES = ("user", "pid", "ipc", "uts", "cgroup", "time", "mnt", "net")
# SO_PASSCRED, SO_TIMESTAMP, SO_PASSSEC, SO_TIMESTAMPNS, SO_PASSPIDFD: each message then comes with more than
# its data.
SENDER_OPTIONS = (16, 29, 34, 35, 76)
# There in the root of the hierarchy of cgroup version 2 only.
UNIFIED = "/sys/fs/cgroup/cgroup.controllers"


class Process(NamedTuple):
    """One process of the container.

    :param state: the letter in /proc/PID/status; T is stopped, t stopped by its tracer, Z a zombie.
    :param tracer: number of the process that traces it or one of its threads; 0 if nobody does.
    :param program: the file that it executes, as /proc/PID/exe says; empty for a zombie.
    :param namespaces: what /proc/PID/ns says, by the names in :data:`NAMESPACES`.
    :param below_terminal: whether it has a controlling terminal and does not lead the session of that.
    :param limits_readable: whether prlimit(2) lets this process read its limits.
    :param descriptor_limit: what its file descriptors stay below; None if that is nothing.
    :param most_descriptors: what it may raise that to; 0 if that is not limited.
    :param address_space_left: how many bytes more it may map; None if that is not limited.
    :param threads: how many it has, the first one included, also where that has ended.
    :param policies: scheduling policies of its threads (sched_getscheduler(2)).
    :param personality: as personality(2) has it; of its threads the first one's that has any.
    :param apart: what threads of it have for themselves and not as the others have it, in words.
    :param times_first_thread: whether one of its timers signals its first thread by number (SIGEV_THREAD_ID).
    :param mappings: how many lines /proc/PID/maps has.
    :param aio_requests: how many requests its rings of asynchronous input and output take (io_setup(2)).
    :param mapped: names of mappings that are not plain files or anonymous memory.
    :param protected: files that it has mapped and that cannot be opened for writing again, as they were.
    :param removed: names that files had which it has mapped, before they were removed.
    """

    pid: int
    parent: int
    uid: int
    command: str
    state: str
    tracer: int
    program: str
    namespaces: dict[str, str]
    below_terminal: bool
    files: tuple[OpenFile, ...]
    limits_readable: bool
    descriptor_limit: int | None
    most_descriptors: int
    address_space_left: int | None
    threads: int
    policies: frozenset[int]
    personality: int
    apart: tuple[str, ...]
    times_first_thread: bool
    mappings: int
    aio_requests: int
    mapped: frozenset[str]
    protected: tuple[str, ...]
    removed: tuple[str, ...]
    huge_bytes: int

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


class Holdings(NamedTuple):
    """All of a container. A process is known by its number on the host, a socket by its inode.

    Processes:

    :param init: the container's first one.
    :param processes: that one and its descendants: those that CRIU dumps.
    :param executed: the others, which `docker exec` or a health check has started.
    :param sharing_memory: process -> its parent, whose memory it has, too.
    :param sharing_directory: process -> its parent, with whom it shares working directory and umask.
    :param unlocked: process -> bytes of memory that it has locked and that will not be.
    :param memory_settings: process -> what it has asked for its memory and will not have, in words.
    :param tasks_left: how many more processes and threads it may have; None if it has no limit.
    :param cgroup_version: 1 or 2, of the host.
    :param session_keys: how many keys are in the keyring that runc has made for the container.
    :param waiting_clients: programs of Docker that wait on this host for its end, in words.

    Mounts:

    :param mounts: those that its first process sees.
    :param staying: mount points whose content does not move.
    :param packed_mounts: of tmpfs, with so much in them that CRIU takes long to pack it.
    :param unreadable_mounts: mount points whose line in mountinfo is too long for CRIU.
    :param own_systems: mounts of file systems that nobody but the container has mounted.
    :param unmounted: numbers of mounts that files are open on and that are mounted nowhere any more.
    :param of_host: likewise, that the host has and the container has not.
    :param hidden: likewise, that another one is mounted over; with their mount points.

    Files, and what is like them, beside what each process has open:

    :param in_flight: files that lie in messages which nobody has read yet.
    :param strangers: files that sets of epoll wait for and that their process does not have open.
    :param watches: of inotify and fanotify.
    :param protected_directories: in which names have to be made on the target, and cannot be.
    :param message_queues: names of the POSIX message queues in its namespace, open or not.
    :param semaphore_sets: how many of System V its namespace has.

    UNIX sockets:

    :param unix_sockets: those of its network, if its processes have any.
    :param unix_on_their_way: those of its network that no process has open: messages between processes have
        them (SCM_RIGHTS).
    :param unread_with_sender: those with unread data, on which it was asked for who sends.
    :param other_names: socket -> of its file a name that it would not have on the target, in words: "has the
        name ..., too".

    Other sockets of its network:

    :param datagrams_on_their_way: of UDP, with a peer, and open in no process.
    :param unsent_datagrams: those that hold back what they were given to send.
    :param unread_netlink: of netlink, with data that nobody has read.
    :param connected_raw6: raw ones of IPv6 that have a peer.
    :param bound_elsewhere: socket that is bound to an address which its network does not have.
    :param inner_connections: socket of TCP whose other end is in its network, too -> the port.
    """

    init: int
    processes: dict[int, Process]
    executed: tuple[Executed, ...]
    sharing_memory: dict[int, int]
    sharing_directory: dict[int, int]
    unlocked: dict[int, int]
    memory_settings: dict[int, tuple[str, ...]]
    tasks_left: int | None
    cgroup_version: int
    session_keys: int
    waiting_clients: tuple[str, ...]
    mounts: tuple[Mount, ...]
    staying: tuple[str, ...]
    packed_mounts: tuple[PackedMount, ...]
    unreadable_mounts: tuple[str, ...]
    own_systems: tuple[Mount, ...]
    unmounted: frozenset[int]
    of_host: frozenset[int]
    hidden: dict[int, str]
    in_flight: InFlight
    strangers: tuple[Stranger, ...]
    watches: Watches
    protected_directories: tuple[ProtectedDirectory, ...]
    message_queues: tuple[str, ...]
    semaphore_sets: int
    unix_sockets: dict[int, UnixSocket]
    unix_on_their_way: tuple[int, ...]
    unread_with_sender: frozenset[int]
    other_names: dict[int, str]
    datagrams_on_their_way: tuple[int, ...]
    unsent_datagrams: frozenset[int]
    unread_netlink: frozenset[int]
    connected_raw6: frozenset[int]
    bound_elsewhere: dict[int, Listener]
    inner_connections: dict[int, int]

    @property
    def first(self) -> Process | None:
        return self.processes.get(self.init)

    def stays_at(self, path: str) -> str:
        """The mount point that *path* is or lies below, if what is mounted there stays; else empty."""
        points = [mount.point for mount in self.mounts if is_below(path, mount.point)]
        point = max(points, key=len, default="")
        return point if point in self.staying else ""

    def files(self) -> Iterator[tuple[Process, OpenFile]]:
        """Those that processes have open, and those on the way to one."""
        for process in self.processes.values():
            for file in process.files:
                yield process, file
        for pid, file in self.in_flight.files:
            yield self.processes[pid], file

    def socket_holders(self) -> dict[int, Process]:
        """Inode of a socket -> a process of the container that has it open."""
        return {
            file.socket_inode: process
            for process in self.processes.values()
            for file in process.files
            if file.socket_inode
        }

    def outsiders(self, inodes: Iterable[int]) -> dict[int, str]:
        """Inode of a socket -> the process outside the service that has it open, in words.

        Without those of health checks, for whose end the hand-over waits.
        """
        wanted = set(inodes)
        found = holders(wanted) if wanted else {}
        by_exec = {one.pid: one for one in self.executed}
        return {
            inode: f"{command(pid)} (process {pid}{', by docker exec' if pid in by_exec else ''})"
            for inode, pid in found.items()
            if pid not in by_exec or not by_exec[pid].may_be_check
        }


def read_holdings(
    init: int, pids: Iterable[int], staying: Iterable[str] = (), given: Iterable[str] = ()
) -> Holdings:
    """What these processes hold now. One that ends meanwhile is left out.

    :param init: the container's first process.
    :param pids: all that run in the container.
    :param staying: mount points whose content does not move.
    :param given: mount points that the container engine makes on the target, whatever is mounted there.
    """
    devices: dict[int, int] = {}
    protections: dict[tuple[bytes, bytes], int] = {}
    found = {}
    pids = list(pids)
    moving = family(init, pids)
    for pid in moving:
        with contextlib.suppress(OSError):
            found[pid] = _process(pid, devices, protections)
    unix: dict[int, UnixSocket] = {}
    points: list[Mount] = []
    packed: list[PackedMount] = []
    unreadable: list[str] = []
    on_host: list[Mount] = []
    held = frozenset(file.socket_inode for process in found.values() for file in process.files)
    used = {file.mount for process in found.values() for file in process.files} - {0}
    with contextlib.suppress(OSError):
        points, on_host = mounts(init), mounts()
        unreadable = unreadable_mounts(init)
        packed = list(packed_mounts(init))
    with contextlib.suppress(OSError):
        if any(file.protocol.startswith("UNIX") for process in found.values() for file in process.files):
            unix = unix_sockets(init)
    flying = in_flight({pid: process.files for pid, process in found.items()}, devices, unix)
    used |= {file.mount for _pid, file in flying.files} - {0}
    elsewhere = frozenset(used - {mount.number for mount in points}) if points else frozenset()
    of_host = elsewhere & {mount.number for mount in on_host}
    return Holdings(
        init=init,
        processes=found,
        executed=tuple(executed(set(pids).difference(moving))),
        sharing_memory=sharing_memory(found),
        sharing_directory=sharing_directory(found),
        unlocked=unlocked({pid: process.parent for pid, process in found.items()}),
        memory_settings={pid: memory_settings(pid) for pid in found},
        tasks_left=tasks_left(init),
        cgroup_version=2 if os.path.exists(UNIFIED) else 1,
        # Whoever knows Docker's id of the container adds them.
        session_keys=0,
        waiting_clients=(),
        mounts=tuple(points),
        staying=tuple(staying),
        packed_mounts=tuple(packed),
        unreadable_mounts=tuple(unreadable),
        own_systems=tuple(_own_systems(points, {"/", *given}, {mount.device for mount in on_host})),
        unmounted=elsewhere - of_host,
        of_host=of_host,
        hidden={
            mount.number: mount.point for mount in points if mount.number in used and _is_hidden(init, mount)
        },
        in_flight=flying,
        strangers=tuple(_strangers(init, found)),
        watches=watches(init, found),
        protected_directories=tuple(
            protected_directories(init, {pid: (one.files, one.removed) for pid, one in found.items()}, unix)
        ),
        message_queues=tuple(sorted(_message_queues(init, points))),
        semaphore_sets=semaphore_sets(init),
        unix_sockets=unix,
        unix_on_their_way=tuple(_on_their_way(init, unix, held)),
        unread_with_sender=frozenset(_unread_with_sender(found.values(), unix)),
        other_names=dict(_other_names(init, found.values(), unix)),
        datagrams_on_their_way=tuple(_on_their_way(init, connected_datagrams(init), held)),
        unsent_datagrams=frozenset(unsent_datagrams(init)),
        unread_netlink=frozenset(unread_netlink(init)),
        connected_raw6=frozenset(connected_raw6(init)),
        bound_elsewhere=bound_elsewhere(init),
        inner_connections=inner_connections(init),
    )


def _other_names(
    init: int, processes: Iterable[Process], unix: dict[int, UnixSocket]
) -> Iterator[tuple[int, str]]:
    holders = {
        file.socket_inode: (process.pid, file.number) for process in processes for file in process.files
    }
    for found in unix.values():
        if found.inode in holders and found.file_inode and found.name.startswith("/"):
            names = names_of(init, found.name, found.file_inode, partial(holders.get, found.inode))
            if names.elsewhere:
                yield found.inode, "has a name in another directory"
            elif len(names.others) > 1:
                yield found.inode, f"has the names {' and '.join(sorted(names.others))}"
            elif names.others and not names.moved_to:
                yield found.inode, f"has the name {names.others[0]}, too"
        elif found.inode in holders and found.file_inode:
            path = unfound_by_ending(holders[found.inode], found.name)
            if path:
                yield found.inode, f"is {path}"


def _on_their_way(init: int, inodes: Iterable[int], held: frozenset[int]) -> set[int]:
    """Those that no process has open; in a network shared with the host they may be anybody's."""
    with contextlib.suppress(OSError):
        if os.readlink(f"/proc/{init}/ns/net") == os.readlink("/proc/self/ns/net"):
            return set()
    # The kernel's own have no inode.
    found = set(inodes) - held - {0}
    # The network may be another container's, too.
    return found - set(holders(found)) if found else found


def dump_order(init: int, processes: dict[int, Process]) -> Iterable[int]:
    """The same processes in the order in which CRIU dumps them."""
    return in_dump_order({pid: process.parent for pid, process in processes.items()}, init)


def _strangers(init: int, processes: dict[int, Process]) -> Iterator[Stranger]:
    order = dump_order(init, processes)
    return strangers({pid: {file.number: file.link for file in processes[pid].files} for pid in order})


def _own_systems(points: Iterable[Mount], given: set[str], on_host: set[str]) -> Iterator[Mount]:
    return (mount for mount in points if mount.point not in given and mount.device not in on_host)


def _is_hidden(pid: int, mount: Mount) -> bool:
    """Whether the path of its mount point leads to another mount."""
    with contextlib.suppress(OSError):
        descriptor = os.open(f"/proc/{pid}/root{mount.point}", os.O_PATH)
        try:
            return mount_of(descriptor) != mount.number
        finally:
            os.close(descriptor)
    return False


def _process(pid: int, devices: dict[int, int], protections: dict[tuple[bytes, bytes], int]) -> Process:
    status = fields(f"/proc/{pid}/status")
    mapped = mappings(pid, protections)
    descriptor_limit, address_space_bytes, most_descriptors = limits(pid)
    return Process(
        pid=pid,
        parent=int(status["PPid"]),
        uid=int(status["Uid"].split()[1]),
        command=status["Name"],
        state=status["State"][:1],
        tracer=tracer_of(pid),
        program=_program(pid),
        namespaces=dict(_namespaces(pid)),
        below_terminal=_below_terminal(pid),
        files=tuple(open_files(pid, devices)),
        limits_readable=limits_readable(pid),
        descriptor_limit=descriptor_limit,
        most_descriptors=most_descriptors or 0,
        address_space_left=_address_space_left(address_space_bytes, status.get("VmSize", "")),
        threads=int(status["Threads"]),
        policies=frozenset(_policies(pid)),
        personality=personality(pid),
        apart=tuple(apart(pid)),
        times_first_thread=_times_first_thread(pid),
        mappings=mapped.lines,
        aio_requests=mapped.aio_requests,
        mapped=mapped.names,
        protected=mapped.protected,
        removed=mapped.removed,
        huge_bytes=int((status.get("HugetlbPages") or "0").split()[0]) * 1024,
    )


def _address_space_left(limit_bytes: int | None, size: str) -> int | None:
    """:param size: as /proc/PID/status says it, ``1234 kB``; empty of a zombie, which has none any more."""
    return limit_bytes - int(size.split(maxsplit=1)[0]) * 1024 if limit_bytes is not None and size else None


def _policies(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                yield os.sched_getscheduler(int(task)) & ~os.SCHED_RESET_ON_FORK


def _below_terminal(pid: int) -> bool:
    _state, _parent, _group, session, terminal = stat_fields(pid)[:5]
    return int(session) != pid and int(terminal) != 0


def _program(pid: int) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/exe")
    return ""


def _times_first_thread(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/timers", encoding="ascii") as lines:
        return any(line.rstrip() == f"notify: signal/tid.{pid}" for line in lines)
    return False


def _unread_with_sender(processes: Iterable[Process], unix: dict[int, UnixSocket]) -> Iterator[int]:
    for process in processes:
        for file in process.files:
            found = unix.get(file.socket_inode)
            if found is not None and found.state != LISTEN and found.unread_bytes:
                with contextlib.suppress(OSError), socket_of(process.pid, file.number) as ours:
                    if any(ours.getsockopt(socket.SOL_SOCKET, option) for option in SENDER_OPTIONS):
                        yield found.inode


def _message_queues(pid: int, points: Iterable[Mount]) -> set[str]:
    found: set[str] = set()
    for mount in points:
        if mount.kind == "mqueue":
            with contextlib.suppress(OSError):
                found.update(f"/{name}" for name in os.listdir(f"/proc/{pid}/root{mount.point}"))
    return found


def _namespaces(pid: int) -> Iterator[tuple[str, str]]:
    for name in NAMESPACES:
        # A zombie has none any more, an old kernel not all of them.
        with contextlib.suppress(OSError):
            yield name, os.readlink(f"/proc/{pid}/ns/{name}")
