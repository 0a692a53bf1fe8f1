"""Programs that do to their memory what services do, and know what must be in it.

``workload.py NAME SEED`` says ``ready`` once it runs, goes on until its input ends, then looks at
everything it has and says ``right``, or what is wrong.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = libc.sbrk.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
libc.madvise.argtypes = libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.sbrk.argtypes = [ctypes.c_long]
ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
NONE, READ, READ_WRITE = 0, mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE
MAY_MOVE, FIXED_PLACE, DONT_UNMAP = 1, 2, 4
DONTNEED, FREE, HUGEPAGE = 4, 8, 14
FAILED = ctypes.c_void_p(-1).value
# futex; ptrace, process_vm_readv, process_vm_writev, userfaultfd
FUTEX, *TRACING = {"x86_64": (202, 101, 310, 311, 323), "aarch64": (98, 117, 270, 271, 282)}[
    os.uname().machine
]
# Calls that may end with EINTR on arm64, where the tracker cannot begin each of them anew (docs/trackers.md).
GIVEN_UP = {"x86_64": (), "aarch64": ("recv", "accept", "epoll_wait", "semtimedop", "sigtimedwait")}[
    os.uname().machine
]


class Wrong(Exception):
    """Memory holds, or a call said, what it must not."""


def check(right: bool, what: str) -> None:
    if not right:
        raise Wrong(what)


def succeed(result: int, what: str) -> int:
    check(result not in (-1, FAILED), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def new_pages(count: int) -> int:
    return succeed(libc.mmap(None, count * PAGE, READ_WRITE, ANONYMOUS, -1, 0), "mmap")


class Model:
    """Memory of which each page's number is known; a number fills the page from end to end."""

    def __init__(self, choice: random.Random) -> None:
        self.choice = choice
        # Address of a mapping -> what its pages hold (0: zeros).
        self.mappings: dict[int, list[int]] = {}
        self.unreadable: set[int] = set()

    def add(self, count: int) -> int:
        start = new_pages(count)
        self.mappings[start] = [0] * count
        return start

    def pick(self) -> tuple[int, list[int], int]:
        start = self.choice.choice(list(self.mappings))
        pages = self.mappings[start]
        return start, pages, self.choice.randrange(len(pages))

    def write(self) -> None:
        start, pages, at = self.pick()
        if start in self.unreadable:
            return
        for page in range(at, min(len(pages), at + self.choice.randint(1, 6))):
            pages[page] = self.choice.randrange(1, 1 << 62)
            ctypes.memmove(start + page * PAGE, struct.pack("=Q", pages[page]) * (PAGE // 8), PAGE)

    def write_one_byte(self) -> None:
        start, pages, at = self.pick()
        if start not in self.unreadable and pages[at] == 0:
            ctypes.memset(start + at * PAGE, 0, 1)

    def drop(self, advice: int = DONTNEED) -> None:
        start, pages, at = self.pick()
        if advice == FREE and start in self.unreadable:
            return
        count = min(len(pages) - at, self.choice.randint(1, 8))
        succeed(libc.madvise(start + at * PAGE, count * PAGE, advice), "madvise")
        for page in range(at, at + count):
            pages[page] = 0
            if advice == FREE:
                # Until it is written what it holds is open.
                ctypes.memset(start + page * PAGE, 0, PAGE)

    def free(self) -> None:
        self.drop(FREE)

    def unmap(self) -> None:
        if len(self.mappings) > 6:
            start, pages, _at = self.pick()
            succeed(libc.munmap(start, len(pages) * PAGE), "munmap")
            del self.mappings[start]
            self.unreadable.discard(start)

    def map(self) -> None:
        if len(self.mappings) < 40:
            self.add(self.choice.choice([1, 3, 16, 80, 400]))

    def remap(self) -> None:
        start, pages, _at = self.pick()
        count = max(1, len(pages) + self.choice.choice([-3, 0, 5, 40]))
        flags, place = MAY_MOVE, None
        if self.choice.random() < 0.5:
            # Moved for certain, onto a place of its own.
            place = new_pages(count)
            flags |= FIXED_PLACE
        moved = succeed(libc.mremap(start, len(pages) * PAGE, count * PAGE, flags, place), "mremap")
        del self.mappings[start]
        self.mappings[moved] = (pages + [0] * count)[:count]
        if start in self.unreadable:
            self.unreadable.remove(start)
            self.unreadable.add(moved)

    def leave_behind(self) -> None:
        """Pages move away, the mapping stays and is empty."""
        if len(self.mappings) > 40:
            return
        start, pages, _at = self.pick()
        if start not in self.unreadable:
            moved = libc.mremap(start, len(pages) * PAGE, len(pages) * PAGE, MAY_MOVE | DONT_UNMAP, None)
            self.mappings[succeed(moved, "mremap")] = pages
            self.mappings[start] = [0] * len(pages)

    def protect(self) -> None:
        start, pages, _at = self.pick()
        if start in self.unreadable:
            self.unreadable.remove(start)
            succeed(libc.mprotect(start, len(pages) * PAGE, READ_WRITE), "mprotect")
        elif len(self.unreadable) < 5:
            self.unreadable.add(start)
            succeed(libc.mprotect(start, len(pages) * PAGE, self.choice.choice([NONE, READ])), "mprotect")

    def look(self, start: int) -> None:
        pages = self.mappings[start]
        if start in self.unreadable:
            succeed(libc.mprotect(start, len(pages) * PAGE, READ_WRITE), "mprotect")
            self.unreadable.remove(start)
        for page, number in enumerate(pages):
            found = ctypes.string_at(start + page * PAGE, PAGE)
            check(found == struct.pack("=Q", number) * (PAGE // 8), f"page {page} of {start:#x}")

    def look_at_one(self) -> None:
        self.look(self.pick()[0])

    def look_at_all(self) -> None:
        for start in list(self.mappings):
            self.look(start)

    def step(self, operations: list[Callable[[], None]]) -> None:
        self.choice.choice(operations)()


class Mappings:
    """mmap, munmap, mremap, madvise, mprotect: everything that changes what is mapped."""

    def __init__(self, choice: random.Random) -> None:
        self.model = Model(choice)
        for _ in range(20):
            self.model.map()
        m = self.model
        self.operations = [m.write] * 8 + [m.drop, m.free, m.unmap, m.map, m.remap, m.leave_behind]
        self.operations += [m.protect, m.look_at_one, m.write_one_byte]

    def step(self) -> None:
        self.model.step(self.operations)

    def finish(self) -> None:
        self.model.look_at_all()


class HugePages(Mappings):
    """Transparent huge pages that are written, and dropped in parts."""

    def __init__(self, choice: random.Random) -> None:
        self.model = Model(choice)
        for _ in range(3):
            # Aligned ones: each fault fills 2 MiB.
            start = self.model.add(2048)
            succeed(libc.madvise(start, 2048 * PAGE, HUGEPAGE), "madvise")
        m = self.model
        for _ in range(30):
            m.write()
        self.operations = [m.write] * 9 + [m.drop]


class Threads:
    """Threads that write pages of their own and pages next to each other."""

    def __init__(self, choice: random.Random) -> None:
        self.end = threading.Event()
        self.failures: list[str] = []
        self.models = [Model(random.Random(choice.random())) for _ in range(6)]
        self.threads = [threading.Thread(target=self._run, args=(model,)) for model in self.models]
        for thread in self.threads:
            thread.start()

    def _run(self, model: Model) -> None:
        try:
            model.add(200)
            while not self.end.is_set():
                model.step([model.write] * 9 + [model.look_at_one])
                if model.choice.random() < 0.02:
                    time.sleep(0.001)
        except Wrong as error:
            self.failures.append(str(error))

    def step(self) -> None:
        # Threads come and go as well.
        thread = threading.Thread(target=lambda: ctypes.create_string_buffer(1 << 16))
        thread.start()
        thread.join()
        time.sleep(0.002)

    def finish(self) -> None:
        self.end.set()
        for thread in self.threads:
            thread.join()
        for model in self.models:
            model.look_at_all()
        check(not self.failures, "; ".join(self.failures))


class Forks(Mappings):
    """Children that write memory they share with their parent until they write it; some live for long."""

    def __init__(self, choice: random.Random) -> None:
        self.model = Model(choice)
        for _ in range(4):
            self.model.add(150)
        self.operations = [self.model.write]
        self.children: list[int] = []

    def step(self) -> None:
        for _ in range(20):
            self.model.write()
        if len(self.children) < 4:
            pid = os.fork()
            if pid == 0:
                self._child()
            self.children.append(pid)
        else:
            self._wait(self.children.pop(0))

    def _child(self) -> None:
        code = 1
        try:
            self.model.choice.seed(os.getpid())
            for _ in range(self.model.choice.choice([5, 200])):
                self.model.write()
                time.sleep(0.001)
            self.model.look_at_all()
            code = 0
        finally:
            os._exit(code)

    @staticmethod
    def _wait(pid: int) -> None:
        check(os.waitpid(pid, 0)[1] == 0, "a child found wrong pages")

    def finish(self) -> None:
        for pid in self.children:
            self._wait(pid)
        super().finish()


class Programs:
    """Other programs are started (vfork and exec), and exec replaces a child's memory."""

    CHILD = "import sys; data = [bytes([n % 251]) * 5000 for n in range(200)]; print(sum(map(len, data)))"

    def __init__(self, choice: random.Random) -> None:
        self.model = Model(choice)
        self.model.add(300)
        again = [sys.executable, "-I", "-S", __file__, "again", str(choice.randrange(1 << 30))]
        self.long = subprocess.Popen(again, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def step(self) -> None:
        for _ in range(10):
            self.model.write()
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", self.CHILD], capture_output=True, check=False
        )
        check((done.returncode, done.stdout) == (0, b"1000000\n"), f"a program failed: {done}")

    def finish(self) -> None:
        assert self.long.stdin is not None
        self.long.stdin.close()
        check(self.long.wait(20) == 0, "the program that replaces itself failed")
        self.model.look_at_all()


class Again(Mappings):
    """Replaces itself by exec from time to time."""

    def __init__(self, choice: random.Random) -> None:
        super().__init__(choice)
        self.end = time.monotonic() + 0.3

    def step(self) -> None:
        super().step()
        if time.monotonic() > self.end:
            self.model.look_at_all()
            seed = str(self.model.choice.randrange(1 << 30))
            os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, "again", seed, "on"])


class Heap:
    """brk, malloc, the interpreter's own objects, a stack that grows and shrinks."""

    def __init__(self, choice: random.Random) -> None:
        self.choice = choice
        self.kept: list[tuple[int, ctypes.Array[ctypes.c_char]]] = []
        self.deep = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long)(self._deep)

    def _deep(self, left: int) -> int:
        filled = ctypes.create_string_buffer(bytes([left % 251]) * 200)
        below = int(self.deep(left - 1)) if left else 0
        check(filled.raw[:200] == bytes([left % 251]) * 200, "a frame was lost")
        return below + 1

    def step(self) -> None:
        what = self.choice.random()
        if what < 0.5:
            number = self.choice.randrange(1, 250)
            size = self.choice.choice([50, 5000, 200_000, 900_000])
            self.kept.append((number, ctypes.create_string_buffer(bytes([number]) * size)))
            if len(self.kept) > 60:
                number, held = self.kept.pop(self.choice.randrange(len(self.kept)))
                check(held.raw[:-1] == bytes([number]) * (len(held) - 1), "a block of the heap")
        elif what < 0.6:
            depth = self.choice.randrange(100, 700)
            check(self.deep(depth) == depth + 1, "depth of the stack")
        elif what < 0.7:
            # Grown and given back, as malloc does it; nobody else may be in between.
            top = succeed(libc.sbrk(0), "sbrk")
            succeed(libc.sbrk(64 * PAGE), "sbrk")
            ctypes.memset(top, 7, 64 * PAGE)
            if libc.sbrk(0) == top + 64 * PAGE:
                succeed(libc.sbrk(-64 * PAGE), "sbrk")

    def finish(self) -> None:
        for number, held in self.kept:
            check(held.raw[:-1] == bytes([number]) * (len(held) - 1), "a block of the heap")


class Filtered(Threads):
    """The same under a seccomp filter that kills at the first system call of a tracker."""

    FORBIDDEN = (*TRACING, 434, 438)  # ptrace, process_vm_*, userfaultfd, pidfd_*

    def __init__(self, choice: random.Random) -> None:
        kill, allow = 0x80000000, 0x7FFF0000
        code = struct.pack("=HBBI", 0x20, 0, 0, 0)
        for number in self.FORBIDDEN:
            code += struct.pack("=HBBI", 0x15, 0, 1, number) + struct.pack("=HBBI", 0x06, 0, 0, kill)
        code += struct.pack("=HBBI", 0x06, 0, 0, allow)
        body = ctypes.create_string_buffer(code, len(code))
        program = struct.pack("=HxxxxxxQ", len(code) // 8, ctypes.addressof(body))
        succeed(libc.prctl(38, 1, 0, 0, 0), "no_new_privs")
        succeed(libc.prctl(22, 2, ctypes.c_char_p(program)), "seccomp")
        super().__init__(choice)


class Waits:
    """Threads that wait in every kind of call; none may end early, or with an error that is not its own."""

    SECONDS = 0.15

    def __init__(self, choice: random.Random) -> None:
        self.end = threading.Event()
        self.failures: list[str] = []
        self.counts: dict[str, int] = {}
        near, self.far = socket.socketpair()
        self.fd = near.fileno()
        near.setsockopt(
            socket.SOL_SOCKET,
            socket.SO_RCVTIMEO,
            struct.pack("=qq", 0, int(self.SECONDS * 1e6)),
        )
        self.near = near
        self.epoll = select.epoll()
        self.epoll.register(self.fd, select.EPOLLIN)
        self.word = ctypes.c_int(5)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("=qq", 0, int(self.SECONDS * 1e6))
        )
        self.semaphore = succeed(libc.semget(0, 1, 0o1600), "semget")
        reader, writer = os.pipe()
        self.pipe = reader, writer
        self.sent = 0
        calls = {
            "nanosleep": (self._nanosleep, 0),
            "clock_nanosleep": (self._until, 0),
            "futex": (self._futex, errno.ETIMEDOUT),
            "poll": (self._poll, 0),
            "select": (self._select, 0),
            "epoll_wait": (self._epoll_wait, 0),
            "recv": (self._recv, errno.EAGAIN),
            "accept": (self._accept, errno.EAGAIN),
            "semtimedop": (self._semtimedop, errno.EAGAIN),
            "sigtimedwait": (self._sigtimedwait, errno.EAGAIN),
            "running": (self._running, 0),
        }
        self.threads = [threading.Thread(target=self._run, args=(k, *v)) for k, v in calls.items()]
        self.threads.append(threading.Thread(target=self._read_pipe))
        for thread in self.threads:
            thread.start()

    @staticmethod
    def _time(seconds: float) -> ctypes.Array[ctypes.c_long]:
        return (ctypes.c_long * 2)(int(seconds), int(seconds % 1 * 1e9))

    def _nanosleep(self) -> int:
        left = (ctypes.c_long * 2)()
        return int(libc.nanosleep(self._time(self.SECONDS), left))

    def _until(self) -> int:
        at = time.clock_gettime(time.CLOCK_MONOTONIC) + self.SECONDS
        return -int(libc.clock_nanosleep(1, 1, self._time(at), None))

    def _futex(self) -> int:
        return int(libc.syscall(FUTEX, ctypes.byref(self.word), 128, 5, self._time(self.SECONDS), None, 0))

    def _poll(self) -> int:
        wanted = ctypes.create_string_buffer(struct.pack("=ihh", self.fd, 1, 0))
        return int(libc.poll(wanted, 1, int(self.SECONDS * 1000)))

    def _select(self) -> int:
        sets = (ctypes.c_long * 16)()
        sets[self.fd // 64] = 1 << self.fd % 64
        limit = (ctypes.c_long * 2)(0, int(self.SECONDS * 1e6))
        return int(libc.select(self.fd + 1, sets, None, None, limit))

    def _epoll_wait(self) -> int:
        events = ctypes.create_string_buffer(64)
        return int(libc.epoll_wait(self.epoll.fileno(), events, 4, int(self.SECONDS * 1000)))

    def _recv(self) -> int:
        return int(libc.recv(self.fd, ctypes.create_string_buffer(16), 16, 0))

    def _accept(self) -> int:
        return int(libc.accept(self.listener.fileno(), None, None))

    def _semtimedop(self) -> int:
        operation = ctypes.create_string_buffer(struct.pack("=Hhh", 0, -1, 0))
        return int(libc.semtimedop(self.semaphore, operation, 1, self._time(self.SECONDS)))

    def _sigtimedwait(self) -> int:
        usr1 = (ctypes.c_ulong * 16)(1 << signal.SIGUSR1 - 1)
        return int(libc.sigtimedwait(usr1, None, self._time(self.SECONDS)))

    def _running(self) -> int:
        end = time.monotonic() + self.SECONDS
        total = 0
        while time.monotonic() < end:
            total += sum(range(1000)) - 499500
        return total

    def _run(self, name: str, call: Callable[[], int], error: int) -> None:
        while not self.end.is_set():
            ctypes.set_errno(0)
            start = time.monotonic()
            result = call()
            seen = ctypes.get_errno() if result < 0 else 0
            took = time.monotonic() - start
            if seen == errno.EINTR and name in GIVEN_UP:
                continue
            if seen != error or (result != 0) != bool(error) or took < self.SECONDS - 0.01:
                self.failures.append(f"{name}: {result} {errno.errorcode.get(seen, seen)} after {took:.3f} s")
            self.counts[name] = self.counts.get(name, 0) + 1

    def _read_pipe(self) -> None:
        """What is read comes whole, in order."""
        expected = 0
        while True:
            (number,) = struct.unpack("=Q", os.read(self.pipe[0], 8))
            if number == 0:
                return
            expected += 1
            if number != expected:
                self.failures.append(f"read {number} instead of {expected}")
            self.counts["read"] = expected

    def step(self) -> None:
        time.sleep(0.01)
        self.sent += 1
        os.write(self.pipe[1], struct.pack("=Q", self.sent))

    def finish(self) -> None:
        self.end.set()
        os.write(self.pipe[1], bytes(8))
        for thread in self.threads:
            thread.join()
        libc.semctl(self.semaphore, 0, 0)
        check(not self.failures, "; ".join(self.failures[:5]))
        check(len(self.counts) == len(self.threads), f"not all threads ran: {sorted(self.counts)}")


WORKLOADS: dict[str, Callable[[random.Random], Mappings | Threads | Programs | Heap | Waits]] = {
    "mappings": Mappings,
    "huge-pages": HugePages,
    "threads": Threads,
    "forks": Forks,
    "programs": Programs,
    "again": Again,
    "heap": Heap,
    "filtered": Filtered,
    "waits": Waits,
}


def main() -> None:
    sys.setrecursionlimit(10_000)
    # A signal that a test of the waits waits for, and nobody sends.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    workload = WORKLOADS[sys.argv[1]](random.Random(int(sys.argv[2])))
    if len(sys.argv) == 3:
        print("ready", flush=True)
    try:
        while not select.select([0], [], [], 0)[0]:
            workload.step()
        workload.finish()
    except Wrong as error:
        print(f"wrong: {error}", flush=True)
        os._exit(1)
    print("right", flush=True)


if __name__ == "__main__":
    main()
