# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory filled behind the back of a process that reads, forks, moves and drops it meanwhile.

The process stands in for what CRIU restores: it registers its memory and hands the descriptor over as
``criu restore --lazy-pages`` does. Needs userfaultfd, that is root on most machines.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import mmap
import os
import random
import resource
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.kernel.calls import number_of
from ansible_collections.mec.migration.plugins.module_utils.memory import lazy_restore as module
from ansible_collections.mec.migration.plugins.module_utils.memory import space as space_module
from ansible_collections.mec.migration.plugins.module_utils.memory.extents import Extent, Mapped
from ansible_collections.mec.migration.plugins.module_utils.memory.kill_guard import KillGuard
from ansible_collections.mec.migration.plugins.module_utils.memory.late_pages import IDLE_S, LatePages
from ansible_collections.mec.migration.plugins.module_utils.memory.lazy_restore import (
    BUSY_FILL_BYTES,
    RESTORE_FINISHED,
    SOCKET_NAME,
    LazyPages,
)
from ansible_collections.mec.migration.plugins.module_utils.memory.space import (
    FILL_BYTES,
    Space,
    userfaultfd_works,
)

PAGE = mmap.PAGESIZE
PAGES = 600
NUMBER = 7
EVENTS = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 6  # fork, remap, remove, unmap
UFFDIO_API, UFFDIO_REGISTER = 0xC018AA3F, 0xC020AA00
MREMAP_MAYMOVE, MREMAP_FIXED = 1, 2

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.mremap.restype = ctypes.c_void_p
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def anonymous(pages: int) -> int:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    return int(libc.mmap(None, pages * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0))


