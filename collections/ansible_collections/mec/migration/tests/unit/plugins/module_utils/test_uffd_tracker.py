# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Written pages of real processes, asked of the kernel; and system calls run in them from outside.

The repository's tests/uffd does this at length, with services of every kind.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import select
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import PreflightError
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.kernel import (
    ptrace_child,
    remote_syscall,
    write_protect,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel.calls import number_of
from ansible_collections.mec.migration.plugins.module_utils.kernel.process_memory import (
    PAGE_BYTES,
    Reader,
    present_pages,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel.processes import waiting_call
from ansible_collections.mec.migration.plugins.module_utils.kernel.ptrace import RemoteError, TryAgain
from ansible_collections.mec.migration.plugins.module_utils.kernel.ptrace_child import in_child
from ansible_collections.mec.migration.plugins.module_utils.kernel.remote_syscall import Stopped
from ansible_collections.mec.migration.plugins.module_utils.memory import trackers as dirty_tracking
from ansible_collections.mec.migration.plugins.module_utils.memory.uffd_tracker import UffdTracker, obstacle
from victim import Victim

WHY_NOT = write_protect.obstacle()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"tracker uffd does not work on this host: {WHY_NOT}")
SYS_READ, SYS_GETPID, SYS_GETTID = {"x86_64": (0, 39, 186), "aarch64": (63, 172, 178)}[os.uname().machine]
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17


class Thawed:
    """The part of a cgroup that the tracker asks; the tests do not freeze."""

    thawed = True


class Frozen:
    thawed = False


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """A thread that is to stop may have to wait for a processor first."""
    monkeypatch.setattr(remote_syscall, "STOP_TIMEOUT_S", 20.0)
    monkeypatch.setattr(ptrace_child, "ANSWER_TIMEOUT_S", 120.0)


@pytest.fixture
def victim():
    with Victim(still=False) as process:
        yield process


@pytest.fixture
def tracker():
    return UffdTracker(Thawed())


def own(victim, first=0, count=None):
    start = victim.base + first * PAGE_BYTES
    return RangeSet([(start, start + (victim.pages if count is None else count) * PAGE_BYTES)])


def named(tracker, victim, frozen=False):
    """Pages of its area that the tracker names, by their place in it."""
    found = tracker.candidates([victim.pid], frozen)[0][victim.pid] & own(victim)
    return {
        (address - victim.base) // PAGE_BYTES
        for start, end in found
        for address in range(start, end, PAGE_BYTES)
    }


def run(program, *arguments, **options):
    """A Python program that says a line once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    return process, process.stdout.readline().strip()


@contextlib.contextmanager
def running(program, *arguments, **options):
    process, line = run(program, *arguments, **options)
    try:
        yield process, line
    finally:
        process.kill()
        process.communicate()


def settled(pid):
    """The pages of a process that has come to rest."""
    asleep = 0
    while asleep < 3:
        with open(f"/proc/{pid}/stat") as stat:
            asleep = asleep + 1 if stat.read().rpartition(")")[2].split()[0] in "ST" else 0
        time.sleep(0.005)
    return present_pages(pid)


def goes_on(victim):
    victim.do("write", 5, 1, seed=77)
    assert victim.memory(*own(victim, 5, 1).ranges[0]) != bytes(PAGE_BYTES)


# -- what was written -------------------------------------------------------------------------------


def test_first_all_then_what_was_written(tracker, victim):
    victim.do("write", 0, 20)
    there = settled(victim.pid)
    found, stopped_ms = tracker.candidates([victim.pid], False)
    assert found[victim.pid] == there
    assert stopped_ms > 0
    assert named(tracker, victim) == set()
    victim.do("write", 7, 3)
    victim.do("zero", 30)
    victim.do("read", 40, 5)
    assert named(tracker, victim) == {7, 8, 9, 30}
    assert named(tracker, victim) == set()
    assert tracker.notes == []


def test_in_the_frozen_window_it_is_only_read(tracker, victim):
    victim.do("write", 0, 20)
    tracker.candidates([victim.pid], False)
    victim.do("write", 3)
    assert named(tracker, victim, frozen=True) == {3}
    # Nothing was cleared.
    assert named(tracker, victim, frozen=True) == {3}
    assert named(tracker, victim) == {3}


def test_dropped_and_unmapped_pages_come_back_as_written(tracker, victim):
    victim.do("write", 0, 20)
    tracker.candidates([victim.pid], False)
    victim.do("drop", 2, 3)
    victim.do("unmap", 10, 2)
    assert named(tracker, victim) == set()
    victim.do("write", 3)
    victim.do("map", 10, 2)
    victim.do("write", 10, 2)
    assert named(tracker, victim, frozen=True) == {3, 10, 11}
    assert named(tracker, victim) == {3, 10, 11}
    assert tracker.notes == []


def test_little_that_is_new_is_compared_and_much_is_tracked():
    with Victim(pages=1000, still=False) as victim:
        tracker = UffdTracker(Thawed())
        tracker.candidates([victim.pid], False)
        victim.do("map", 0, 100)
        victim.do("write", 0, 100)
        for _turn in range(2):
            assert named(tracker, victim) == set(range(100))
        victim.do("map", 0, 1000)
        victim.do("write", 0, 1000)
        assert named(tracker, victim) == set(range(1000))
        assert named(tracker, victim) == set()
        victim.do("write", 500)
        assert named(tracker, victim, frozen=True) == {500}


def test_what_another_process_writes_is_seen(tracker, victim):
    victim.do("write", 0, 20)
    tracker.candidates([victim.pid], False)
    with open(f"/proc/{victim.pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(victim.base + 4 * PAGE_BYTES)
        memory.write(b"poke")
    assert named(tracker, victim) == {4}


FORKS = """
import mmap, os, sys
memory = mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory[:] = b"x" * len(memory)
child = os.fork()
if child:
    print(child, flush=True)
sys.stdin.readline()
"""


def test_a_forked_child_is_tracked_on_its_own(tracker):
    with running(FORKS) as (parent, line):
        child = int(line)
        for _round in range(2):
            found, _ms = tracker.candidates([parent.pid, child], False)
            assert set(found) == {parent.pid, child}
        assert found[child].size_bytes == 0
        os.kill(child, signal.SIGKILL)
        assert tracker.candidates([parent.pid], True)[0][parent.pid].size_bytes < 1 << 17
        assert tracker.notes == []


EXECS = """
import os, sys
print("ready", flush=True)
sys.stdin.readline()
os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", "print('again', flush=True); input()"])
"""


def test_a_program_that_replaces_itself_is_taken_whole_and_tracked_again(tracker):
    with running(EXECS) as (process, _line):
        tracker.candidates([process.pid], False)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "again\n"
        assert settled(process.pid) == tracker.candidates([process.pid], True)[0][process.pid]
        assert settled(process.pid) == tracker.candidates([process.pid], False)[0][process.pid]
        assert tracker.candidates([process.pid], False)[0][process.pid] == RangeSet()
        assert tracker.notes == []


def test_a_process_that_ended(tracker, victim):
    tracker.candidates([victim.pid], False)
    victim.kill()
    assert tracker.candidates([victim.pid], False)[0][victim.pid] == RangeSet()
    assert tracker.candidates([1 << 22], False)[0] == {1 << 22: RangeSet()}


def test_pages_that_the_process_itself_may_not_read():
    program = """
import ctypes, mmap, sys
memory = mmap.mmap(-1, 4 * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory[:] = b"secret" * (len(memory) // 6) + b"...."
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + mmap.PAGESIZE), 2 * mmap.PAGESIZE, 0)
print(start, flush=True)
sys.stdin.readline()
"""
    with running(program) as (process, line):
        pages = RangeSet([(int(line), int(line) + 4 * PAGE_BYTES)])
        got = b"".join(bytes(batch.data) for batch in Reader(process.pid).batches(pages))
        assert got == (b"secret" * (4 * PAGE_BYTES // 6 + 1))[: 4 * PAGE_BYTES - 4] + b"...."


# -- what cannot be tracked -------------------------------------------------------------------------


def whole(tracker, process, because):
    assert settled(process.pid) == tracker.candidates([process.pid], False)[0][process.pid]
    assert tracker.notes == [f"process {process.pid} was compared whole: {because}"]


def test_another_tracer(tracker, victim):
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.ptrace(PTRACE_SEIZE, victim.pid, 0, 0) == 0
    whole(tracker, victim, f"process {os.getpid()} traces it")
    libc.ptrace(PTRACE_DETACH, victim.pid, 0, 0)


def test_a_process_that_stands_still(tracker, victim):
    os.kill(victim.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, victim.pid, os.WSTOPPED | os.WNOWAIT)
    whole(tracker, victim, "it is stopped by SIGSTOP")
    os.kill(victim.pid, signal.SIGCONT)
    goes_on(victim)
    tracker.candidates([victim.pid], False)
    assert tracker.notes == []


def test_nobody_is_stopped_in_a_frozen_container(victim):
    tracker = UffdTracker(Frozen())
    whole(tracker, victim, "the container is frozen by someone else")


def test_a_process_that_came_after_the_last_round(tracker, victim):
    assert settled(victim.pid) == tracker.candidates([victim.pid], True)[0][victim.pid]
    assert tracker.notes == [
        f"process {victim.pid} was compared whole: it is newer than the last round before the freeze"
    ]


def test_no_room_for_a_descriptor(tracker):
    program = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
print("ready", flush=True)
sys.stdin.readline()
print("on", flush=True)
"""
    with running(program) as (process, _line):
        number = number_of("userfaultfd")
        whole(tracker, process, f"system call {number} failed in it: Too many open files")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "on\n"


OBSTACLES = {
    "a userfaultfd of its own": (
        f"import ctypes; ctypes.CDLL(None).syscall({number_of('userfaultfd')}, 1)",
        "it has a userfaultfd of its own",
    ),
    "direct input": (
        "import os, sys; os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)",
        "directly (O_DIRECT)",
    ),
}


@pytest.mark.parametrize(("setup", "because"), OBSTACLES.values(), ids=OBSTACLES.keys())
def test_writes_behind_the_marks(setup, because, tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(4096))
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        path = sys.executable
    program = (
        "import sys; sys.stdin.readline(); " + setup + "; print('done', flush=True); sys.stdin.readline()"
    )
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert obstacle(process.pid, []) == ""
        tracker = UffdTracker(Thawed())
        tracker.candidates([process.pid], False)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        # From now on it is compared, though it was tracked before.
        assert settled(process.pid) == tracker.candidates([process.pid], False)[0][process.pid]
        assert because in tracker.notes[0]
    finally:
        process.kill()
        process.communicate()


def test_processes_with_one_memory():
    # A shell that waits between vfork and exec cannot be had; a thread is as good a process for kcmp.
    with running(
        "import threading, time; t = threading.Thread(target=time.sleep, args=(99,), daemon=True); "
        "t.start(); print(t.native_id, flush=True); time.sleep(99)"
    ) as (process, line):
        assert obstacle(process.pid, [process.pid, int(line)]) == f"it shares its memory with process {line}"


# -- system calls in another process ----------------------------------------------------------------


def in_it(pid, *calls):
    def work():
        with Stopped(pid) as stopped:
            results = stopped.call(*calls)
        return {"results": results, "ms": stopped.stopped_ms}, []

    return in_child(work)[0]


def test_a_call_runs_in_the_process_and_leaves_no_trace(victim):
    done = in_it(victim.pid, lambda _before: (SYS_GETPID,), lambda before: (SYS_GETTID,) if before else ())
    assert done["results"] == [victim.pid, victim.pid]
    assert done["ms"] > 0
    goes_on(victim)


def sleeps_in_its_call(process):
    """Wait until it sleeps in what it was told to call; false if it has come back from it meanwhile.

    A call that is only beginning may end with EINTR on arm64 (docs/trackers.md).
    """
    while not select.select([process.stdout], [], [], 0.005)[0]:
        call = waiting_call(f"{process.pid}/task/{process.pid}")
        if call is not None and call.number != SYS_READ:
            return True
    return False


def test_its_own_calls_end_as_if_nothing_had_been():
    program = """
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
epoll = libc.epoll_create1(0)
print("ready", flush=True)
calls = [
    lambda: libc.epoll_wait(epoll, ctypes.create_string_buffer(64), 4, 1000),
    lambda: libc.poll(None, 0, 1000),
    lambda: libc.nanosleep((ctypes.c_long * 2)(1, 0), None),
]
for call in calls:
    sys.stdin.readline()
    start = time.monotonic()
    print(call(), time.monotonic() - start, flush=True)
sys.stdin.readline()
"""
    with running(program) as (process, _line):
        for _call in range(3):
            process.stdin.write("\n")
            process.stdin.flush()
            for _turn in range(2):
                if sleeps_in_its_call(process):
                    in_it(process.pid, lambda _before: (SYS_GETPID,))
            result, seconds = process.stdout.readline().split()
            assert result == "0"
            assert float(seconds) >= 1


def test_a_sleep_goes_on_with_what_is_left_of_it():
    program = """
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
futex = {"x86_64": 202, "aarch64": 98}[__import__("os").uname().machine]
print("ready", flush=True)
def times(seconds):
    return (ctypes.c_long * 2)(seconds, 0)
calls = [
    lambda: libc.nanosleep(times(2), None),
    lambda: libc.clock_nanosleep(1, 0, times(2), None),
    lambda: libc.poll(None, 0, 2000),
    lambda: libc.syscall(futex, ctypes.byref(ctypes.c_int(5)), 128, 5, times(2), None, 0),
]
for call in calls:
    sys.stdin.readline()
    start = time.monotonic()
    call()
    print(time.monotonic() - start, flush=True)
sys.stdin.readline()
"""
    with running(program) as (process, _line):
        for _call in range(4):
            process.stdin.write("\n")
            process.stdin.flush()
            for pause in (0.7, 0.7):
                time.sleep(pause)
                in_it(process.pid, lambda _before: (SYS_GETPID,))
            # Begun anew it would end after 3.4 seconds or more.
            assert 2 <= float(process.stdout.readline()) < 3


def test_signals_that_come_meanwhile_are_handled():
    program = """
import os, signal, sys
alarms = 0
def ring(number, frame):
    global alarms
    alarms += 1
signal.signal(signal.SIGALRM, ring)
signal.signal(signal.SIGUSR1, lambda number, frame: os.write(1, b"handled\\n"))
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
print("ready", flush=True)
sys.stdin.readline()
signal.setitimer(signal.ITIMER_REAL, 0)
print(alarms, flush=True)
"""
    with running(program) as (process, _line):
        for _turn in range(20):
            os.kill(process.pid, signal.SIGUSR1)
            in_it(process.pid, lambda _before: (SYS_GETPID,))
            assert process.stdout.readline() == "handled\n"
        process.stdin.write("\n")
        process.stdin.flush()
        assert int(process.stdout.readline()) > 0


def test_a_signal_that_comes_meanwhile_ends_the_call_that_it_would_end():
    program = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGUSR1, lambda number, frame: None)
