# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What processes hold: real processes with real kernel objects, and what the table of kinds says of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel.keyrings import session_keys
from ansible_collections.mec.migration.plugins.module_utils.kernel.processes import program_bits
from ansible_collections.mec.migration.plugins.module_utils.service import executed as executed_module
from ansible_collections.mec.migration.plugins.module_utils.service import kinds_processes
from ansible_collections.mec.migration.plugins.module_utils.service.holdings import read_holdings
from ansible_collections.mec.migration.plugins.module_utils.service.inventory import KINDS, causes_now, judge
from ansible_collections.mec.migration.plugins.module_utils.service.kinds import REFUSED, SAID

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces, raw sockets")

# What every program below may use. `keep` holds what must not be collected.
PRELUDE = r"""
import ctypes, os, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
keep = []


def made(what):
    # Else the kernel does not give it: the test is skipped with these words.
    if what < 0:
        print("not given:", os.strerror(ctypes.get_errno()), flush=True)
        sys.exit()
    return what


def unshare_mounts(others=0):
    made(libc.unshare(0x20000 | others))
    # What was open before is on mounts of the host.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 2)
    os.close(null)


def ready():
    os.write(1, b"ready\n")
    time.sleep(600)


def child(what=lambda: None):
    # The number of a fork that has done that, and now waits to be killed.
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        what()
        os.write(writer, b"x")
        os.close(writer)
        os.close(reader)
        time.sleep(600)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    return pid

"""


class Victim:
    """Processes that hold something, in a session of their own, until the ``with`` block ends."""

    def __init__(self, program):
        self._process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + program + "\nready()\n"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid
        line = self._process.stdout.readline().strip()
        if line != "ready":
            self.__exit__()
            if line.startswith("not given"):
                pytest.skip(line)
            raise AssertionError(f"the program ended: {line}")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for pid in reversed(self.pids()):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        self._process.wait()
        self._process.stdout.close()

    def pids(self):
        found = []
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and os.getsid(int(name)) == self.pid:
                    found.append(int(name))
            except ProcessLookupError:
                continue
        return sorted(found)

    def holdings(self):
        return read_holdings(self.pid, self.pids())


def told(program, outcome=REFUSED):
    """What the table says of a container of which *program* is the first process."""
    with Victim(program) as victim:
        holdings = victim.holdings()
    return list(getattr(judge("web", holdings), outcome))


def write(path, value):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until(true):
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.01)


def only(sentences, *words):
    """There is one sentence, with process, thing and remedy, and it has all these words."""
    assert len(sentences) == 1, sentences
    sentence = sentences[0]
    assert re.match(r"process \d+ \(.+?\).* of container web ", sentence)
    for word in words:
        assert word in sentence
    return sentence


PLAIN = """
import select, tempfile
files = [open("/etc/passwd"), open("/dev/null"), open("/dev/urandom", "rb"), tempfile.TemporaryFile()]
keep += [*files, os.pipe(), socket.socketpair(), socket.create_server(("127.0.0.1", 0)), select.epoll()]
keep += [socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET6)]
keep += [os.memfd_create("m"), os.pidfd_open(os.getpid())]
keep += [made(libc.eventfd(0, 0)), made(libc.timerfd_create(1, 0)), made(libc.inotify_init())]
keep += [socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)]
listener = socket.socket(socket.AF_UNIX); listener.bind("\\0" + str(os.getpid())); listener.listen()
client = socket.socket(socket.AF_UNIX); client.connect(listener.getsockname()); accepted = listener.accept()
waiting = socket.socket(socket.AF_UNIX); waiting.connect(listener.getsockname())
def forks():
    child()
    dead = os.fork()
    if dead == 0:
        os.kill(os.getpid(), 9)
    # Until it is dead, and it stays a zombie.
    os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
child(forks)
keep.append(libc.mmap(None, 1 << 30, 3, 0x22 | 0x4000, -1, 0))
"""


def test_of_what_moves_nothing_is_said():
    with Victim(PLAIN) as victim:
        holdings = victim.holdings()
    assert len(holdings.processes) >= 3
    inventory = judge("web", holdings)
    assert inventory.refused == ()
    assert inventory.said == ()


def test_secret_memory():
    only(told("keep.append(made(libc.syscall(447, 0)))"), "memfd_secret", "secretmem.enable=0")


