# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that leave CRIU no room of what it needs in them, from real ones."""

from __future__ import annotations

import pytest
from ansible_collections.mec.migration.plugins.module_utils.service import kinds_limits
from ansible_collections.mec.migration.plugins.module_utils.service.kinds import SAID
from test_holdings import needs_root, only, told


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
