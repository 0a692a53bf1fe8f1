# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that a move could not make again, from real ones."""

from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.mec.migration.plugins.module_utils.service import kinds_sockets
from ansible_collections.mec.migration.plugins.module_utils.service.inventory import judge
from ansible_collections.mec.migration.plugins.module_utils.service.kinds import SAID
from test_holdings import Victim, needs_root, only, told

LISTENER = """
made(libc.unshare(0x40000000))
listener = socket.socket(socket.AF_UNIX); listener.bind("\\0gone%d" % os.getpid()); listener.listen()
client = socket.socket(socket.AF_UNIX); client.connect(listener.getsockname())
"""


@needs_root
def test_a_connection_whose_client_has_gone():
    only(told(LISTENER + "client.close()"), "whose client has gone", "as soon as the service accepts it")
    assert told(LISTENER) == []
    assert told(LISTENER + "accepted = listener.accept(); client.close()") == []


@needs_root
@pytest.mark.parametrize("sent", ["socket.socketpair()[0]", "socket.socket(socket.AF_UNIX)"])
def test_a_unix_socket_on_its_way(sent):
    program = f"""
made(libc.unshare(0x40000000))
one, other = socket.socketpair()
sent = {sent}
"""
    send = """
socket.send_fds(one, [b"x"], [sent.fileno()])
"""
    (said,) = told(program + send + "sent.close()")
    assert said.startswith("container web has a UNIX socket on the way from one process to another")
    assert told(program + send) == []
    assert told(program + send + "sent.close(); kept = socket.recv_fds(other, 9, 1)") == []


RENAMED = """
os.chdir("{path}")
listener = socket.socket(socket.AF_UNIX, socket.{kind}); listener.bind("{path}/new")
"""


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_a_unix_socket_whose_file_has_two_names(tmp_path, kind):
    program = RENAMED.format(path=tmp_path, kind=kind)
    only(
        told(program + 'os.link("new", "second")'), f"{tmp_path}/new", f"has the name {tmp_path}/second, too"
    )
    (tmp_path / "second").unlink()
    (tmp_path / "new").unlink()
    # As it is in most services; one that was renamed, which is kept; one whose name is gone, or another's.
    assert told(program) == []
    for published in ('os.rename("new", "published")', 'os.link("new", "published"); os.unlink("new")'):
        (tmp_path / "new").unlink(missing_ok=True)
        assert told(program + published) == []
        (tmp_path / "published").unlink()
    assert told(program.replace("/new", "/gone") + 'os.unlink("gone")') == []
    again = 'os.unlink("twice"); other = socket.socket(socket.AF_UNIX); other.bind("{path}/twice")'
    assert told(program.replace("/new", "/twice") + again.format(path=tmp_path)) == []


@pytest.mark.parametrize(
    "publish", ["os.link('new', 'run/new')", "os.link('new', 'run/new'); os.unlink('new')"]
)
def test_a_hard_link_in_another_directory(tmp_path, publish):
    (tmp_path / "run").mkdir()
    program = RENAMED.format(path=tmp_path, kind="SOCK_STREAM")
    only(told(program + publish), f"{tmp_path}/new", "whose file has a name in another directory")
    for name in ("new", "run/new"):
        (tmp_path / name).unlink(missing_ok=True)
    # A name of a rename is known.
    assert told(program + "os.rename('new', 'run/new')") == []


def test_two_names_neither_of_which_is_the_first(tmp_path):
    program = RENAMED.format(path=tmp_path, kind="SOCK_STREAM")
    published = 'os.rename("new", "one"); os.link("one", "two")'
    only(told(program + published), f"whose file has the names {tmp_path}/one and {tmp_path}/two")
    for name in ("one", "two"):
        (tmp_path / name).unlink()
    (tmp_path / "run").mkdir()
    only(told(program + 'os.rename("new", "one"); os.link("one", "run/two")'), "a name in another directory")
    for name in ("one", "run/two"):
        (tmp_path / name).unlink()
    only(told(program + 'os.rename("new", "run/one"); os.link("run/one", "run/two")'), "in another directory")