@needs_root
def test_keys_of_the_containers_session():
    program = """
made(libc.syscall(250, 1, b"_ses.{name}"))
{more}
"""
    key = "made(libc.syscall(248, b'user', b'a', b'x', ctypes.c_size_t(1), -3))\n"
    other = "made(libc.syscall(248, b'user', b'b', b'x', ctypes.c_size_t(1), -3))\n"
    for more, words in (("", []), (key, ["1 key in"]), (key + other, ["2 keys in"])):
        # Of its own: the kernel removes a session's keyring some time after its last process has ended.
        name = uuid.uuid4().hex
        with Victim(program.format(name=name, more=more)) as victim:
            count = session_keys(name)
            assert session_keys(name[:-1]) == 0
            holdings = victim.holdings()._replace(session_keys=count)
        said = judge("web", holdings).said
        assert len(said) == len(words)
        assert all(f"container web has {word} its session keyring" in said[0] for word in words)


def test_a_traced_process():
    program = "made(libc.ptrace(0x4206, child(), 0, 0))"
    sentence = only(told(program), "is traced by process", "let it detach")
    assert "outside" not in sentence


def test_a_thread_that_is_traced():
    program = """
import threading
pid = child(lambda: threading.Thread(target=time.sleep, args=(600,)).start())
thread = max(map(int, os.listdir(f"/proc/{pid}/task")))
made(libc.ptrace(0x4206, thread, 0, 0))
"""
    only(told(program), "is traced by process")


def test_a_user_namespace_of_its_own():
    only(told("child(lambda: made(libc.unshare(0x10000000)))"), "user namespace of its own", "--no-sandbox")


@needs_root
@pytest.mark.parametrize(
    ("flag", "called"),
    [
        (0x20000000, "PID"),
        (0x08000000, "IPC"),
        (0x04000000, "UTS"),
        (0x40000000, "network"),
        (0x20000, "mount"),
    ],
)
def test_a_nested_namespace(flag, called):
    found = told(f"child(lambda: (made(libc.unshare({flag})), os.fork()))")
    assert any(f"is in a {called} namespace of its own" in sentence for sentence in found), found


def test_a_stopped_process_below_a_stopped_one():
    program = """
upper = os.fork()
if upper == 0:
    lower = os.fork()
    if lower == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
    os.waitpid(lower, os.WUNTRACED)
    os.kill(os.getpid(), signal.SIGSTOP)
os.waitpid(upper, os.WUNTRACED)
"""
    with Victim(program) as victim:
        holdings = victim.holdings()
    assert sorted(process.state for process in holdings.processes.values())[1:] == ["T", "T"]
    refused = judge("web", holdings._replace(cgroup_version=1)).refused
    only(list(refused), "is stopped, and so is its parent, process", "kill -CONT")
    assert judge("web", holdings._replace(cgroup_version=2)).refused == ()


VFORKED = """
# The child waits for who writes to the pipe before it executes its program.
opened = [(os.POSIX_SPAWN_OPEN, 5, {fifo!r}, os.O_RDONLY, 0)]
parent = os.fork()
if parent == 0:
    os.posix_spawn("/bin/sleep", ["sleep", "600"], {{}}, file_actions=opened)
    time.sleep(600)
while not open(f"/proc/{{parent}}/task/{{parent}}/children").read():
    time.sleep(0.01)
"""
CLONED = """
libc.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
stack = libc.mmap(None, 1 << 16, 3, 0x2 | 0x20, -1, 0)
pause = ctypes.cast(libc.pause, ctypes.c_void_p)
made(libc.clone(pause, stack + (1 << 16) - 64, {flag:#x} | signal.SIGCHLD, None))
"""
CLONE_VM, CLONE_FS, CLONE_FILES = 0x100, 0x200, 0x400


def test_a_process_with_its_parents_memory(tmp_path):
    only(told(CLONED.format(flag=CLONE_VM | CLONE_FS)), "the memory of its parent", "CLONE_VM", "thread")
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    with Victim(VFORKED.format(fifo=fifo)) as victim:
        only(list(judge("web", victim.holdings()).refused), "the memory of its parent", "vfork")
        with open(fifo, "wb"):
            wait_until(lambda: not victim.holdings().sharing_memory)
        assert judge("web", victim.holdings()).refused == ()


def test_a_process_whose_first_thread_has_ended():
    program = """
import threading
ended = os.fork()
if ended == 0:
    threading.Thread(target=time.sleep, args=(600,)).start()
    libc.syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
while " Z " not in open(f"/proc/{ended}/stat").read():
    time.sleep(0.01)
"""
    only(told(program), "its first thread has ended", "pthread_join")


