# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of things that are open files: anonymous inodes, devices, sockets, mounts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import partial

from ..kernel.mptcp import obstacle as mptcp_obstacle
from ..kernel.removed_files import DELETED
from ..kernel.unix_diag import LISTEN
from .holdings import Holdings
from .kinds import KEPT, REFUSED, SAID, Found, Kind, on_its_way
from .open_files import NAMELESS

TEST = "tests/unit/plugins/module_utils/test_holdings.py::"
IO_URING = "anon_inode:[io_uring]"
# criu/files.c, dump_one_file: the anonymous inodes that it can dump.
KNOWN_INODES = ("[eventpoll]", "[eventfd]", "inotify", "[fanotify]", "[signalfd]", "[timerfd]", "[pidfd]")
INODES_IN_WORDS = {
    "[userfaultfd]": "handles its page faults itself (userfaultfd)",
    "[landlock-ruleset]": "has a Landlock ruleset open",
    "[perf_event]": "has a performance counter open (perf_event_open)",
}
# criu/files.c, dump_chrdev: memory devices, terminals, tun and autofs.
KNOWN_MAJORS = (1, 4, 5, *range(136, 144))
KNOWN_MISC = ((10, 200), (10, 235))
# Names in the kernel's `struct proto`, of families that CRIU has a dump for.
KNOWN_PROTOCOLS = (
    "TCP",
    "TCPv6",
    "UDP",
    "UDPv6",
    "UDP-Lite",
    "UDPLITEv6",
    "RAW",
    "RAWv6",
    "PING",
    "PINGv6",
    "UNIX",
    "UNIX-STREAM",
    "NETLINK",
)
PACKET, MPTCP = "PACKET", ("MPTCP", "MPTCPv6")
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
            stat.S_ISCHR(file.mode) and number[0] not in KNOWN_MAJORS and number not in KNOWN_MISC
        ):
            yield Found(process, f"has the device {file.link} open ({file.place})")
    for process in holdings.processes.values():
        for name in sorted(process.mapped):
            if name.startswith("/dev/") and not name.startswith(("/dev/zero", "/dev/shm/")):  # noqa: S108
                yield Found(process, f"has the device {name} mapped")


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