@pytest.mark.parametrize(
    ("name", "then", "found_by_criu"),
    [
        ("new", "", True),
        ("./new", "", True),
        ("run/new", "", True),
        ("new", "os.unlink('new')", True),
        ("new", "os.rename('new', 'published')", False),
        ("run/../new", "", False),
        ("link/new", "", False),
    ],
)
def test_a_socket_that_was_bound_to_a_relative_name(tmp_path, name, then, found_by_criu):
    program = f"""
os.chdir({str(tmp_path)!r})
os.mkdir("run")
os.symlink("run", "link")
listener = socket.socket(socket.AF_UNIX); listener.bind({name!r}); listener.listen()
{then}
"""
    found = told(program)
    if found_by_criu:
        assert found == []
    else:
        only(found, f"has bound a UNIX socket to {name}, whose file is {tmp_path}/")


def test_a_name_that_is_too_long_to_bind_to(tmp_path):
    name = "n" * 120
    program = RENAMED.format(path=tmp_path, kind="SOCK_STREAM") + f'os.rename("new", "{name}")'
    only(told(program), f"{tmp_path}/new", f"has the name {tmp_path}/{name}, too", "of a limited length")


@needs_root
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_a_socket_at_an_address_that_its_network_does_not_have(kind):
    program = f"""
made(libc.unshare(0x40000000))
nonlocal_bind = "/proc/sys/net/ipv4/ip_nonlocal_bind"
bound = socket.socket(socket.AF_INET, socket.{kind})
bound.setsockopt(socket.IPPROTO_IP, 15, 1)
bound.bind(("203.0.113.5", 6107))
if bound.type == socket.SOCK_STREAM:
    bound.listen()
"""
    only(
        told(program), "port 6107 bound to 203.0.113.5", "none of its network's addresses", "ip_nonlocal_bind"
    )
    assert told(program.replace("203.0.113.5", "127.0.0.1")) == []
    assert told(program + "open(nonlocal_bind, 'w').write('1')") == []
    # The address of a subnet's broadcasts belongs to nobody, and may be bound to (Samba).
    given = """
import subprocess
for words in ("link set lo up", "address add 203.0.113.1/24 broadcast 203.0.113.5 dev lo"):
    subprocess.run(["ip", *words.split()], check=True)
"""
    assert told(program.replace("nonlocal_bind =", given + "nonlocal_bind =")) == []


@needs_root
def test_a_connected_raw_ipv6_socket():
    program = """
made(libc.unshare(0x40000000))
import subprocess
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
"""
    only(told(program + 'raw.connect(("::1", 0))', SAID), "connected raw IPv6 socket", "without its peer")
    assert told(program, SAID) == []


IN_FLIGHT = """
import fcntl
one, other = socket.socketpair()
def send(sent, alone=True):
    socket.send_fds(one, [b"x"], [sent])
    if alone:
        os.close(sent)
made(libc.unshare(0x40000000))
"""
# Sent while no process has it open; and while one has, if that is another thing.
LOST_IN_FLIGHT = {
    "a timer (timerfd)": ("made(libc.timerfd_create(1, 0))", True),
    "a terminal": ("os.openpty()[1]", True),
    "watches (inotify)": ("made(libc.inotify_init1(0))", False),
    "a semaphore": ("made(libc.eventfd(3, 1))", False),
    "a lock or lease": ("locked('{path}/locked')", False),
    "an epoll": ("epoll()", False),
    "whose name was removed": ("removed('{path}/gone')", False),
    "MPTCP": ("made(libc.socket(2, 1, 262))", False),
    "options": ("with_option()", False),
}
MAKE = """
def epoll():
    import select
    with select.epoll() as found:
        return os.dup(found.fileno())
def removed(name):
    opened = os.open(name, os.O_RDWR | os.O_CREAT)
    os.link(name, f"{name}.{os.getpid()}")
    os.unlink(name)
    return opened
def locked(name):
    made(os.open(name, os.O_RDWR | os.O_CREAT))
    opened = os.open(name, os.O_RDWR)
    fcntl.flock(opened, fcntl.LOCK_EX)
    return opened
def with_option():
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_BUSY_POLL if hasattr(socket, "SO_BUSY_POLL") else 35, 1)
    return found.detach()
"""