def test_a_controlling_terminal():
    program = """
import pty
leader, master = pty.fork()
if leader == 0:
    {below}
    os.write(1, b"x")
    time.sleep(600)
os.read(master, 1)
"""
    for below, said in (("child()", 1), ("pass", 0)):
        with Victim(program.format(below=below)) as victim:
            # In a session of their own, so nobody else ends them.
            (leader,) = children(victim.pid)
            there = [leader, *children(leader)]
            found = judge("web", read_holdings(victim.pid, [victim.pid, *there])).said
            for pid in there:
                os.kill(pid, 9)
        assert len(found) == said
        if said:
            only(list(found), "controlling terminal", "/dev/tty")


def test_an_open_terminal_by_name():
    program = """
import pty
leader, master = pty.fork()
if leader == 0:
    {opened}
    os.write(1, b"x")
    time.sleep(600)
os.read(master, 1)
"""
    for opened, refused in (("os.open('/dev/tty', os.O_RDWR)", 1), ("pass", 0)):
        with Victim(program.format(opened=opened)) as victim:
            (leader,) = children(victim.pid)
            holdings = read_holdings(victim.pid, [victim.pid, leader])
            os.kill(leader, 9)
        found = judge("web", holdings).refused
        assert len(found) == refused
        if refused:
            only(list(found), "has /dev/tty open", "job control")


def test_a_terminal_whose_other_end_is_outside():
    program = "master, slave = os.openpty()\n"
    assert told(program) == []
    assert told(program + "os.close(slave)") == []
    # Hung up, as nobody has the other end.
    assert told(program + "os.close(master)") == []
    # In another session, a process is none of the container's here; it ends with its parent.
    program += "child(lambda: (os.setsid(), libc.prctl(1, 9))); os.close(master)"
    only(told(program), "has the terminal /dev/pts/", "whose other end is outside", "`-t`")


def test_a_process_with_its_parents_directory():
    only(told(CLONED.format(flag=CLONE_FS)), "the working directory", "CLONE_FS", "fork")
    # Descriptors may be shared.
    assert told(CLONED.format(flag=CLONE_FILES)) == []


@pytest.mark.parametrize(("first", "notify"), [(True, 4), (False, 4), (True, 0)])
def test_a_timer_that_signals_the_first_thread(first, notify):
    program = f"""
import struct, threading
number = {{"x86_64": 222, "aarch64": 107}}[os.uname().machine]


def arm():
    # struct sigevent: value, signal, notify (SIGEV_THREAD_ID is 4), thread
    event = struct.pack("@Piii", 7, 45, {notify}, threading.get_native_id()).ljust(64, b"\\0")
    made(libc.syscall(number, 1, event, ctypes.byref(ctypes.c_int())))
    armed.set()
    time.sleep(0 if {first} else 600)


armed = threading.Event()
if {first}:
    arm()
else:
    threading.Thread(target=arm, daemon=True).start()
armed.wait()
"""
    found = told(program)
    if first and notify:
        only(found, "signals its first thread", "profile")
    else:
        assert found == []


@needs_root
def test_real_time_priority():
    program = """
import threading
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
for task in os.listdir("/proc/self/task"):
    if int(task) != os.getpid():
        try:
            os.sched_setscheduler(int(task), os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(3))
        except PermissionError:
            made(-1)
"""
    only(told(program, SAID), "real-time priority", "CRIU sets policy and priority again")
    assert told(program) == []


@needs_root
def test_deadlines():
    program = """
import struct
# struct sched_attr: 10 ms of each 100 ms.
attributes = struct.pack("=IIQiIQQQ", 48, 6, 0, 0, 0, 10**7, 10**8, 10**8)
number = {"x86_64": 314, "aarch64": 274}[os.uname().machine]
made(libc.syscall(number, 0, attributes, 0))
"""
    only(told(program), "SCHED_DEADLINE")


def test_a_32_bit_program_on_arm64(monkeypatch):
    assert told("") == []
    monkeypatch.setattr(kinds_processes, "program_bits", lambda _pid: 32)
    monkeypatch.setattr(kinds_processes.platform, "machine", lambda: "x86_64")
    assert told("") == []
    monkeypatch.setattr(kinds_processes.platform, "machine", lambda: "aarch64")
    only(told(""), "is a 32-bit program on a 64-bit kernel", "linux/arm64")
    monkeypatch.setattr(kinds_processes, "program_bits", lambda _pid: 64)
    assert told("") == []


def test_the_bits_of_a_program():
    assert program_bits(os.getpid()) == 64
    assert program_bits(1 << 30) == 0


