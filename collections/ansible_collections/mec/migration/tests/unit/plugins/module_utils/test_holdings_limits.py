# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that leave CRIU no room of what it needs in them, from real ones."""

from __future__ import annotations

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel.inode_flags import (
    APPEND,
    IMMUTABLE,
    NOATIME,
    set_flags,
)
from ansible_collections.mec.migration.plugins.module_utils.service import kinds_limits
from ansible_collections.mec.migration.plugins.module_utils.service.inventory import judge
from ansible_collections.mec.migration.plugins.module_utils.service.kinds import SAID
from test_holdings import Victim, needs_root, only, told


def test_a_process_that_may_open_no_more_files():
    program = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
while True:
    try:
        keep.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        break
for each in keep[:{closed}]:
    os.close(each)
"""
    only(told(program.format(closed=0)), "64 of the 64 files", "prlimit")
    assert told(program.format(closed=kinds_limits.DESCRIPTORS_OF_DUMP)) == []
    # Of those that it had open before it was given that limit only the lower ones count.
    lowered = """
import resource
os.dup2(0, 900)
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
"""
    assert told(lowered) == []


@pytest.mark.parametrize("left_mib", [2, 100])
def test_a_process_that_may_map_no_more(left_mib):
    program = f"""
import resource
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * os.sysconf("SC_PAGE_SIZE") + ({left_mib} << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
"""
    found = told(program)
    if left_mib == 2:
        only(found, "KiB more of address space", "prlimit")
    else:
        assert found == []


def test_a_file_that_is_open_as_a_high_number(monkeypatch):
    program = "import resource\nos.dup2(0, 900)"
    monkeypatch.setattr(kinds_limits, "_most_descriptors", lambda: 1024)
    only(told(program), "a file open as number 900", "higher numbers")
    monkeypatch.setattr(kinds_limits, "_most_descriptors", lambda: 4096)
    assert told(program) == []


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


def test_a_deleted_file_with_a_long_name(tmp_path):
    program = f"""
keep.append(open("{tmp_path}/" + "n" * {{length}}, "w"))
os.unlink(keep[0].name)
"""
    only(told(program.format(length=242)), "deleted file", "longer than 241 bytes")
    assert told(program.format(length=241)) == []


@pytest.mark.parametrize("flags", [0, 0o200])
def test_a_pidfd_of_a_thread(flags):
    found = told(f"keep.append(made(libc.syscall(434, os.getpid(), {flags})))")
    if flags:
        only(found, "a pidfd of a single thread", "CRIU cannot dump it")
    else:
        assert found == []


def test_a_personality():
    # PER_LINUX32
    only(told("made(libc.personality(8))", SAID), "the personality 0x8", "does not restore it")
    assert told("", SAID) == []


THREAD = """
import threading
def own():
    {}
    begun.set()
    time.sleep(600)
begun = threading.Event()
threading.Thread(target=own, daemon=True).start()
begun.wait()
"""


def test_a_personality_of_a_thread():
    only(told(THREAD.format("libc.personality(8)"), SAID), "the personality 0x8")


@needs_root
@pytest.mark.parametrize(
    ("flag", "what"),
    [
        (0x400, "open files of its own"),
        (0x200, "a working directory and umask of its own"),
        (0x40000000, "a namespace of its own (net)"),
        (0x04000000, "a namespace of its own (uts)"),
    ],
)
def test_a_thread_with_what_threads_have_in_common(flag, what):
    only(told(THREAD.format(f"made(libc.unshare({flag}))")), f"has a thread with {what}", "gives all threads")
    assert told(THREAD.format("pass")) == []


@needs_root
@pytest.mark.parametrize(("flag", "name"), [(0x20000000, "pid"), (0x80, "time")])
def test_a_namespace_for_children_to_come(flag, name):
    only(told(f"made(libc.unshare({flag}))"), f"a namespace for its children ({name})")


@needs_root
@pytest.mark.parametrize("clock", [0, 1, 7, 8, 9])
def test_a_timer_of_a_clock_that_wakes_the_host(clock):
    found = told(f"made(libc.timerfd_create({clock}, 0))")
    if clock in (8, 9):
        only(found, "has a timerfd of the clock CLOCK_", "_ALARM (file descriptor", "CRIU cannot dump it")
    else:
        assert found == []
