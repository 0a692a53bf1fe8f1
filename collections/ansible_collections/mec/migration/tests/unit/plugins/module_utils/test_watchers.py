# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the table of kinds says of real watches and epolls."""

from __future__ import annotations

import pytest
from ansible_collections.mec.migration.plugins.module_utils.service.kinds import SAID
from test_holdings import needs_root, only, told

# Of a process that waits for an end of a pipe that only its child has; the other kinds need no refusal.
CLOSED_BESIDE_A_FORK = """
import select
reader, writer = os.pipe()
waiting = select.epoll()
waiting.register(reader, select.EPOLLIN)
child()
os.close(reader)
"""
ON_ITS_WAY = """
import select
one, other = socket.socketpair()
reader, writer = os.pipe()
waiting = select.epoll()
waiting.register(reader, select.EPOLLIN)
socket.send_fds(one, [b"x"], [reader])
os.close(reader)
"""
# The child is looked at after its parent, with which it shares the set.
INHERITED = """
import select
reader, writer = os.pipe()
waiting = select.epoll()
waiting.register(reader, select.EPOLLIN)
child(lambda: os.close(reader))
"""
DUPLICATED = """
import select
reader, writer = os.pipe()
waiting = select.epoll()
waiting.register(reader, select.EPOLLIN)
keep.append(os.dup(reader))
os.dup2(os.open("/dev/null", os.O_RDONLY), reader)
both = select.epoll()
both.register(waiting.fileno(), select.EPOLLIN)
for pair in (socket.socketpair() for _ in range(20)):
    keep.append(pair)
    both.register(pair[0], select.EPOLLIN)
"""
# The duplicate is looked at with the parent, which has it first.
DUPLICATED_BY_THE_PARENT = """
import select
reader, writer = os.pipe()
again = os.dup(reader)
def wait():
    waiting = select.epoll()
    waiting.register(reader, select.EPOLLIN)
    keep.append(waiting)
    os.close(reader)
child(wait)
"""


@pytest.mark.parametrize("program", [CLOSED_BESIDE_A_FORK, ON_ITS_WAY, DUPLICATED_BY_THE_PARENT])
def test_an_epoll_of_a_file_that_another_process_has(program):
    only(told(program), "has an epoll (file descriptor ", "EPOLL_CTL_DEL")


@pytest.mark.parametrize("program", [INHERITED, DUPLICATED])
def test_an_epoll_of_files_of_its_own_process(program):
    assert told(program) == []


@needs_root
@pytest.mark.parametrize(
    "make",
    [
        "watched = b'/proc/self'",
        "f = os.memfd_create('m'); watched = b'/proc/self/fd/%d' % f",
        "import tempfile; t = tempfile.NamedTemporaryFile(); t.write(b'x'); watched = t.name.encode()",
    ],
)
def test_a_watch_on_what_has_no_name(make):
    program = f"""
{make}
watch = made(libc.inotify_init())
made(libc.inotify_add_watch(watch, watched, 2))
if "t" in globals():
    os.unlink(t.name)
"""
    only(told(program), "watches something that has no name in its file systems", "(file descriptor ")


@needs_root
def test_a_watch_on_what_has_a_name(tmp_path):
    program = f"""
watch = made(libc.inotify_init())
made(libc.inotify_add_watch(watch, {str(tmp_path).encode()!r}, 2))
"""
    assert told(program) == []


@needs_root
def test_a_watch_on_a_file_system():
    program = """
libc.fanotify_mark.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p]
watch = made(libc.fanotify_init(0, os.O_RDONLY))
made(libc.fanotify_mark(watch, 1 | {kind}, 0x8, -100, b"/"))
"""
    only(told(program.format(kind="0x100")), "watches a whole file system by fanotify (file descriptor ")
    assert told(program.format(kind="0x10")) == []


def test_a_watch_with_options(tmp_path):
    program = """
watch = made(libc.inotify_init())
made(libc.inotify_add_watch(watch, b"/tmp", {mask}))
"""
    for mask in (0x80000002, 0x04000002):
        only(told(program.format(mask=mask), SAID), "has a watch with IN_ONESHOT or IN_EXCL_UNLINK")
    assert told(program.format(mask=2), SAID) == []


@needs_root
def test_a_trigger_of_pressure():
    program = """
try:
    trigger = os.open("/proc/pressure/memory", os.O_RDWR | os.O_NONBLOCK)
    os.write(trigger, b"some 500000 2000000\\0")
except OSError as error:
    print("not given:", error, flush=True)
    sys.exit()
"""
    only(told(program, SAID), "waits for pressure of /proc/pressure/memory", "write the trigger again")
    assert told("keep.append(os.open('/proc/self/status', os.O_RDONLY))", SAID) == []


def test_an_epoll_that_polls_busily():
    program = """
import fcntl, select, struct
keep.append(select.epoll())
try:
    fcntl.ioctl(keep[0].fileno(), 0x40088A01, struct.pack("=IHBB", {usecs}, 8, 0, 0))
except OSError as error:
    print("not given:", error, flush=True)
    sys.exit()
"""
    only(
        told(program.format(usecs=50), SAID), "an epoll that polls network devices busily", "ask for it again"
    )
    assert told("import select; keep.append(select.epoll())", SAID) == []
