# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of sockets, and of what is on its way through them: data, datagrams, files in messages."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from functools import partial

from ..base.paths import ADDRESS_BYTES
from ..kernel.mptcp import obstacle as mptcp_obstacle
from ..kernel.unix_diag import LISTEN
from .holdings import Holdings
from .kinds import KEPT, REFUSED, SAID, UNSEEN, Found, Kind

TEST = "tests/unit/plugins/module_utils/test_holdings_sockets.py::"
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


def _client_gone(holdings: Holdings) -> Iterator[Found]:
    held = holdings.socket_holders()
    for listener in holdings.unix_sockets.values():
        holder = held.get(listener.inode)
        if holder is not None and 0 in listener.pending:
            name = listener.name or "without a name"
            yield Found(
                holder,
                f"listens on the UNIX socket {name} and has not accepted a connection whose client has gone",
            )


def _on_its_way(inodes: Sized, what: str) -> Iterator[Found]:
    """Sockets that no process has open.

    :param what: one of them, without its article: "UNIX socket".
    """
    count = len(inodes)
    if count:
        which = f"a {what}" if count == 1 else f"{count} {what}s"
        yield Found(None, f"has {which} on the way from one process to another, open in none (SCM_RIGHTS)")


def _unix_on_its_way(holdings: Holdings) -> Iterator[Found]:
    return _on_its_way(holdings.unix_on_their_way, "UNIX socket")


def _other_names(holdings: Holdings) -> Iterator[Found]:
    held = holdings.socket_holders()
    for inode, name in holdings.other_names.items():
        first = holdings.unix_sockets[inode].name
        yield Found(held[inode], f"has bound a UNIX socket to {first}, whose file {name}")


def _bound_elsewhere(holdings: Holdings) -> Iterator[Found]:
    held = holdings.socket_holders()
    for inode, each in holdings.bound_elsewhere.items():
        if inode in held:
            yield Found(
                held[inode],
                f"has {each.protocol} port {each.port} bound to {each.address}, which is none of its "
                f"network's addresses (IP_FREEBIND, IP_TRANSPARENT, or it had that address before)",
            )


def _left_in_flight(holdings: Holdings) -> Iterator[Found]:
    for pid, file in holdings.in_flight.files:
        if file.left_in_flight:
            yield Found(holdings.processes[pid], f"has {file.left_in_flight} {file.place} (SCM_RIGHTS)")


def _sent_to_earlier(holdings: Holdings) -> Iterator[Found]:
    for pid, receiver in holdings.in_flight.to_earlier:
        yield Found(
            holdings.processes[pid],
            f"has a message with a file from a process of a higher number (SCM_RIGHTS), that waits at "
            f"{receiver.place}",
        )


def _unseen_in_flight(holdings: Holdings) -> Iterator[Found]:
    for pid, receiver, count in holdings.in_flight.unseen:
        yield Found(
            holdings.processes[pid],
            f"has {count} files in messages (SCM_RIGHTS) that wait behind another one at {receiver.place}",
        )


