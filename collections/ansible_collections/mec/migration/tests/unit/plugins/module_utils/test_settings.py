# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of real processes and sockets: read from outside, and set again in others."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel.processes import container_pids
from ansible_collections.mec.migration.plugins.module_utils.kernel.settings import from_fields, put_back, read
from ansible_collections.mec.migration.plugins.module_utils.kernel.socket_options import (
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
def start():
    started = []

    def run(*words):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "there\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


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
