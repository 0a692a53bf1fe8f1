# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of real processes and sockets: read from outside, and set again in others."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel.processes import container_pids
from ansible_collections.mec.migration.plugins.module_utils.kernel.settings import (
    Settings,
    SocketSettings,
    from_fields,
    put_back,
    read,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel.socket_options import (
    Membership,
    read_options,
    set_options,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel.terminals import TIOCEXCL, TIOCGEXCL

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

# A process with the same sockets as the service; with "set" it has changed them and itself.
PROGRAM = """
import ctypes, os, socket, struct, sys
libc = ctypes.CDLL(None)
u, l, six = socket.socket(2, 2), socket.socket(), socket.socket(10, 2)
u.bind(("127.0.0.1", 0)); l.bind(("127.0.0.1", 0)); six.bind(("::", 0))
unix, netlink = socket.socket(1, 1), socket.socket(16, 3, 0)
WANTED = [(u, 0, 13, 1), (u, 0, 10, 2), (u, 1, 29, 1), (u, 17, 104, 1), (u, 0, 33, 7), (l, 6, 9, 5),
          (l, 6, 23, 5), (l, 6, 18, 3000), (six, 41, 66, 1), (six, 41, 18, 9), (six, 41, 29, 0),
          (six, 41, 70, 0), (six, 41, 17, 1), (u, 0, 26, 1), (l, 1, 74, 0), (l, 6, 16, 1),
          (l, 0, 7, 1), (unix, 1, 42, 0), (netlink, 270, 3, 1), (netlink, 270, 11, 1)]
GROUP = socket.inet_aton("239.1.2.3")
member = struct.pack("@I4x", socket.if_nametoindex("lo"))
member += struct.pack("=HH4s", 2, 0, GROUP).ljust(128, b"\\0")
if sys.argv[1] == "set":
    for s, level, option, value in WANTED: s.setsockopt(level, option, value)
    u.setsockopt(0, 42, member)
    os.sched_setaffinity(0, {0})
    open("/proc/self/coredump_filter", "w").write("0x11")
    libc.prctl(29, 123456, 0, 0, 0)
    libc.syscall({"x86_64": 251, "aarch64": 30}[os.uname().machine], 1, 0, 2 << 13 | 6)
if len(sys.argv) > 2:
    l.listen(5)
print("there", flush=True)
for _line in sys.stdin:
    try:
        u.setsockopt(0, 42, member)
        joined = False
        u.setsockopt(0, 45, member)
    except OSError:
        joined = True
    print([s.getsockopt(level, option) for s, level, option, _value in WANTED], joined,
          sorted(os.sched_getaffinity(0)), int(open("/proc/self/coredump_filter").read(), 16),
          libc.prctl(30, 0, 0, 0, 0), flush=True)
"""


@pytest.fixture
def started():
    processes = []

    def run(command):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "there\n"
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def start(started):
    return lambda *words: started([sys.executable, "-c", PROGRAM, *words])


def number_of(pid):
    (number,) = container_pids([pid]).values()
    return number


def says(process):
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


@pytest.mark.parametrize("listening", [[], ["listening"]], ids=["not listening", "listening"])
def test_what_was_set_is_put_back(start, listening):
    service, restored = start("set", *listening), start("not", *listening)
    settings = read({service.pid: 7})
    before = says(service)
    assert says(restored) != before
    travelled = from_fields(json.loads(json.dumps(settings.as_fields())))
    assert travelled == settings
    # A restored thread has the number of the dumped one, which these two cannot.
    travelled = travelled._replace(
        tasks=[task._replace(number=number_of(restored.pid)) for task in travelled.tasks]
    )
    assert put_back({restored.pid: 7}, travelled) == []
    assert says(restored) == before


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        # IP_TOS and IP_TTL of IPv6, UDP_ENCAP, IPV6_CHECKSUM of raw sockets, UDPLITE_SEND_CSCOV.
        ((socket.AF_INET6, socket.SOCK_STREAM, 0), (0, 1), 0x10),
        ((socket.AF_INET6, socket.SOCK_DGRAM, 0), (0, 2), 33),
        ((socket.AF_INET, socket.SOCK_DGRAM, 0), (17, 100), 2),
        ((socket.AF_INET6, socket.SOCK_RAW, 89), (41, 7), 12),
        ((socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDPLITE), (136, 10), 20),
    ],
)
def test_options_of_one_kind_of_socket(kind, option, value):
    try:
        made = [socket.socket(*kind) for _turn in range(2)]
    except OSError:
        pytest.skip("this kernel has no such sockets")
    before, after = made
    with before, after:
        before.setsockopt(*option, value)
        options = read_options(before, os.getpid())
        assert [each[:2] for each in options.values] == [option]
        assert set_options(after, os.getpid(), options) == []
        assert after.getsockopt(*option) == value


