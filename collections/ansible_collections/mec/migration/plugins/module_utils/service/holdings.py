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
    multicast_groups,
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
from .threads_apart import apart

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
NAMESPACES = ("user", "pid", "ipc", "uts", "cgroup", "time", "mnt", "net")
# Files of /proc/PID that a process can write.
SETTINGS = ("coredump_filter", "timerslack_ns", "autogroup")
# SO_PASSCRED, SO_TIMESTAMP, SO_PASSSEC, SO_TIMESTAMPNS, SO_PASSPIDFD: each message then comes with more than
# its data.
SENDER_OPTIONS = (16, 29, 34, 35, 76)
# There in the root of the hierarchy of cgroup version 2 only.
UNIFIED = "/sys/fs/cgroup/cgroup.controllers"


class Process(NamedTuple):
    """One process of the container.

    :param state: the letter in /proc/PID/status; T is stopped, t stopped by its tracer, Z a zombie.
    :param tracer: number of the process that traces it or one of its threads; 0 if nobody does.
    :param depth: in how many PID namespaces it has a number.
    :param namespaces: what /proc/PID/ns says, by the names in :data:`NAMESPACES`.
    :param private_bytes: sizes of all private mappings together, touched or not.
    :param mapped: names of mappings that are not plain files or anonymous memory.
    :param limits_readable: whether prlimit(2) lets this process read its limits.
    :param processors: those that it may run on.
    :param settings: contents of :data:`SETTINGS`.
    :param policies: scheduling policies of its threads (sched_getscheduler(2)).
    :param threads: how many it has, the first one included, also where that has ended.
    :param descriptor_limit: what its file descriptors stay below; None if that is nothing.
    :param address_space_left: how many bytes more it may map; None if that is not limited.
    :param personality: as personality(2) has it; of its threads the first one's that has any.
    :param apart: what threads of it have for themselves and not as the others have it, in words.
    :param below_terminal: whether it has a controlling terminal and does not lead the session of that.
    :param program: the file that it executes, as /proc/PID/exe says; empty for a zombie.
    :param mappings: how many lines /proc/PID/maps has.
    :param protected: files that it has mapped and that cannot be opened for writing again, as they were.
    :param times_first_thread: whether one of its timers signals its first thread by number (SIGEV_THREAD_ID).
    """

    pid: int
    parent: int
    command: str
    state: str
    tracer: int
    uid: int
    depth: int
    huge_bytes: int
    namespaces: dict[str, str]
    files: tuple[OpenFile, ...]
    private_bytes: int
    mapped: frozenset[str]
    limits_readable: bool
    processors: frozenset[int] = frozenset()
    settings: dict[str, str] = {}  # noqa: RUF012 - never changed
    policies: frozenset[int] = frozenset()
    times_first_thread: bool = False
    mappings: int = 0
    program: str = ""
    threads: int = 1
    below_terminal: bool = False
    descriptor_limit: int | None = None
    address_space_left: int | None = None
    personality: int = 0
    apart: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