def _netlink_groups(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.protocol == "NETLINK" and file.undumped:
            yield Found(process, f"has a netlink socket that {file.undumped} ({file.place})")


def _inner_connections(holdings: Holdings) -> Iterator[Found]:
    held = holdings.socket_holders()
    for inode, port in holdings.inner_connections.items():
        if inode in held:
            yield Found(held[inode], f"has TCP connections within the container (port {port})")


def _connected_raw6(holdings: Holdings) -> Iterator[Found]:
    for process, file in holdings.files():
        if file.socket_inode in holdings.connected_raw6:
            yield Found(process, f"has a connected raw IPv6 socket ({file.place})")


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


def _datagram_on_its_way(holdings: Holdings) -> Iterator[Found]:
    return _on_its_way(holdings.datagrams_on_their_way, "connected UDP socket")


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


KINDS = (
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
        "A socket of MPTCP, on a host whose kernel does not let BPF programs answer getsockopt(2) (before "
        "Linux 6.10)",
        REFUSED,
        "protocol MPTCP of the socket; whether CRIU can be told otherwise is tried out",
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
        _datagram_on_its_way,
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
        "sock_diag(7): a datagram socket whose peer is held by a process outside",
        "that daemon stays on this host",
        "Log to standard output instead, or close the socket before the move",
        TEST + "test_datagrams_to_a_process_outside",
        _datagrams_outside,
    ),
    Kind(
        "client-gone",
        "A UNIX connection that nobody has accepted yet and whose client has gone already",
        REFUSED,
        "sock_diag(7): a connection that waits at a listener and has no client; looked at again a few times",
        "CRIU cannot dump such a connection",
        "That is over as soon as the service accepts it: start the migration again then",
        TEST + "test_a_connection_whose_client_has_gone",
        _client_gone,
    ),
    Kind(
        "unix-on-its-way",
        "A UNIX socket that no process has open, as it is on the way to one in a message (SCM_RIGHTS)",
        REFUSED,
        "sock_diag(7) and in no /proc/PID/fd; looked at again a few times",
        "CRIU's restore ends in a fault of its own",
        "That is over as soon as the service takes it: start the migration again then",
        TEST + "test_a_unix_socket_on_its_way",
        _unix_on_its_way,
    ),
    Kind(
        "renamed-socket",
        "A UNIX socket whose file got another name after it was bound, in place of the first one (HAProxy, "
        "supervisord), also in another directory if it was renamed",
        KEPT,
        "",
        "",
        "",
        "tests/e2e/test_kinds.py::test_what_a_service_holds_is_there_after_the_move",
    ),
    Kind(
        "linked-socket",
        "A UNIX socket whose file has several names, or got one that is "
        f"longer than {ADDRESS_BYTES} bytes, or by a hard link in another directory; one that was bound to a "
        "relative name (others: kept) and renamed, or by way of `..` or a symbolic link",
        REFUSED,
        "sock_diag(7) and the directory of the name that it was bound to; the file itself (SIOCUNIXFILE)",
        "CRIU makes it again by one name, of a limited length, or by a directory and a relative name",
        "Let the service bind the socket to the name that it is reached by",
        TEST + "test_a_unix_socket_whose_file_has_two_names",
        _other_names,
    ),
    Kind(
        "foreign-address",
        "A socket that is bound to an address which no interface of the container has (IP_FREEBIND, "
        "IP_TRANSPARENT; with `net.ipv4.ip_nonlocal_bind`: kept)",
        REFUSED,
        "/proc/PID/net/tcp, udp and the like, beside the addresses there",
        "CRIU cannot bind it again",
        "Start the container with `--sysctl net.ipv4.ip_nonlocal_bind=1` (net.ipv6 for IPv6), or let the "
        "service bind to every address (0.0.0.0, ::)",
        TEST + "test_a_socket_at_an_address_that_its_network_does_not_have",
        _bound_elsewhere,
    ),
    Kind(
        "netlink-groups",
        "A netlink socket that has joined multicast groups above 32, or of generic netlink on a host with "
        "many, or that was not bound when it joined (other groups: kept)",
        REFUSED,
        "getsockopt(2) (NETLINK_LIST_MEMBERSHIPS) and getsockname(2) of a duplicate",
        "CRIU cannot dump it",
        "Let the service leave the group, or bind the socket before it joins",
        TEST + "test_a_netlink_socket_of_groups_that_cannot_be_dumped",
        _netlink_groups,
    ),
    Kind(
        "connected-raw6",
        "The peer of a connected raw IPv6 socket (of IPv4: kept)",
        SAID,
        "/proc/PID/net/raw6",
        "CRIU restores it without its peer",
        "Let the service connect it again, or send with an address",
        TEST + "test_a_connected_raw_ipv6_socket",
        _connected_raw6,
    ),
    Kind(
        "inner-connections",
        "TCP connections between processes of the container (127.0.0.1 or its own address)",
        SAID,
        "/proc/PID/net/tcp and tcp6: both ends are in its network, and one is open in a process of it",
        "they are closed like all others: both ends see an end of file, and what was on its way is lost",
        "Let both ends connect again, or use UNIX sockets, which move",
        TEST + "test_tcp_connections_within_the_container",
        _inner_connections,
    ),
    Kind(
        "ping-number",
        "The number of a ping socket (the identifier of its ICMP messages)",
        UNSEEN,
        "",
        "it gets another one, and does not see answers to what it has sent before",
        "Nothing: programs that use such sockets leave the number to the kernel",
        "",
    ),
    Kind(
        "left-in-flight",
        "A file on the way to a process in a message (SCM_RIGHTS; most files: kept): a timerfd, a terminal; "
        "if no process has it open: epoll, inotify, fanotify, a semaphore by eventfd, a file with a lock or "
        "lease, or whose name was removed while another one stays, a socket of MPTCP, or with options that "
        "CRIU does not dump",
        REFUSED,
        "the message is read with MSG_PEEK, through a duplicate of the socket, if `scm_fds` in "
        "/proc/PID/fdinfo says that there is one; looked at again a few times",
        "CRIU cannot restore it from there as it is",
        "That is over as soon as the service takes it: start the migration again then",
        TEST + "test_a_file_in_a_message_that_would_be_lost",
        _left_in_flight,
    ),
    Kind(
        "sent-to-earlier",
        "A file on the way from a process to its parent, or another one of a lower number, in a message "
        "between two UNIX sockets that are connected to each other (the other way: kept)",
        REFUSED,
        "`scm_fds` in /proc/PID/fdinfo, and who has the two sockets; looked at again a few times",
        "CRIU puts another file into that message, or ends",
        "That is over as soon as the service takes it: start the migration again then",
        TEST + "test_a_file_on_the_way_to_an_earlier_process",
        _sent_to_earlier,
    ),
    Kind(
        "unseen-in-flight",
        "Files in messages that wait behind another one with files (SCM_RIGHTS; the first one's: seen)",
        SAID,
        "more of them in `scm_fds` of /proc/PID/fdinfo than in the first message",
        "nobody can see which they are; most move, but where one is refused elsewhere on this page, the move "
        "fails or loses it",
        "Let the service read its messages, and start the migration then",
        TEST + "test_files_in_messages_behind_the_first_one",
        _unseen_in_flight,
    ),
)