class Restored:
    """The process: forked from the test, so that both know the address of its memory."""

    def __init__(self, content: bytes, work_dir: Path) -> None:
        self.content = content
        self.work_dir = work_dir
        self.address = anonymous(PAGES)
        # Two mappings: no one call can fill across the border.
        self.border = PAGES // 2
        # Written to once all is filled.
        self.over = os.pipe()
        libc.mprotect(self.address + self.border * PAGE, PAGE * (PAGES - self.border), mmap.PROT_READ)

    def start(self, behaviour: str) -> int:
        pid = os.fork()
        if pid == 0:
            code = 2
            try:
                signal.alarm(300)
                self._register()
                code = 0 if getattr(self, behaviour)() else 1
            finally:
                os._exit(code)
        return pid

    def watch(self) -> int:
        """The descriptor that tells who touches the memory."""
        descriptor = int(libc.syscall(number_of("userfaultfd"), os.O_CLOEXEC | os.O_NONBLOCK))
        fcntl.ioctl(descriptor, UFFDIO_API, bytearray(struct.pack("=QQQ", 0xAA, EVENTS, 0)), True)
        register = bytearray(struct.pack("=QQQQ", self.address, PAGES * PAGE, 1, 0))
        fcntl.ioctl(descriptor, UFFDIO_REGISTER, register, True)
        return descriptor

    def image(self) -> Extent:
        """All its content, in a pages file."""
        path = self.work_dir / "pages-1.img"
        path.write_bytes(self.content)
        self.mapped = Mapped(str(path))
        return Extent(self.address, self.address + PAGES * PAGE, self.mapped.address)

    def space(self) -> Space:
        """Of this very process: nothing is touched before it is filled."""
        return Space(self.watch(), [self.image()])

    def ranges(self, first: int, end: int) -> RangeSet:
        return RangeSet([(self.address + first * PAGE, self.address + end * PAGE)])

    def present(self) -> list[int]:
        """Pages that are in place, seen without a touch."""
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            entries = os.pread(pagemap.fileno(), 8 * PAGES, self.address // PAGE * 8)
        return [number for number in range(PAGES) if entries[8 * number + 7] & 0x80]

    def _register(self) -> None:
        descriptor = self.watch()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(self.work_dir / SOCKET_NAME))
            connection.send(NUMBER.to_bytes(4, "little"))
            rights = array.array("i", [descriptor])
            connection.sendmsg([b"*"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            # A task may touch its memory before the restore is over.
            assert self._page(PAGES - 1) == self._wanted(PAGES - 1)
            connection.send(RESTORE_FINISHED.to_bytes(4, "little"))
        os.close(descriptor)

    def _page(self, number: int, base: int | None = None) -> bytes:
        return ctypes.string_at((base or self.address) + number * PAGE, PAGE)

    def _wanted(self, number: int) -> bytes:
        return self.content[number * PAGE : (number + 1) * PAGE]

    def reads_at_random(self) -> bool:
        order = list(range(PAGES))
        random.Random(1).shuffle(order)
        return all(self._page(number) == self._wanted(number) for number in order)

    def forks(self) -> bool:
        child = os.fork()
        if child == 0:
            os._exit(0 if self.reads_at_random() else 1)
        mine = self.reads_at_random()
        return mine and os.waitpid(child, 0)[1] == 0

    def moves_and_drops(self) -> bool:
        drop = self.address + 10 * PAGE
        libc.madvise(drop, 20 * PAGE, 4)
        # A part of what is moved as one.
        libc.madvise(self.address + 50 * PAGE, 10 * PAGE, 4)
        if self._page(52) != bytes(PAGE):
            return False
        moved = int(libc.mremap(self.address + 40 * PAGE, 100 * PAGE, 100 * PAGE, 3, anonymous(100)))
        libc.munmap(self.address + 200 * PAGE, 5 * PAGE)
        for number in range(PAGES):
            if 10 <= number < 30:
                if self._page(number) != bytes(PAGE):
                    return False
            elif 50 <= number < 60:
                if self._page(number - 40, moved) != bytes(PAGE):
                    return False
            elif 40 <= number < 140:
                if self._page(number - 40, moved) != self._wanted(number):
                    return False
            elif not 200 <= number < 205 and self._page(number) != self._wanted(number):
                return False
        return True

    def forks_when_told(self) -> bool:
        return os.read(self.over[0], 1) == b"x" and self.forks()

    def touches_nothing(self) -> bool:
        return os.read(self.over[0], 1) == b"x"

    def unmaps_what_another_thread_waits_for(self) -> bool:
        _reader, writer = os.pipe()
        waiting = self.address + 300 * PAGE
        # A system call, which is told that it is gone where the process itself would be ended.
        thread = threading.Thread(target=lambda: libc.write(writer, ctypes.c_void_p(waiting), PAGE))
        thread.start()
        time.sleep(0.5)
        libc.munmap(waiting, PAGE)
        thread.join(20)
        return not thread.is_alive()

    def ends_at_once(self) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return False


@pytest.fixture
def restored(tmp_path: Path) -> Restored:
    assert userfaultfd_works(), "this test needs userfaultfd: run it as root on Linux"
    return Restored(os.urandom(PAGES * PAGE), tmp_path)


def serve(restored: Restored, guard: KillGuard) -> LazyPages:
    whole = restored.image()

    def extents(number: int) -> list[Extent]:
        assert number == NUMBER
        return [whole]

    return LazyPages(str(restored.work_dir), extents, guard)


@pytest.fixture
def may_fill(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Until it is set only faults are served, and what changed last."""
    event = threading.Event()
    fill_next = Space.fill_next
    monkeypatch.setattr(Space, "fill_next", lambda self, most: fill_next(self, most) if event.is_set() else 0)
    return event


@pytest.mark.parametrize("filled_late", [False, True])
@pytest.mark.parametrize("behaviour", ["reads_at_random", "forks", "moves_and_drops"])
def test_a_process_finds_its_memory_whatever_it_does(
    restored: Restored, behaviour: str, filled_late: bool, may_fill: threading.Event
) -> None:
    killed = restored.work_dir / "killed"
    lazy = serve(restored, KillGuard(killed.touch))
    if not filled_late:
        may_fill.set()
    pid = restored.start(behaviour)
    if filled_late:
        time.sleep(0.3)
        assert lazy.filled_bytes == 0
        may_fill.set()
    lazy.wait(120)
    assert os.waitpid(pid, 0)[1] == 0
    assert not killed.exists()


@pytest.mark.parametrize("behaviour", ["reads_at_random", "forks", "moves_and_drops"])
def test_it_finds_what_still_has_to_come_from_the_source(
    restored: Restored, behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered = []
    deliver = Space.deliver

    def noted(self: Space, extent: Extent, address: int) -> bool:
        delivered.append(deliver(self, extent, address))
        return delivered[-1]

    monkeypatch.setattr(Space, "deliver", noted)
    killed = restored.work_dir / "killed"
    path = restored.work_dir / "late.img"
    with path.open("wb") as file:
        file.truncate(PAGES * PAGE)
    mapped = Mapped(str(path), filled=False)
    # Of the middle nothing has come.
    whole = Extent(restored.address, restored.address + PAGES * PAGE, mapped.address)
    first, last = restored.address + 20 * PAGE, restored.address + (PAGES - 20) * PAGE
    late = LatePages()
    late.add(NUMBER, [whole.part(first, last)])
    for here in (whole.part(whole.start, first), whole.part(last, whole.end)):
        at = here.start - restored.address
        ctypes.memmove(here.source, restored.content[at : at + here.end - here.start], here.end - here.start)
    lazy = LazyPages(
        str(restored.work_dir), lambda number: [whole], KillGuard(killed.touch), lambda number: [], late
    )
    lazy.begin()
    pid = restored.start(behaviour)
    time.sleep(0.3)
    while not late.complete:
        piece = late._next(deque())
        if piece is None:
            # It has just waited for a page.
            time.sleep(IDLE_S)
            continue
        content = b"".join(
            restored.content[start - restored.address : end - restored.address]
            for start, end, _source in piece.places
        )
        late._take(piece, content)
    lazy.wait(120)
    assert os.waitpid(pid, 0)[1] == 0
    assert late.waited > 0
    # Those of a child, and after a part was moved, come by way of the images.
    assert any(delivered) or behaviour != "reads_at_random"
    assert not killed.exists()


class Late:
    """All of it but its last page, which it touches before the restore is over, has still to come."""

    def __init__(self, restored: Restored) -> None:
        self.restored = restored
        self.killed = restored.work_dir / "killed"
        path = restored.work_dir / "late.img"
        path.write_bytes(bytes((PAGES - 1) * PAGE) + restored.content[-PAGE:])
        self.mapped = Mapped(str(path))
        self.whole = Extent(restored.address, restored.address + PAGES * PAGE, self.mapped.address)
        self.late = LatePages()
        self.late.add(NUMBER, [self.whole.part(self.whole.start, self.whole.end - PAGE)])
        self.lazy = LazyPages(
            str(restored.work_dir),
            lambda number: [self.whole],
            KillGuard(self.killed.touch),
            lambda number: [],
            self.late,
        )
        self.lazy.begin()

    def come(self) -> None:
        while not self.late.complete:
            time.sleep(IDLE_S)
            if piece := self.late._next(deque()):
                pieces = [
                    (start - self.whole.start, end - self.whole.start) for start, end, _at in piece.places
                ]
                self.late._take(piece, b"".join(self.restored.content[start:end] for start, end in pieces))


@pytest.fixture
def late(restored: Restored) -> Late:
    return Late(restored)


def test_whoever_waits_for_a_page_that_is_unmapped_meanwhile_goes_on(late: Late) -> None:
    pid = late.restored.start("unmaps_what_another_thread_waits_for")
    assert os.waitpid(pid, 0)[1] == 0
    late.come()
    late.lazy.wait(120)
    assert not late.killed.exists()


def test_a_process_that_ends_needs_nothing_of_the_source_any_more(late: Late) -> None:
    """However long the source cannot be reached."""
    os.waitpid(late.restored.start("ends_at_once"), 0)
    late.lazy.wait(60)
    assert not late.killed.exists()
    assert late.late.received_bytes == 0


def test_what_comes_late_may_begin_to_come_late(late: Late, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that breaks right after the hand-over is waited for as long as one that breaks later."""
    pid = late.restored.start("reads_at_random")
    monkeypatch.setattr(module, "LATE_PATIENCE_S", 60.0)
    later = threading.Timer(2.5, late.come)
    later.start()
    late.lazy.wait(timeout_s=0.5)
    later.join()
    assert os.waitpid(pid, 0)[1] == 0


def test_a_page_for_which_there_is_no_memory_now_is_filled_later(
    restored: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container is at its limit, and nothing in it may be ended."""
    refused: list[int] = []

    def ioctl(descriptor: int, request: int, argument: bytearray, mutate: bool) -> int:
        filling = request in (space_module.UFFDIO_COPY, space_module.UFFDIO_ZEROPAGE)
        if filling and len(refused) < 9:
            refused.append(request)
            if request == space_module.UFFDIO_COPY:
                struct.pack_into("=q", argument, 32, -errno.ENOMEM)
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return int(fcntl.ioctl(descriptor, request, argument, mutate))

    monkeypatch.setattr(space_module, "fcntl", SimpleNamespace(ioctl=ioctl))
    killed = restored.work_dir / "killed"
    lazy = serve(restored, KillGuard(killed.touch))
    pid = restored.start("reads_at_random")
    lazy.wait(120)
    assert len(refused) == 9
    assert os.waitpid(pid, 0)[1] == 0
    assert not killed.exists()


def test_a_child_that_cannot_be_watched_ends_the_service(
    restored: Restored, may_fill: threading.Event
) -> None:
    killed = restored.work_dir / "killed"
    lazy = serve(restored, KillGuard(killed.touch))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    pid = restored.start("forks_when_told")
    while not lazy._restored:
        time.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        os.write(restored.over[1], b"x")
        with pytest.raises(MigrationError, match="Too many open files"):
            lazy.wait(60)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert killed.exists()


def test_what_will_never_come_ends_the_service(restored: Restored) -> None:
    killed = restored.work_dir / "killed"
    late = LatePages()
    whole = restored.image()
    late.add(NUMBER, [whole])
    lazy = LazyPages(
        str(restored.work_dir), lambda number: [whole], KillGuard(killed.touch), lambda number: [], late
    )
    lazy.begin()
    pid = restored.start("reads_at_random")
    late.fail("the source is gone")
    with pytest.raises(MigrationError, match="the source is gone"):
        lazy.wait(120)
    assert killed.exists()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("forked", [False, True])
def test_what_is_filled_is_given_back_unless_a_child_needs_it_too(forked: bool) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        restored = Restored(os.urandom(PAGES * PAGE), Path(directory))
        space = restored.space()
        if forked:
            space.fork(space.descriptor)
        while not space.done:
            space.fill_next(FILL_BYTES // 8)
        while space.give_back():
            pass
        held_bytes = os.stat(os.path.join(directory, "pages-1.img")).st_blocks * 512
        assert held_bytes == (PAGES * PAGE if forked else 0)
        assert restored.reads_at_random()
        os.close(space.descriptor)


def test_pieces_are_long_only_while_nobody_asks(restored: Restored, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = []
    fill_next = Space.fill_next

    def noted(space: Space, most_bytes: int) -> int:
        pieces.append(most_bytes)
        return fill_next(space, most_bytes)

    monkeypatch.setattr(Space, "fill_next", noted)
    lazy = serve(restored, KillGuard(restored.work_dir.touch))
    pid = restored.start("touches_nothing")
    lazy.wait(120)
    os.write(restored.over[1], b"x")
    assert os.waitpid(pid, 0)[1] == 0
    # Short after CRIU's last word and after the end of its connection, longer each time from there on.
    assert pieces[0] == BUSY_FILL_BYTES
    again = [after for before, after in zip(pieces, pieces[1:]) if after != min(2 * before, FILL_BYTES)]
    assert again in ([], [BUSY_FILL_BYTES])


def test_what_changed_last_is_filled_first(restored: Restored) -> None:
    """And no more of it than the frozen window can bear."""
    space = restored.space()
    last, before = restored.ranges(100, 104), restored.ranges(10, 300)
    assert space.fill_first([last, before], most_bytes=10 * PAGE) == 10 * PAGE
    assert restored.present() == [*range(10, 16), *range(100, 104)]
    while not space.done:
        space.fill_next(FILL_BYTES)
    assert restored.present() == list(range(PAGES))
    assert restored.reads_at_random()
    os.close(space.descriptor)


def test_a_process_that_ends_is_no_failure(restored: Restored) -> None:
    killed = restored.work_dir / "killed"
    lazy = serve(restored, KillGuard(killed.touch))
    pid = restored.start("ends_at_once")
    lazy.wait(120)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert not killed.exists()


def test_the_guard_ends_the_service_when_the_one_who_fills_dies(restored: Restored) -> None:
    killed = restored.work_dir / "killed"
    server = os.fork()
    if server == 0:
        guard = KillGuard(killed.touch)
        guard.hold(sys.stderr.fileno())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(server, 0)
    for _attempt in range(1200):
        if killed.exists():
            break
        signal.sigtimedwait([], 0.05)
    assert killed.exists()


@pytest.mark.parametrize("begun", [False, True])
def test_the_guard_ends_nothing_before_the_restore_begins(restored: Restored, begun: bool) -> None:
    killed = restored.work_dir / "killed"
    reader, writer = os.pipe()
    server = os.fork()
    if server == 0:
        os.close(reader)
        guard = KillGuard(killed.touch)
        if begun:
            guard.begin()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(server, 0)
    os.close(writer)
    # The guard has the pipe open, too, until it has ended.
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert killed.exists() is begun


def test_giving_up_before_the_restore_kills_nothing(restored: Restored) -> None:
    killed = restored.work_dir / "killed"
    guard = KillGuard(killed.touch)
    lazy = serve(restored, guard)
    lazy.close()
    assert lazy.finished.wait(60)
    guard.release()
    assert not killed.exists()