@needs_root
@pytest.mark.parametrize("thing", list(LOST_IN_FLIGHT))
def test_a_file_in_a_message_that_would_be_lost(thing, tmp_path):
    make, even_if_held = LOST_IN_FLIGHT[thing]
    program = IN_FLIGHT + MAKE + f"sent = {make.format(path=tmp_path)}\n"
    only(told(program + "send(sent)"), thing, "in a message that waits at file descriptor", "takes it")
    held = told(program + "send(sent, alone=False)")
    assert [thing in sentence for sentence in held] == ([True] if even_if_held else [])
    assert told(program + "send(sent); kept = socket.recv_fds(other, 9, 1)") == []


@needs_root
def test_files_that_may_be_in_a_message():
    for make in (
        "os.pipe()[0]",
        "os.open('/etc/passwd', 0)",
        "os.memfd_create('x')",
        "made(libc.eventfd(3, 0))",
    ):
        assert told(IN_FLIGHT + f"send({make})") == []
    # What is refused elsewhere is refused here, too.
    only(
        told(IN_FLIGHT + "send(os.open('/proc/self', 0))"),
        "a directory of /proc open",
        "in a message that waits at",
    )
    only(told(IN_FLIGHT + "send(made(libc.socket(17, 3, 0)))"), "a packet socket (in a message that waits at")


@needs_root
def test_files_in_messages_behind_the_first_one():
    program = IN_FLIGHT + "send(0, alone=False); send(0, alone=False); send(0, alone=False)"
    only(told(program, SAID), "has 2 files in messages (SCM_RIGHTS) that wait behind another one")
    assert told(program) == []


@needs_root
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET"])
def test_a_file_on_the_way_to_an_earlier_process(kind):
    program = f"""
import os
made(libc.unshare(0x40000000))
one, other = socket.socketpair(socket.AF_UNIX, socket.{kind})
def send():
    other.close()
    socket.send_fds(one, [b"x"], [0])
"""
    only(told(program + "child(send); one.close()"), "from a process of a higher number", "takes it")
    # The parent has both ends; the child's end is closed; and the other way.
    assert told(program + "child(send)") == []
    assert told(program + "os.kill(child(send), 9); os.wait(); one.close()") == []
    assert told(program + "child(one.close); socket.send_fds(one, [b'x'], [0]); other.close()") == []


@needs_root
@pytest.mark.parametrize(
    ("bind", "group", "what"),
    [
        (True, 1, ""),
        (True, 32, ""),
        (True, 33, "a member of a group above 32"),
        (False, 1, "a member of groups and has no number"),
    ],
)
def test_a_netlink_socket_of_groups_that_cannot_be_dumped(bind, group, what):
    found = told(f"""
made(libc.unshare(0x40000000))
member = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
{"member.bind((0, 0))" if bind else ""}
member.setsockopt(270, 1, {group})
""")
    if what:
        only(found, what, "CRIU cannot dump it")
    else:
        assert found == []


@needs_root
@pytest.mark.parametrize(
    ("family", "address", "client"),
    [
        ("AF_INET", "127.0.0.1", "127.0.0.1"),
        ("AF_INET6", "::1", "::1"),
        # The ends of one connection stand in two tables.
        ("AF_INET6", "::", "127.0.0.1"),
    ],
)
def test_tcp_connections_within_the_container(family, address, client):
    program = f"""
listener = socket.socket(socket.{family}); listener.bind(("{address}", 0)); listener.listen()
port = listener.getsockname()[1]
"""
    connected = f"""
ends = []
def other():
    client = socket.create_connection(("{client}", port))
    ends.append(listener.accept())
    return client
clients = [other(), other()]
print(port, file=sys.stderr)
"""
    assert told(program, SAID) == []
    only(
        told(program + connected, SAID), "has TCP connections within the container (port ", "closed like all"
    )
    assert told(program + connected + "for end, _address in ends: end.close()", SAID) == []


@needs_root
def test_a_packet_socket():
    program = "keep.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))"
    only(told(program), "packet socket", "Close it")


MPTCP = """
try:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
except OSError:
    made(-1)
listener.bind(("127.0.0.1", 0))
listener.listen()
"""