def test_a_program_that_lies_in_memory_only():
    program = """
program = os.memfd_create("program") if {memory} else os.open(sys.executable, os.O_RDONLY)
if {memory}:
    os.sendfile(program, os.open(sys.executable, os.O_RDONLY), 0, os.stat(sys.executable).st_size)
child = os.fork()
if child == 0:
    os.execve(program, ["python", "-c", "import time; time.sleep(600)"], os.environ)
while not os.readlink("/proc/%d/exe" % child).startswith("/memfd:") and {memory}:
    time.sleep(0.05)
"""
    only(told(program.format(memory=True)), "in memory only", "Start it from a file")
    assert told(program.format(memory=False)) == []


def test_huge_pages():
    with open("/proc/sys/vm/nr_hugepages", encoding="ascii") as pages:
        if int(pages.read()) == 0:
            pytest.skip("this machine has no huge pages")
    program = "at = libc.mmap(None, 2 << 20, 3, 0x2 | 0x20 | 0x40000, -1, 0); ctypes.memset(at, 1, 1)"
    only(told(program), "huge pages", "transparent")


def test_a_file_of_huge_pages_of_which_nothing_was_used():
    only(told('made(libc.memfd_create(b"held", 4))'), "huge pages", "descriptor", "transparent")


def test_a_process_that_exec_started(monkeypatch):
    """One whose parent is not in the container, as that of `docker exec`."""
    with Victim("") as victim, Victim("") as stranger:
        holdings = read_holdings(victim.pid, [victim.pid, stranger.pid])
        # So young, it may be a health check.
        assert judge("web", holdings).said == ()
        monkeypatch.setattr(executed_module, "HEALTH_CHECK_S", -1)
        found = judge("web", holdings)
    assert found.refused == ()
    only(list(found.said), "docker exec", "does not move", f"process {stranger.pid} ")


def test_a_debugger_that_exec_started():
    """CRIU stops what is traced there, too, although it does not dump it."""
    with Victim("") as victim, Victim("made(libc.ptrace(0x4206, child(), 0, 0))") as debugger:
        holdings = read_holdings(victim.pid, [victim.pid, *debugger.pids()])
    sentence = only(list(judge("web", holdings).refused), "is traced by process", "let it detach")
    assert "outside" not in sentence


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


def test_many_processes_of_one_kind_are_one_sentence():
    program = """
fd = made(libc.syscall(425, 8, ctypes.create_string_buffer(120)))
for _ in range(4):
    child()
"""
    only(told(program), "and 4 more of container web")


def test_what_has_appeared_since_the_preflight_is_told_after_a_dump_that_failed():
    ring = "keep.append(made(libc.syscall(425, 8, ctypes.create_string_buffer(120))))"
    # As the tracker of written pages leaves it in a process.
    tracked = "keep.append(made(libc.syscall({'x86_64': 323}.get(os.uname().machine, 282), 1)))"
    for program, words in ((ring, ["Since the preflight: process", "io_uring"]), (tracked, []), ("", [])):
        with Victim(program) as victim:
            service = SimpleNamespace(
                name="web",
                id="0123456789abcdef",
                runc=SimpleNamespace(pid=victim.pid, config={"rootfs": "/"}),
                cgroup=SimpleNamespace(pids=victim.pids),
                staying_mounts=list,
                inspected={"Config": {"Labels": None}},
            )
            told_now = causes_now(service)
        assert bool(told_now) is bool(words)
        for word in words:
            assert word in told_now
    # Nothing that goes wrong in it may hide why the dump failed.
    assert causes_now(SimpleNamespace(name="web")) == ""


def test_it_is_quick():
    """200 processes, 5,000 open files; processor time, since others may be busy here, too."""
    program = """
def open_some():
    keep.extend([open("/etc/passwd") for _ in range(15)] + [socket.socketpair() for _ in range(5)])
for _ in range(199):
    child(open_some)
open_some()
"""
    with Victim(program) as victim:
        pids = victim.pids()
        times = []
        for _turn in range(3):
            start = time.process_time()
            holdings = read_holdings(victim.pid, pids)
            judge("web", holdings)
            times.append(time.process_time() - start)
    assert sum(len(process.files) for process in holdings.processes.values()) >= 5000
    assert min(times) < 20  # under half a second on a quiet machine


def test_every_kind_has_a_name_of_its_own_and_says_what_to_do():
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        assert kind.title
        if kind.find is not None:
            assert kind.outcome in (REFUSED, SAID)
            assert kind.recognised
            assert kind.reason
            assert kind.remedy