class Holdings(NamedTuple):
    """All of a container.

    :param init: number of its first process.
    :param processes: that one and its descendants: those that CRIU dumps.
    :param executed: the others, which `docker exec` or a health check has started.
    :param available_bytes: memory that the host has left.
    :param multicast_groups: addresses of the groups that its network is a member of.
    :param usual_settings: :data:`SETTINGS` of the process that started it.
    :param unreadable_mounts: mount points whose line in mountinfo is too long for CRIU.
    :param staying: mount points whose content does not move.
    :param unread_netlink: inodes of netlink sockets of its network that have data which nobody has read.
    :param unread_with_sender: inodes of UNIX sockets with unread data, on which it was asked for who sends.
    :param message_queues: names of the POSIX message queues in its namespace, open or not.
    :param cgroup_version: 1 or 2, of the host.
    :param unmounted: numbers of mounts that files are open on and that are mounted nowhere any more.
    :param of_host: likewise, that the host has and the container has not.
    :param hidden: likewise, that another one is mounted over; with their mount points.
    :param own_systems: mounts of file systems that nobody but the container has mounted.
    :param unlocked: process -> bytes of memory that it has locked and that will not be.
    :param unsent_datagrams: inodes of sockets of its network that hold back what they were given to send.
    :param sharing_memory: process -> its parent, whose memory it has, too.
    :param sharing_directory: process -> its parent, with whom it shares working directory and umask.
    :param tasks_left: how many more processes and threads it may have; None if it has no limit.
    :param watches: of inotify and fanotify.
    :param datagrams_on_their_way: inodes of UDP sockets of its network that have a peer and that no process
        has open: messages between processes have them (SCM_RIGHTS).
    :param strangers: files that sets of epoll wait for and that their process does not have open.
    :param unix_on_their_way: likewise, inodes of UNIX sockets.
    :param other_names: inode of a UNIX socket -> of its file a name that it would not have on the target, in
        words: "has the name ..., too".
    :param session_keys: how many keys are in the keyring that runc has made for the container.
    :param connected_raw6: inodes of raw IPv6 sockets of its network that have a peer.
    :param in_flight: files that lie in messages which nobody has read yet.
    :param bound_elsewhere: inode -> a socket that is bound to an address which its network does not have.
    :param inner_connections: inode of a TCP socket whose other end is in its network, too -> the port.
    :param semaphore_sets: how many of System V its namespace has.
    :param memory_settings: process -> what it has asked for its memory and will not have, in words.
    """

    init: int
    processes: dict[int, Process]
    mounts: tuple[Mount, ...]
    unix_sockets: dict[int, UnixSocket]
    available_bytes: int
    unreadable_mounts: tuple[str, ...] = ()
    multicast_groups: tuple[str, ...] = ()
    usual_settings: dict[str, str] = {}  # noqa: RUF012 - never changed
    packed_mounts: tuple[PackedMount, ...] = ()
    staying: tuple[str, ...] = ()
    unread_netlink: frozenset[int] = frozenset()
    unread_with_sender: frozenset[int] = frozenset()
    message_queues: tuple[str, ...] = ()
    cgroup_version: int = 2
    unmounted: frozenset[int] = frozenset()
    of_host: frozenset[int] = frozenset()
    hidden: dict[int, str] = {}  # noqa: RUF012 - never changed
    own_systems: tuple[Mount, ...] = ()
    unlocked: dict[int, int] = {}  # noqa: RUF012 - never changed
    unsent_datagrams: frozenset[int] = frozenset()
    sharing_memory: dict[int, int] = {}  # noqa: RUF012 - never changed
    sharing_directory: dict[int, int] = {}  # noqa: RUF012 - never changed
    tasks_left: int | None = None
    watches: Watches = Watches()
    strangers: tuple[Stranger, ...] = ()
    datagrams_on_their_way: tuple[int, ...] = ()
    unix_on_their_way: tuple[int, ...] = ()
    other_names: dict[int, str] = {}  # noqa: RUF012 - never changed
    bound_elsewhere: dict[int, Listener] = {}  # noqa: RUF012 - never changed
    connected_raw6: frozenset[int] = frozenset()
    executed: tuple[Executed, ...] = ()
    in_flight: InFlight = InFlight()
    inner_connections: dict[int, int] = {}  # noqa: RUF012 - never changed
    semaphore_sets: int = 0
    memory_settings: dict[int, tuple[str, ...]] = {}  # noqa: RUF012 - never changed
    session_keys: int = 0

    @property
    def first(self) -> Process | None:
        return self.processes.get(self.init)

    def stays_at(self, path: str) -> str:
        """The mount point that *path* lies below, or is, if what is mounted there does not move; else empty."""
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
        mounts=tuple(points),
        unix_sockets=unix,
        available_bytes=_available_bytes(),
        unreadable_mounts=tuple(unreadable),
        multicast_groups=tuple(multicast_groups(init)),
        usual_settings=dict(_settings(found[init].parent)) if init in found else {},
        packed_mounts=tuple(packed),
        staying=tuple(staying),
        unread_netlink=frozenset(unread_netlink(init)),
        unread_with_sender=frozenset(_unread_with_sender(found.values(), unix)),
        message_queues=tuple(sorted(_message_queues(init, points))),
        cgroup_version=2 if os.path.exists(UNIFIED) else 1,
        unmounted=elsewhere - of_host,
        of_host=of_host,
        hidden={
            mount.number: mount.point for mount in points if mount.number in used and _is_hidden(init, mount)
        },
        own_systems=tuple(_own_systems(points, {"/", *given}, {mount.device for mount in on_host})),
        unlocked=unlocked({pid: process.parent for pid, process in found.items()}),
        unsent_datagrams=frozenset(unsent_datagrams(init)),
        sharing_memory=sharing_memory(found),
        sharing_directory=sharing_directory(found),
        tasks_left=tasks_left(init),
        watches=watches(init, found),
        strangers=tuple(_strangers(init, found)),
        datagrams_on_their_way=tuple(_on_their_way(init, connected_datagrams(init), held)),
        unix_on_their_way=tuple(_on_their_way(init, unix, held)),
        other_names=dict(_other_names(init, found.values(), unix)),
        bound_elsewhere=bound_elsewhere(init),
        connected_raw6=frozenset(connected_raw6(init)),
        executed=tuple(executed(set(pids).difference(moving))),
        in_flight=flying,
        inner_connections=inner_connections(init),
        semaphore_sets=semaphore_sets(init),
        memory_settings={pid: memory_settings(pid) for pid in found},
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
            return mount_of("self", descriptor) != mount.number
        finally:
            os.close(descriptor)
    return False