def test_a_listener_of_mptcp(monkeypatch):
    monkeypatch.setattr(kinds_sockets, "mptcp_obstacle", lambda: "")
    only(told(MPTCP, SAID), "MPTCP", "on the target it is", "fall back to TCP")
    assert told(MPTCP) == []
    monkeypatch.setattr(kinds_sockets, "mptcp_obstacle", lambda: "Invalid argument")
    only(told(MPTCP), "MPTCP", "GODEBUG=multipathtcp=0", "net.mptcp.enabled=0")
    assert told(MPTCP, SAID) == []


def test_what_an_mptcp_listener_accepted_as_plain_tcp_is_no_mptcp():
    program = (
        MPTCP
        + """
client = socket.create_connection(listener.getsockname())
keep += [client, listener.accept()[0]]
listener.close()
"""
    )
    assert told(program) == []


def test_a_socket_of_another_family():
    program = """
try:
    keep.append(socket.socket(40, socket.SOCK_STREAM))
except OSError:
    made(-1)
"""
    only(told(program), "AF_VSOCK", "Use TCP, UDP or UNIX")


def test_a_connected_datagram_socket_on_its_way():
    program = """
made(libc.unshare(0x40000000))
one, other = socket.socketpair()
sent, kept = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _turn in range(2)]
import subprocess
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
for each in (sent, kept):
    each.connect(("127.0.0.1", 9))
socket.send_fds(one, [b"x"], [sent.fileno(), kept.fileno()])
{close}
"""
    (said,) = told(program.format(close="sent.close()"))
    assert said.startswith("container web has a connected UDP socket on the way from one process to another")
    assert told(program.format(close="")) == []


@pytest.mark.parametrize(("family", "address"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::1")])
def test_a_datagram_that_is_not_sent_yet(family, address):
    program = f"""
s = socket.socket(socket.{family}, socket.SOCK_DGRAM)
s.connect(("{address}", 9))
s.send(b"begun", socket.MSG_MORE)
"""
    only(told(program), "a datagram that it has not sent", "as soon as the service sends the rest")
    assert told(program + "s.send(b'ended')") == []


NETLINK = """
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
s.bind((0, 0))
# RTM_GETLINK of all interfaces; the answer is not read.
s.send((17 + 3).to_bytes(4, "little") + bytes([18, 0, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
"""


def test_a_netlink_socket_with_unread_data():
    only(told(NETLINK), "netlink", "has not read", "as soon as the service reads it")
    assert told(NETLINK + "while s.recv(65536)[4] != 3: pass") == []


UNREAD = """
kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
pairs = [socket.socketpair(socket.AF_UNIX, kind) for kind in kinds]
for one, other in pairs:
    one.send(b"not read")
"""


@pytest.mark.parametrize("option", [socket.SO_PASSCRED, 35])
def test_unread_data_with_its_sender(option):
    program = UNREAD + f"for one, other in pairs: other.setsockopt(1, {option}, 1)\n"
    found = told(program)
    assert len(found) == 3
    assert all("has not read, on which it asked for who sends" in sentence for sentence in found)
    assert told(program + "for one, other in pairs: other.recv(9)") == []
    assert told(UNREAD) == []


BACKLOG = """
listener = socket.socket(socket.AF_UNIX); listener.bind("\\0backlog%d" % os.getpid()); listener.listen()
client = socket.socket(socket.AF_UNIX); client.connect(listener.getsockname()); client.send(b"x")
"""


def test_data_on_a_connection_that_nobody_accepted():
    only(
        told(BACKLOG), "listens on the UNIX socket @backlog", "not accepted", "as soon as the service accepts"
    )
    assert told(BACKLOG + "accepted = listener.accept()") == []


def test_a_connection_to_a_process_outside():
    with socket.socket(socket.AF_UNIX) as outside:
        outside.bind(f"\0outside{os.getpid()}")
        outside.listen()
        program = f"s = socket.socket(socket.AF_UNIX); s.connect('\\0outside{os.getpid()}')"
        with Victim(program) as victim:
            accepted, _peer = outside.accept()
            with accepted:
                found = judge("web", victim.holdings()).refused
    only(found, "outside the service", f"(process {os.getpid()})", "@outside")


def test_datagrams_to_a_process_outside():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outside:
        outside.bind(f"\0datagrams{os.getpid()}")
        program = (
            f"s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('\\0datagrams{os.getpid()}')"
        )
        found = told(program)
    only(found, "outside the service", "Log to standard output")