def test_a_socket_that_takes_no_files():
    # SO_PASSRIGHTS, from Linux 6.16 on.
    with socket.socket(socket.AF_UNIX) as before, socket.socket(socket.AF_UNIX) as after:
        try:
            before.setsockopt(socket.SOL_SOCKET, 83, 0)
        except OSError:
            pytest.skip("this kernel has no such option")
        options = read_options(before, os.getpid())
        assert set_options(after, os.getpid(), options) == []
        assert after.getsockopt(socket.SOL_SOCKET, 83) == 0


def test_a_terminal_that_nobody_else_may_open():
    def is_exclusive(descriptor):
        return fcntl.ioctl(descriptor, TIOCGEXCL, bytes(4)) != bytes(4)

    (master, slave), (other, usual) = os.openpty(), os.openpty()
    again = os.dup(slave)
    settings = from_fields(json.loads(json.dumps(read({os.getpid(): 7}).as_fields())))
    assert settings.terminals == []
    fcntl.ioctl(slave, TIOCEXCL)
    settings = from_fields(json.loads(json.dumps(read({os.getpid(): 7}).as_fields())))
    assert settings.terminals in ([(7, slave)], [(7, again)])
    # TIOCNXCL
    fcntl.ioctl(slave, 0x540D)
    assert put_back({os.getpid(): 7}, settings) == []
    assert [is_exclusive(each) for each in (slave, usual, master)] == [True, False, False]
    # A service that has closed it, or has another file there now, needs nothing.
    reader, writer = os.pipe()
    for descriptor in (reader, 900):
        assert put_back({os.getpid(): 7}, settings._replace(terminals=[(7, descriptor)])) == []
    for each in (master, slave, again, other, usual, reader, writer):
        os.close(each)


def test_what_is_as_usual_is_not_sent(start):
    settings = read({start("not").pid: 7})
    assert settings.sockets == []
    assert [task for task in settings.tasks if task.coredump_filter] == []


def test_what_cannot_be_set_is_said(start):
    service, restored = start("set"), start("not")
    settings = read({service.pid: 7})
    # Standard input, a pipe.
    others = [each._replace(descriptor=0) for each in settings.sockets]
    refused = put_back({restored.pid: 7}, settings._replace(sockets=others))
    assert len(refused) == len(others)
    assert all("file descriptor 0 of process 7" in each for each in refused)


def test_a_socket_that_the_service_has_closed_needs_nothing(start):
    service, restored = start("set"), start("not")
    settings = read({service.pid: 7})
    gone = [each._replace(descriptor=999) for each in settings.sockets]
    assert put_back({restored.pid: 7}, settings._replace(sockets=gone)) == []


def test_a_connection_has_no_settings_because_it_does_not_move():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3000)
        listening = read({os.getpid(): 7}).sockets
        with socket.create_connection(listener.getsockname()) as calling, listener.accept()[0] as called:
            calling.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3000)
            assert read({os.getpid(): 7}).sockets == listening
            assert called.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
    assert len(listening) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tasks": [], "sockets": [[1, 2, []]], "terminals": []},
        {"tasks": [[1]], "sockets": [], "terminals": []},
        {"tasks": [[1, ["x"], -1, -1, "", 0]], "sockets": [], "terminals": []},
        {"tasks": [], "sockets": [[1, 2, [[1, 2, "xyz"]], []]], "terminals": []},
        {"tasks": [], "sockets": []},
        {"tasks": [], "sockets": [], "terminals": [[1]]},
    ],
)
def test_damaged_settings_are_refused(fields):
    with pytest.raises(ValueError, match=r"."):
        from_fields(fields)