def _packet_socket(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.protocol == PACKET:
            yield Found(process, f"has a packet socket ({file.place})")


def _mptcp(holdings: Holdings, *, kept: bool) -> Iterator[Found]:
    found = [
        (process, file.number)
        for process, file in holdings.files()
        if file.protocol in MPTCP and not file.in_flight
    ]
    if found and (not mptcp_obstacle()) is kept:
        for process in {process.pid: process for process, _number in found}.values():
            numbers = sorted(number for holder, number in found if holder is process)
            yield Found(process, f"has a socket of MPTCP, multipath TCP (file descriptor {numbers[0]})")


def _other_socket(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.protocol and file.protocol not in (*KNOWN_PROTOCOLS, *MPTCP, PACKET):
            yield Found(process, f"has a socket of {file.protocol} ({file.place})")


def _not_accepted(holdings: Holdings) -> Iterator[Found]:
    """A client has sent something to a listener that has not accepted its connection yet."""
    held = holdings.socket_holders()
    for listener in holdings.unix_sockets.values():
        holder = held.get(listener.inode)
        if listener.state == LISTEN and holder is not None:
            waiting = [holdings.unix_sockets.get(inode) for inode in listener.pending]
            if any(client is not None and client.unsent_bytes for client in waiting):
                name = listener.name or "without a name"
                yield Found(
                    holder, f"listens on the UNIX socket {name} and has not accepted a connection with data"
                )


def _unread_with_sender(holdings: Holdings) -> Iterator[Found]:
    """What has come in on a UNIX socket that wants to know the sender carries that with it."""
    for process, file in holdings.files():
        if file.socket_inode in holdings.unread_with_sender:
            yield Found(
                process,
                f"has a UNIX socket with data that it has not read, on which it asked for who sends "
                f"({file.place})",
            )


def _unread(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.socket_inode in holdings.unread_netlink:
            yield Found(process, f"has a netlink socket with data that it has not read ({file.place})")


def _held_back(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.socket_inode in holdings.unsent_datagrams:
            yield Found(process, f"has a datagram that it has not sent as a whole ({file.place})")


def _on_its_way(holdings: Holdings) -> Iterator[Found]:
    return on_its_way(holdings.datagrams_on_their_way, "connected UDP socket")


def _outside(holdings: Holdings) -> Iterator[tuple[Found, bool]]:
    """UNIX sockets whose peer is not the container's; whether they are datagram sockets."""
    held = holdings.socket_holders()
    far = {
        holdings.unix_sockets[inode].peer: (inode, process)
        for inode, process in held.items()
        if inode in holdings.unix_sockets and holdings.unix_sockets[inode].peer not in (0, *held)
    }
    for peer, who in holdings.outsiders(far).items():
        inode, process = far[peer]
        server = holdings.unix_sockets.get(peer)
        name = server.name if server is not None else ""
        what = f"is connected to a UNIX socket outside the service, of {who}{', ' + name if name else ''}"
        datagrams = holdings.unix_sockets[inode].type == 2
        yield Found(process, what), datagrams


def _connected_outside(holdings: Holdings) -> Iterator[Found]:
    return (found for found, datagrams in _outside(holdings) if not datagrams)


def _datagrams_outside(holdings: Holdings) -> Iterator[Found]:
    return (found for found, datagrams in _outside(holdings) if datagrams)


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
        "An open or mapped device that is neither memory (/dev/null ...) nor a terminal nor tun",
        REFUSED,
        "type and number of the file, by stat(2)",
        "its state is in the device of this host",
        "Start the service without that device",
        TEST + "test_a_device",
        _device,
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
        "connected-datagrams",
        "Connected UDP sockets (of resolvers, of clients of statsd and syslog)",
        KEPT,
        "the image of open files",
        "CRIU restores them unconnected, and they are connected again right after it, by the address that "
        "the container has there",
        "",
        "tests/e2e/test_kinds.py::test_what_a_service_holds_is_there_after_the_move",
    ),
    Kind(
        "datagram-on-its-way",
        "A connected UDP socket that no process has open, as it is on the way to one in a message "
        "(SCM_RIGHTS; other files: kept)",
        REFUSED,
        "in /proc/PID/net/udp and in no /proc/PID/fd; looked at again a few times",
        "nobody could connect it again there",
        "That is over as soon as the service takes it: start the migration again then",
        TEST + "test_a_connected_datagram_socket_on_its_way",
        _on_its_way,
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
        "The same on a mount that does not move (a bind mount that is not in `move_binds`)",
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
        "packet-socket",
        "A packet socket (tcpdump, DHCP clients, ARP)",
        REFUSED,
        "protocol PACKET of the socket (`system.sockprotoname`)",
        "it belongs to a network interface of this host, which is another one there",
        "Close it before the move",
        TEST + "test_a_packet_socket",
        _packet_socket,
    ),
    Kind(
        "mptcp",
        "A socket of MPTCP (listeners of programs made with Go 1.24 or later)",
        SAID,
        "protocol MPTCP of the socket; of accepted connections SO_PROTOCOL",
        "CRIU is told that it is of TCP (a BPF program changes the kernel's answer for CRIU alone); on the "
        "target it is",
        "Nothing is to be done: clients of MPTCP fall back to TCP, and lose further paths",
        TEST + "test_a_listener_of_mptcp",
        partial(_mptcp, kept=True),
    ),
    Kind(
        "mptcp-refused",
        "The same, on a host whose kernel does not let BPF programs answer getsockopt(2) (before Linux 6.10)",
        REFUSED,
        "as before, and it is tried out",
        "CRIU cannot dump MPTCP, and this kernel does not let it be told otherwise",
        "Start the service with GODEBUG=multipathtcp=0 if it is a Go program, or the container with "
        "`--sysctl net.mptcp.enabled=0`",
        TEST + "test_a_listener_of_mptcp",
        partial(_mptcp, kept=False),
    ),
    Kind(
        "other-socket",
        "A socket of another family: vsock, XDP, AF_ALG, CAN, SMC, SCTP, TIPC, Bluetooth",
        REFUSED,
        "the protocol's name (`system.sockprotoname`)",
        "CRIU cannot dump sockets of that protocol",
        "Use TCP, UDP or UNIX sockets",
        TEST + "test_a_socket_of_another_family",
        _other_socket,
    ),
    Kind(
        "unix-backlog",
        "A UNIX connection with data that nobody has accepted yet",
        REFUSED,
        "sock_diag(7): connections that wait at a listener, with unread data",
        "CRIU cannot dump a connection with data that is not accepted yet",
        "That is over as soon as the service accepts it: start the migration again then",
        TEST + "test_data_on_a_connection_that_nobody_accepted",
        _not_accepted,
    ),
    Kind(
        "unread-with-sender",
        "Data that nobody has read yet on a UNIX socket with SO_PASSCRED or the like (who sends, when)",
        REFUSED,
        "sock_diag(7): sockets with unread data; getsockopt(2); looked at again a few times",
        "CRIU cannot dump the sender that the kernel notes beside it",
        "That is over as soon as the service reads it: start the migration again then",
        TEST + "test_unread_data_with_its_sender",
        _unread_with_sender,
    ),
    Kind(
        "netlink-backlog",
        "A netlink socket with data that nobody has read yet",
        REFUSED,
        "`Rmem` in /proc/PID/net/netlink; looked at again a few times",
        "CRIU cannot dump a netlink socket with unread data",
        "That is over as soon as the service reads it: start the migration again then",
        TEST + "test_a_netlink_socket_with_unread_data",
        _unread,
    ),
    Kind(
        "unsent-datagram",
        "A datagram that is put together piece by piece and not sent yet (UDP_CORK, MSG_MORE)",
        REFUSED,
        "`tx_queue` in /proc/PID/net/udp, raw and the like; looked at again a few times",
        "CRIU cannot dump a socket that holds back what it was given",
        "That is over as soon as the service sends the rest: start the migration again then",
        TEST + "test_a_datagram_that_is_not_sent_yet",
        _held_back,
    ),
    Kind(
        "unix-outside",
        "A UNIX connection to a process outside the service (the engine's socket, a host's daemon, a client "
        "by `docker exec`)",
        REFUSED,
        "sock_diag(7): the peer is held by a process outside",
        "that process stays on this host",
        "End what `docker exec` has started; of a daemon let the service close the connection before the "
        "move, or reach it through TCP",
        TEST + "test_a_connection_to_a_process_outside",
        _connected_outside,
    ),
    Kind(
        "unix-datagrams-outside",
        "A UNIX datagram socket connected to a daemon outside (/dev/log)",
        REFUSED,
        "as before, of type datagram",
        "that daemon stays on this host",
        "Log to standard output instead, or close the socket before the move",
        TEST + "test_datagrams_to_a_process_outside",
        _datagrams_outside,
    ),
)