pipe = os.pipe()
print("ready", flush=True)
calls = [
    lambda: libc.pause(),
    lambda: libc.nanosleep((ctypes.c_long * 2)(600, 0), None),
    lambda: libc.read(pipe[0], ctypes.create_string_buffer(1), 1),
    lambda: libc.poll(None, 0, 600_000),
]
for call in calls:
    sys.stdin.readline()
    print(call(), ctypes.get_errno(), flush=True)
sys.stdin.readline()
"""
    with running(program) as (process, _line):

        def signal_it(_before):
            os.kill(process.pid, signal.SIGUSR1)
            return (SYS_GETPID,)

        for _call in range(4):
            process.stdin.write("\n")
            process.stdin.flush()
            time.sleep(0.3)
            in_it(process.pid, signal_it)
            assert select.select([process.stdout], [], [], 30)[0], "the call did not end"
            assert process.stdout.readline() == f"-1 {errno.EINTR}\n"


def test_two_calls_in_turn_from_within_another_one():
    """As above, but the second begins where the first has left the thread."""
    program = """
import sys, time
print("ready", flush=True)
start = time.monotonic()
time.sleep(1)
print(time.monotonic() - start, flush=True)
sys.stdin.readline()
"""
    with running(program) as (process, _line):

        def work():
            with Stopped(process.pid) as stopped:
                results = [stopped.call(lambda _before: (SYS_GETPID,))[0] for _turn in range(3)]
            return {"results": results}, []

        time.sleep(0.3)
        assert in_child(work)[0] == {"results": [process.pid] * 3}
        assert float(process.stdout.readline()) >= 1


def call_for_ever(pid):
    while True:
        in_it(pid, lambda _before: (SYS_GETPID,))


def test_a_process_that_is_killed_meanwhile_is_gone():
    for turn in range(10):
        with Victim(still=False) as victim:
            killer = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.00{turn}; kill -9 {victim.pid}"])
            with pytest.raises(RemoteError):
                call_for_ever(victim.pid)
            assert killer.wait() == 0


def test_a_failure_between_two_calls_restores_the_thread(victim):
    def fail(_before):
        raise RemoteError("on purpose")

    with pytest.raises(RemoteError, match="on purpose"):
        in_it(victim.pid, lambda _before: (SYS_GETPID,), fail)
    goes_on(victim)


def test_it_is_tried_again(victim):
    turns = mmap.mmap(-1, 1)

    def work():
        turns[0] += 1
        if turns[0] < 3:
            raise TryAgain("not yet")
        return {"turn": turns[0]}, []

    def never():
        raise TryAgain("never")

    assert in_child(work)[0] == {"turn": 3}
    turns[0] = 0
    with pytest.raises(TryAgain):
        in_child(never)


# -- which tracker ----------------------------------------------------------------------------------


def test_choosing():
    tracker, why = dirty_tracking.choose("uffd", Thawed())
    assert (tracker.name, dirty_tracking.explain(tracker, why)) == ("uffd", "asked for")
    with pytest.raises(PreflightError, match="`uffd` was asked for, but it is made for x"):
        dirty_tracking.check("uffd", {"uffd": "it is made for x, this is y"}, "this host")
    assert dirty_tracking.best({"soft-dirty": "", "uffd": ""})[0] == "soft-dirty"
    assert dirty_tracking.best({"soft-dirty": "the kernel does not", "uffd": ""})[0] == "uffd"
    name, why = dirty_tracking.best({"soft-dirty": "the kernel does not", "uffd": "it is made for x"})
    assert name == "compare"
    assert "it is made for x" in why