def test_a_thread_may_have_any_name():
    # PR_SET_NAME, PR_SET_TIMERSLACK
    named = "libc = ctypes.CDLL(None); libc.prctl(15, b'\\xff)\\n', 0, 0, 0); libc.prctl(29, 70000, 0, 0, 0)"
    program = f"import ctypes, sys; {named}; print(1, flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{program}; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        process.stdout.readline()
        (settings,) = read(container_pids([process.pid])).tasks
        assert settings.timer_slack_ns == 70000
    finally:
        process.communicate()


SEGMENT = """
import ctypes, sys
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
assert libc.unshare(0x08000000) == 0
segment = libc.shmget(0, 1 << 16, 0o600)
assert libc.shmat(segment, None, 0)
for command in sys.argv[1:]:
    assert libc.shmctl(segment, int(command), None) == 0
print("there", flush=True)
sys.stdin.read()
"""
IPC_RMID, SHM_LOCK = "0", "11"


@pytest.mark.parametrize("marks", [[IPC_RMID], [SHM_LOCK], [SHM_LOCK, IPC_RMID]])
def test_marks_of_system_v_segments(started, marks):
    """In a namespace of its own the first segment has the number 0, before and after a move."""
    service, restored, unmarked = (
        started([sys.executable, "-c", SEGMENT, *words]) for words in (marks, [], [])
    )
    assert read({unmarked.pid: 1}).segments == []
    settings = read({service.pid: 1})
    assert settings.segments == [(0, IPC_RMID in marks, SHM_LOCK in marks)]
    travelled = from_fields(json.loads(json.dumps(settings.as_fields())))
    travelled = travelled._replace(tasks=[])

    assert put_back({restored.pid: 1}, travelled) == []

    assert read({restored.pid: 1}).segments == settings.segments
    # Where it is so already nothing is done; where the segment is gone, neither.
    assert put_back({restored.pid: 1}, travelled) == []
    assert put_back({}, travelled) == []
    gone = travelled._replace(segments=[travelled.segments[0]._replace(identifier=99)])
    assert put_back({restored.pid: 1}, gone) == []


SOURCES = ["10.1.2.3", "10.1.2.4"]


@pytest.mark.parametrize("mode", ["only these", "all but these", "all"])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_the_sources_of_a_multicast_group(family, mode):
    group, sources = ("232.1.2.3", SOURCES) if family == socket.AF_INET else ("ff35::8000:1", ["fd00::1"])
    packed = [socket.inet_pton(family, source) for source in sources]
    with socket.socket(family, socket.SOCK_DGRAM) as one, socket.socket(family, socket.SOCK_DGRAM) as other:
        wanted = Membership(socket.inet_pton(family, group), "lo", mode != "only these", ())
        if mode != "all":
            wanted = wanted._replace(sources=tuple(sorted(packed)))
        # MCAST_JOIN_SOURCE_GROUP, or MCAST_JOIN_GROUP and MCAST_BLOCK_SOURCE.
        level = 0 if family == socket.AF_INET else 41
        head = struct.pack("@I4x", socket.if_nametoindex("lo"))
        if wanted.excludes:
            one.setsockopt(level, 42, head + address_of(family, wanted.group))
        for source in wanted.sources:
            request = head + address_of(family, wanted.group) + address_of(family, source)
            one.setsockopt(level, 43 if wanted.excludes else 46, request)

        options = read_options(one, os.getpid())
        assert options.memberships == [wanted]
        travelled = from_fields(
            json.loads(json.dumps(Settings([], [SocketSettings(1, 3, options)]).as_fields()))
        )
        assert set_options(other, os.getpid(), travelled.sockets[0].options) == []
        assert read_options(other, os.getpid()) == options


def address_of(family, packed):
    """struct sockaddr_storage"""
    if family == socket.AF_INET:
        return struct.pack("=HH4s", family, 0, packed).ljust(128, b"\0")
    return struct.pack("=HHI16sI", family, 0, 0, packed, 0).ljust(128, b"\0")
