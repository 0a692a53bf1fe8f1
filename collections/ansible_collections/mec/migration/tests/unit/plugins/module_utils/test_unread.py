# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real processes have not read."""

from __future__ import annotations

import pytest
from ansible_collections.mec.migration.plugins.module_utils.service.unread import unread
from test_holdings import Victim, needs_root

DATAGRAM = """
taker = socket.socket(socket.{family}, socket.SOCK_DGRAM)
taker.bind(("{address}", 0))
socket.socket(socket.{family}, socket.SOCK_DGRAM).sendto(b"x", taker.getsockname())
keep.append(taker)
"""
WATCH = """
keep.append(made(libc.inotify_init()))
made(libc.inotify_add_watch(keep[0], b"{directory}", 0x100))
"""
MARK = """
keep.append(made(libc.fanotify_init(0, os.O_RDONLY)))
libc.fanotify_mark.argtypes = (ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p)
# FAN_MARK_ADD; FAN_CLOSE_WRITE and FAN_EVENT_ON_CHILD; AT_FDCWD.
made(libc.fanotify_mark(keep[0], 1, 0x8000008, -100, b"{directory}"))
"""
SEALED = """
libc.syscall.argtypes = None
at = made(libc.mmap(None, 4096, 3, 0x22, -1, 0))
made(libc.syscall(462, ctypes.c_void_p(at), ctypes.c_size_t(4096), 0))
if not any(line.startswith("VmFlags:") and "sl" in line.split() for line in open("/proc/self/smaps")):
    made(-1)
"""


def found(program):
    with Victim(program) as victim:
        return unread(victim.pid, victim.pids())


@needs_root
@pytest.mark.parametrize(
    ("program", "words"),
    [
        (DATAGRAM.format(family="AF_INET", address="127.0.0.1"), "datagrams at UDP port "),
        (DATAGRAM.format(family="AF_INET6", address="::1"), "datagrams at UDP port "),
        (SEALED, "are sealed (mseal)"),
    ],
)
def test_what_was_not_read_is_named(program, words):
    (what,) = found(program)
    assert words in what
    assert "python" in what


@needs_root
@pytest.mark.parametrize(("watch", "kind"), [(WATCH, "inotify"), (MARK, "fanotify")])
def test_events_that_were_not_read(tmp_path, watch, kind):
    program = watch.format(directory=tmp_path)
    assert found(program) == []
    (what,) = found(program + f"open('{tmp_path}/new', 'w').close()")
    assert what.startswith(f"events of {kind} that process ")


def test_where_all_was_read_nothing_is_told():
    program = DATAGRAM.format(family="AF_INET", address="127.0.0.1") + "taker.recv(9)"
    assert found(program) == []
    assert found("child()") == []


def test_what_is_gone_has_left_nothing():
    with Victim("") as victim:
        pid = victim.pid
    assert unread(pid, [pid]) == []
    assert unread(0, [0]) == []
