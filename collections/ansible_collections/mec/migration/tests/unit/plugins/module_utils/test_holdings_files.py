# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open files that do not move, or are not the same there, from real processes."""

from __future__ import annotations

import os

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel.inode_flags import (
    APPEND,
    IMMUTABLE,
    NOATIME,
    set_flags,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel.mountinfo import mounts
from ansible_collections.mec.migration.plugins.module_utils.service.holdings import read_holdings
from ansible_collections.mec.migration.plugins.module_utils.service.inventory import judge
from ansible_collections.mec.migration.plugins.module_utils.service.kinds import SAID
from test_holdings import Victim, needs_root, only, told


def test_an_io_uring():
    program = "keep.append(made(libc.syscall(425, 8, ctypes.create_string_buffer(120))))"
    only(told(program), "io_uring (file descriptor", "CRIU cannot dump", "UV_USE_IO_URING=0")


def test_other_kernel_objects():
    program = "keep.append(made(libc.syscall({'x86_64': 323}.get(os.uname().machine, 282), 1)))"
    only(told(program), "userfaultfd", "file descriptor")


DEVICE = """
os.mknod("/dev/shm/holdings%d" % os.getpid(), 0o600 | 0o020000, os.makedev{number})
try:
    keep.append(os.open("/dev/shm/holdings%d" % os.getpid(), os.{how} | os.O_NOCTTY | os.O_NONBLOCK))
except OSError:
    ctypes.set_errno(19)
    made(-1)
finally:
    os.unlink("/dev/shm/holdings%d" % os.getpid())
"""


@needs_root
@pytest.mark.parametrize(
    ("number", "refused"),
    [
        # fuse; the first serial port; the screen in the foreground.
        *(((10, 229), True), ((4, 64), True), ((4, 0), True)),
        # The first screen; /dev/full.
        *(((4, 1), False), ((1, 7), False)),
    ],
)
def test_a_device(number, refused):
    found = told(DEVICE.format(number=number, how="O_RDWR"))
    if refused:
        only(found, "has the device", "Start the service without")
    else:
        assert found == []


@needs_root
def test_the_log_of_the_kernel():
    only(
        told(DEVICE.format(number=(1, 11), how="O_RDONLY"), SAID), "log of this host's kernel", "from its beg"
    )
    assert told(DEVICE.format(number=(1, 11), how="O_WRONLY"), SAID) == []
    assert told(DEVICE.format(number=(1, 11), how="O_RDONLY")) == []


def test_a_pipe_that_keeps_writes_apart():
    only(told("keep.append(os.pipe2(os.O_DIRECT))"), "keeps writes apart", "SOCK_SEQPACKET")
    assert told("keep.append(os.pipe2(os.O_NONBLOCK))") == []


def test_more_pipes_than_can_be_dumped():
    program = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (3000, 3000))
keep += [os.pipe() for _ in range({count})]
child()
"""
    (said,) = told(program.format(count=1025))
    assert said.startswith("container web has 1025 pipes; ")
    assert told(program.format(count=1024)) == []


def test_more_fifos_than_can_be_dumped(tmp_path):
    program = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (3000, 3000))
for number in range({count}):
    os.mkfifo(f"{path}/{{number}}")
    keep.append(os.open(f"{path}/{{number}}", os.O_RDWR))
child()
"""
    for name in ("few", "many"):
        (tmp_path / name).mkdir()
    (said,) = told(program.format(count=1025, path=tmp_path / "many"))
    assert said.startswith("container web has 1025 FIFOs open; ")
    assert told(program.format(count=1024, path=tmp_path / "few")) == []


def test_a_message_queue():
    program = """
try:
    rt = ctypes.CDLL("librt.so.1", use_errno=True)
except OSError:
    rt = libc
name = b"/holdings%d" % os.getpid()
keep.append(made(rt.mq_open(name, os.O_RDWR | os.O_CREAT, 0o600, None)))
rt.mq_unlink(name)
"""
    only(told(program), "POSIX message queue", "System V")