def _process(pid: int, devices: dict[int, int], protections: dict[tuple[bytes, bytes], int]) -> Process:
    status = fields(f"/proc/{pid}/status")
    mapped = mappings(pid, protections)
    descriptor_limit, address_space_bytes = limits(pid)
    return Process(
        pid=pid,
        parent=int(status["PPid"]),
        command=status["Name"],
        state=status["State"][:1],
        tracer=tracer_of(pid),
        uid=int(status["Uid"].split()[1]),
        depth=len(status.get("NSpid", "").split()),
        huge_bytes=int((status.get("HugetlbPages") or "0").split()[0]) * 1024,
        namespaces=dict(_namespaces(pid)),
        files=tuple(open_files(pid, devices)),
        private_bytes=mapped.private_bytes,
        mapped=mapped.names,
        limits_readable=limits_readable(pid),
        processors=_processors(status.get("Cpus_allowed_list", "")),
        settings=dict(_settings(pid)),
        policies=frozenset(_policies(pid)),
        times_first_thread=_times_first_thread(pid),
        mappings=mapped.lines,
        protected=mapped.protected,
        program=_program(pid),
        threads=int(status["Threads"]),
        below_terminal=_below_terminal(pid),
        descriptor_limit=descriptor_limit,
        address_space_left=_address_space_left(address_space_bytes, status.get("VmSize", "")),
        personality=personality(pid),
        apart=tuple(apart(pid)),
    )


def _address_space_left(limit_bytes: int | None, size: str) -> int | None:
    """:param size: as /proc/PID/status says it, ``1234 kB``; empty of a zombie, which has none any more."""
    return limit_bytes - int(size.split(maxsplit=1)[0]) * 1024 if limit_bytes is not None and size else None


def _processors(ranges: str) -> frozenset[int]:
    """``0-3,8`` is {0, 1, 2, 3, 8}."""
    found: set[int] = set()
    for part in filter(None, ranges.split(",")):
        first, _dash, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _settings(pid: int) -> Iterator[tuple[str, str]]:
    for name in SETTINGS:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", encoding="ascii") as content:
            text = content.read().strip()
            # `/autogroup-25 nice 0`; the number is the session's. The filter is hexadecimal.
            text = text.rpartition(" ")[2] if name == "autogroup" else text
            # A zombie has none any more.
            if text:
                yield name, text.lstrip("0") or "0"


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


def _available_bytes() -> int:
    sizes = fields("/proc/meminfo")
    return int(sizes.get("MemAvailable", sizes["MemFree"]).split()[0]) * 1024