@needs_root
def test_a_message_queue_that_nobody_has_open():
    program = """
unshare_mounts(0x08000000)
libc.mount(b"none", b"/", None, 0x44000, None)
made(libc.mount(b"none", b"/dev/shm", b"mqueue", 0, None))
open("/dev/shm/jobs", "x").close()
"""
    (sentence,) = told(program)
    assert "container web has the POSIX message queue /jobs, which no process" in sentence
    assert "mq_unlink" in sentence


def test_a_file_whose_name_is_gone_while_another_link_stays(tmp_path):
    program = f"""
os.chdir({str(tmp_path)!r})
keep.append(open("gone", "w"))
os.link("gone", "stays")
os.unlink("gone")
keep.append(open("deleted", "w"))
os.unlink("deleted")
"""
    point = max((mount.point for mount in mounts() if str(tmp_path).startswith(mount.point)), key=len)
    with Victim(program) as victim:
        assert judge("web", read_holdings(victim.pid, victim.pids())).refused == ()
        holdings = read_holdings(victim.pid, victim.pids(), [point])
    only(judge("web", holdings).refused, f"has {tmp_path}/gone open", "by the name that stays")


def test_a_directory_of_proc():
    only(told("keep.append(os.open('/proc', os.O_RDONLY))"), "directory of /proc open, /proc")


def test_a_deleted_file_with_a_long_name(tmp_path):
    program = f"""
keep.append(open("{tmp_path}/" + "n" * {{length}}, "w"))
os.unlink(keep[0].name)
"""
    only(told(program.format(length=242)), "deleted file", "longer than 241 bytes")
    assert told(program.format(length=241)) == []


PROTECTED = """
import fcntl
{how}
file = os.open("{path}", os.O_RDONLY)
if libc.ioctl(file, 0x40086602, ctypes.byref(ctypes.c_long({flag}))):
    made(-1)
os.close(file)
"""


@pytest.fixture
def protected(tmp_path):
    """A file that is there, whose flags are taken away again, so that it can be removed."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 4096)
    yield path
    with open(path, "rb") as file:
        try:
            set_flags(file.fileno(), 0)
        except OSError as error:
            pytest.skip(f"no flags of files here: {error}")


@needs_root
@pytest.mark.parametrize(
    ("how", "flag", "words"),
    [
        ("keep.append(os.open({path!r}, os.O_WRONLY))", IMMUTABLE, "which is immutable (chattr +i) by now"),
        (
            "keep.append(os.open({path!r}, os.O_RDWR | os.O_APPEND))",
            IMMUTABLE,
            "immutable (chattr +i) by now",
        ),
        ("keep.append(os.open({path!r}, os.O_RDWR))", APPEND, "append-only (chattr +a) by now"),
        # Of all mappings CRIU opens the file as it was, also where nothing can be written through them.
        ("mapped(os.open({path!r}, os.O_RDWR), 1, 1)", IMMUTABLE, "has mapped the file"),
        ("mapped(os.open({path!r}, os.O_RDWR), 3, 2)", IMMUTABLE, "has mapped the file"),
        ("mapped(os.open({path!r}, os.O_RDWR), 3, 1)", APPEND, "has mapped the file"),
        ("keep.append(os.open({path!r}, os.O_WRONLY | os.O_APPEND))", APPEND, ""),
        ("keep.append(os.open({path!r}, os.O_RDONLY))", IMMUTABLE, ""),
        ("mapped(os.open({path!r}, os.O_RDONLY), 3, 2)", IMMUTABLE, ""),
        ("keep.append(os.open({path!r}, os.O_RDWR))", NOATIME, ""),
    ],
)
def test_a_file_that_was_protected_after_it_was_opened(protected, how, flag, words):
    mapped = """
def mapped(file, access, kind):
    keep.append(made(libc.mmap(None, 4096, access, kind, file, 0)))
    os.close(file)
"""
    path = str(protected)
    found = told(PROTECTED.format(how=mapped + how.format(path=path), path=path, flag=flag))
    if words:
        only(found, path, words, "cannot open it for writing again", "chattr -i")
    else:
        assert found == []


@pytest.fixture
def protected_directory(tmp_path):
    """As the file above."""
    path = tmp_path / "directory"
    path.mkdir()
    yield path
    opened = os.open(path, os.O_RDONLY)
    try:
        set_flags(opened, 0)
    except OSError as error:
        pytest.skip(f"no flags of directories here: {error}")
    finally:
        os.close(opened)


BOUND = """
keep.append(socket.socket(socket.AF_UNIX, {kind}))
{where}
"""
REMOVED = """
keep.append(open("{path}/gone", "w"))
os.{how}("{path}/gone"{to})
"""
MAPPED = """
file = os.open("{path}/gone", os.O_RDWR | os.O_CREAT)
os.write(file, bytes(4096))
keep.append(made(libc.mmap(None, 4096, 1, 2, file, 0)))
os.close(file)
os.unlink("{path}/gone")
"""


@needs_root
@pytest.mark.parametrize("flag", [IMMUTABLE, APPEND])
@pytest.mark.parametrize(
    ("how", "words"),
    [
        (
            BOUND.format(kind="socket.SOCK_STREAM", where="keep[0].bind('{path}/it')\nkeep[0].listen()"),
            "has bound a UNIX socket to {path}/it",
        ),
        (
            BOUND.format(kind="socket.SOCK_DGRAM", where="os.chdir('{path}')\nkeep[0].bind('it')"),
            "has bound a UNIX socket to it",
        ),
        (
            REMOVED.format(path="{path}", how="unlink", to=""),
            "has the file {path}/gone open, which was removed",
        ),
        (
            "file = os.open('{path}/other', os.O_CREAT)\nos.link('{path}/other', '{path}/gone')\n"
            + REMOVED.format(path="{path}", how="unlink", to=""),
            "has the file {path}/gone open, which was removed",
        ),
        ("keep.append(os.open('{path}', os.O_TMPFILE | os.O_RDWR))", "open, which was removed"),
        (MAPPED, "has mapped the file {path}/gone, which was removed"),
        ("keep.append(open('{path}/stays', 'w').close())", ""),
    ],
)
def test_a_directory_that_was_protected(protected_directory, how, words, flag):
    path = str(protected_directory)
    found = told(PROTECTED.format(how=how.format(path=path), path=path, flag=flag))
    if words:
        only(found, words.format(path=path), "in a directory that is", "chattr -i")
    else:
        assert found == []


@needs_root
@pytest.mark.parametrize("alone", [False, True])
def test_a_protected_file_that_does_not_move_is_not_judged_here(protected, alone):
    how = f"keep.append(os.open({str(protected)!r}, os.O_RDWR))"
    with Victim(PROTECTED.format(how=how, path=protected, flag=IMMUTABLE)) as victim:
        holdings = victim.holdings()
    (point,) = [mount for mount in holdings.mounts if mount.point == "/"][-1:]
    # A file can be mounted alone, too (`-v /etc/app.conf:/etc/app.conf`).
    elsewhere = point._replace(point=str(protected if alone else protected.parent))
    stays = holdings._replace(mounts=(*holdings.mounts, elsewhere), staying=(elsewhere.point,))
    assert len(judge("web", holdings).refused) == 1
    assert judge("web", stays).refused == ()


def test_a_database_that_goes_around_the_page_cache_has_no_strange_pipe(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    program = f"""
try:
    keep.append(os.open({str(path)!r}, os.O_RDWR | os.O_DIRECT))
except OSError as error:
    print("not given:", error)
    sys.exit()
"""
    assert told(program) == []


@pytest.mark.parametrize("flags", [0, 0o200])
def test_a_pidfd_of_a_thread(flags):
    found = told(f"keep.append(made(libc.syscall(434, os.getpid(), {flags})))")
    if flags:
        only(found, "a pidfd of a single thread", "CRIU cannot dump it")
    else:
        assert found == []


@needs_root
@pytest.mark.parametrize("clock", [0, 1, 7, 8, 9])
def test_a_timer_of_a_clock_that_wakes_the_host(clock):
    found = told(f"made(libc.timerfd_create({clock}, 0))")
    if clock in (8, 9):
        only(found, "has a timerfd of the clock CLOCK_", "_ALARM (file descriptor", "CRIU cannot dump it")
    else:
        assert found == []
