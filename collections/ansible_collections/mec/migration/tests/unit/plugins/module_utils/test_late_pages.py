# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Post-copy of a real process: what was left on the source comes when it is asked for, and is right."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
import threading
import time
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError, TransferError
from ansible_collections.mec.migration.plugins.module_utils.base.page_ranges import RangeSet
from ansible_collections.mec.migration.plugins.module_utils.base.priority import hurry
from ansible_collections.mec.migration.plugins.module_utils.kernel.process_memory import (
    PAGE_BYTES,
    present_pages,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel.processes import start_time
from ansible_collections.mec.migration.plugins.module_utils.memory import late_pages
from ansible_collections.mec.migration.plugins.module_utils.memory.copy_on_write import Fork, SharedPages
from ansible_collections.mec.migration.plugins.module_utils.memory.extents import Extent
from ansible_collections.mec.migration.plugins.module_utils.memory.source import MemorySource
from ansible_collections.mec.migration.plugins.module_utils.memory.target import MemoryTarget
from ansible_collections.mec.migration.plugins.module_utils.memory.trackers import CompareTracker
from ansible_collections.mec.migration.plugins.module_utils.source import page_server
from ansible_collections.mec.migration.plugins.module_utils.source.page_server import LeftPages, PageServer
from peers import Peer
from victim import Victim

NUMBER = 1


class Named(CompareTracker):
    """Names what a test says, as one that asks the kernel does."""

    looks_at_all = False

    def __init__(self):
        self.written = RangeSet()

    def candidates(self, pids, frozen):
        return dict.fromkeys(pids, self.written), 0.0


class Postcopy:
    """A source whose process keeps still and a target, over real sockets."""

    def __init__(self, directory, victim, tracker=None):
        self.victim = victim
        self.images = os.path.join(directory, "target")
        os.makedirs(os.path.join(directory, "source"))
        os.makedirs(self.images)
        self.target = MemoryTarget(self.images, chain=False)
        self.late = self.target.late
        self.rounds = Peer(self.target.handlers)
        self.source = MemorySource(os.path.join(directory, "source"), tracker or CompareTracker())
        self.connections = []
        self.server = PageServer(self.connect)

    def connect(self):
        # The agent closes a connection that was given up; here an answer may come on it all the same.
        ignored = {"ok": lambda message, channel: None}
        self.connections.append(Peer({**self.target.handlers, **ignored}))
        return self.connections[-1].channel

    def round(self):
        self.source.round(self.rounds.channel, {self.victim.pid: NUMBER})
        self.rounds.channel.answer("memory.round_end")
        self.source.acknowledged()

    def leave(self):
        self.server.start()
        done, left = self.source.leave(self.rounds.channel, {self.victim.pid: NUMBER})
        self.rounds.channel.answer("memory.round_end")
        self.server.serve(
            {NUMBER: LeftPages(self.victim.pid, start_time(self.victim.pid), left[self.victim.pid])}
        )
        return done

    def leave_it_to_the_test(self):
        """What :meth:`offer` gives has nobody behind it who answers."""
        self.source.leave(self.rounds.channel, {self.victim.pid: NUMBER})
        self.rounds.channel.answer("memory.round_end")

    def offer(self):
        self.connect().send("pages.offer")
        return self.connections[-1]

    def extents(self):
        return self.target.extents(NUMBER, present_pages(self.victim.pid))

    def is_right(self, extents):
        return all(
            ctypes.string_at(source, end - start) == self.victim.memory(start, end)
            for start, end, source in extents
        )

    def close(self):
        self.late.close()
        self.server.stop()
        # Its buffers are mapped memory, which other tests would see go.
        assert self.server._channel is None or self.server.wait(60)
        for peer in [self.rounds, *self.connections]:
            peer.close()


@pytest.fixture
def directory():
    path = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else "/run", prefix="mec-test-")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def victim():
    with Victim(600) as process:
        process.do("write", 0, 600, 1)
        yield process


@pytest.fixture
def postcopy(directory, victim):
    made = Postcopy(directory, victim)
    yield made
    made.close()


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_was_left_comes_once_the_service_runs(postcopy, victim):
    postcopy.round()
    victim.do("write", 10, 100, 7)
    victim.do("write", 400, 1, 9)
    done = postcopy.leave()
    assert done.pages_changed >= 101
    assert done.sent_bytes < 4096
    here, late = postcopy.late.split(postcopy.extents())
    assert sum(end - start for start, end, _source in late) == done.changed_bytes
    assert postcopy.is_right(here)
    assert not postcopy.is_right(late)
    assert not postcopy.late.complete
    postcopy.late.begin()
    assert postcopy.server.wait(60)
    assert postcopy.server.error == ""
    assert postcopy.late.complete
    assert postcopy.is_right(late)
    arrived = [extent for _number, extent in postcopy.late.take_arrived()]
    assert RangeSet((start, end) for start, end, _source in arrived) == RangeSet(
        (start, end) for start, end, _source in late
    )


def test_memory_of_which_nothing_was_sent_comes_too(postcopy, victim):
    postcopy.leave()
    here, late = postcopy.late.split(postcopy.extents())
    assert here == []
    assert os.stat(os.path.join(postcopy.images, "1", f"late-{NUMBER}.img")).st_blocks == 0
    postcopy.late.begin()
    assert postcopy.server.wait(60)
    assert postcopy.is_right(late)


def test_before_it_begins_nothing_is_asked_for(postcopy):
    postcopy.leave()
    assert not postcopy.server.wait(0.3)
    assert postcopy.late.received_bytes == 0


def test_what_the_service_waits_for_comes_first(postcopy, monkeypatch):
    asked = []
    monkeypatch.setattr(PageServer, "_read", noting(PageServer._read, asked))
    postcopy.leave()
    _here, late = postcopy.late.split(postcopy.extents())
    first = late[0].start
    # Of what nobody asks for the last comes first.
    postcopy.late.want(NUMBER, [Extent(first, first + PAGE_BYTES, late[0].source)])
    postcopy.late.begin()
    assert postcopy.server.wait(60)
    assert asked[0] == RangeSet([(first, first + PAGE_BYTES)])
    assert postcopy.late.waited == 1
    # And it is asked for once.
    assert sum(pages.size_bytes for pages in asked) == sum(end - start for start, end, _source in late)


def noting(read, asked):
    def noted(self, message):
        content = read(self, message)
        runs = late_pages_of(message)
        asked.append(runs)
        return content

    return noted


def late_pages_of(message):
    return RangeSet((run.start, run.end) for run in page_server.unpack_runs(message.integers("runs")))


def test_a_connection_that_breaks_is_made_anew_and_nothing_is_missed(postcopy, monkeypatch):
    broken = threading.Event()
    read = PageServer._read

    def breaks_once(self, message):
        if postcopy.late.received_bytes and not broken.is_set():
            broken.set()
            self._channel.interrupt()
        return read(self, message)

    monkeypatch.setattr(PageServer, "_read", breaks_once)
    monkeypatch.setattr(page_server, "RETRY_S", 0.01)
    postcopy.leave()
    _here, late = postcopy.late.split(postcopy.extents())
    postcopy.late.begin()
    assert postcopy.server.wait(60)
    assert broken.is_set()
    assert len(postcopy.connections) == 2
    assert postcopy.late.complete
    assert postcopy.is_right(late)


def test_a_target_that_cannot_be_reached_any_more_is_given_up(postcopy, monkeypatch):
    monkeypatch.setattr(page_server, "RETRY_S", 0.01)
    monkeypatch.setattr(page_server, "PATIENCE_S", 0.2)
    postcopy.leave()

    def nobody_there():
        raise TransferError("no route")

    monkeypatch.setattr(postcopy.server, "_connect", nobody_there)
    postcopy.connections[0].channel.interrupt()
    assert postcopy.server.wait(60)
    assert postcopy.server.error == "no route"


def test_a_target_on_which_nobody_listens_is_given_up_sooner(postcopy, monkeypatch):
    monkeypatch.setattr(page_server, "RETRY_S", 0.01)
    monkeypatch.setattr(page_server, "REFUSED_S", 0.2)
    postcopy.leave()

    def nobody_listens():
        raise TransferError("refused") from ConnectionRefusedError()

    monkeypatch.setattr(postcopy.server, "_connect", nobody_listens)
    postcopy.connections[0].channel.interrupt()
    assert postcopy.server.wait(10)
    assert postcopy.server.error == "refused"


@pytest.mark.parametrize("runs", [False, True])
def test_only_before_it_runs_a_source_that_has_gone_ends_the_restore(postcopy, monkeypatch, runs):
    monkeypatch.setattr(late_pages, "RESTORE_PATIENCE_S", 0.2)
    read = PageServer._read

    def ends(self, message):
        postcopy.server.stop()
        return read(self, message)

    monkeypatch.setattr(PageServer, "_read", ends)
    postcopy.leave()
    if runs:
        postcopy.late.runs()
    postcopy.late.begin()
    peer = postcopy.connections[0]
    until(lambda: not peer._thread.is_alive())
    assert bool(postcopy.late.failed) is not runs
    assert not postcopy.late.complete


def test_only_before_it_runs_a_page_that_does_not_come_ends_the_restore(postcopy, monkeypatch):
    """A host that vanished without a word closes no connection."""
    monkeypatch.setattr(late_pages, "RESTORE_PATIENCE_S", 0.3)
    monkeypatch.setattr(late_pages, "LOOK_S", 0.05)
    go_on = threading.Event()
    read = PageServer._read

    def silent(self, message):
        go_on.wait(60)
        return read(self, message)

    monkeypatch.setattr(PageServer, "_read", silent)
    postcopy.leave()
    postcopy.late.begin()
    until(lambda: postcopy.late.failed)
    assert "no page came from the source" in postcopy.late.failed
    go_on.set()


def test_a_frozen_service_that_somebody_ended_is_told(postcopy, victim):
    postcopy.leave()
    victim.kill()
    postcopy.late.begin()
    assert postcopy.server.wait(60)
    assert "somebody has ended its frozen container" in postcopy.server.error
    until(lambda: postcopy.late.failed)
    assert not postcopy.late.complete


def test_a_page_that_nobody_may_read_keeps_no_other_from_coming(directory, victim):
    """The guard pages of threads: the kernel names them, and CRIU leaves them alone."""
    guard = victim.base + 5 * PAGE_BYTES, victim.base + 6 * PAGE_BYTES
    victim.do("guard", 5)
    expected = bytes(PAGE_BYTES)
    with contextlib.suppress(OSError):
        # A kernel without guard pages (before 6.13) refuses to install them.
        expected = victim.memory(*guard)
    tracker = Named()
    made = Postcopy(directory, victim, tracker)
    tracker.written = RangeSet([(victim.base, victim.base + 10 * PAGE_BYTES)])
    made.leave()
    made.late.begin()
    assert made.server.wait(60)
    assert made.server.error == ""
    assert made.is_right(made.target.extents(NUMBER, tracker.written - RangeSet([guard])))
    (place,) = made.target.extents(NUMBER, RangeSet([guard]))
    assert ctypes.string_at(place.source, PAGE_BYTES) == expected
    made.close()


def test_what_was_unmapped_after_it_was_written_is_not_late(directory, victim):
    tracker = Named()
    made = Postcopy(directory, victim, tracker)
    tracker.written = RangeSet([(victim.base, victim.base + 20 * PAGE_BYTES)])
    victim.do("unmap", 5, 3)
    gone = RangeSet([(victim.base + 5 * PAGE_BYTES, victim.base + 8 * PAGE_BYTES)])
    made.leave()
    made.late.begin()
    assert made.server.wait(60)
    assert made.server.error == ""
    assert made.late.complete
    assert made.is_right(made.target.extents(NUMBER, tracker.written - gone))
    made.close()


def test_only_what_was_left_may_be_fetched(postcopy, victim):
    postcopy.round()
    victim.do("write", 10, 5, 7)
    postcopy.leave()
    other = victim.base + 100 * PAGE_BYTES
    postcopy.late.add(NUMBER, [Extent(other, other + PAGE_BYTES, postcopy.extents()[0].source)])
    postcopy.late.begin()
    assert postcopy.server.wait(60)
    assert "were not left to it" in postcopy.server.error


def test_a_source_that_goes_before_the_freeze_leaves_nothing_waiting(postcopy):
    postcopy.server.start()
    postcopy.server.stop()
    peer = postcopy.connections[0]
    until(lambda: not peer._thread.is_alive())


def test_late_pages_are_refused_where_criu_reads_memory_itself(directory, victim):
    target = MemoryTarget(directory)
    peer = Peer(target.handlers)
    peer.channel.send("memory.round", number=1)
    peer.channel.send("memory.late", process=NUMBER, runs=[16, 3])
    peer.channel.ask("memory.round_end", number=1, last=True)
    with pytest.raises(MigrationError, match="cannot be filled here"):
        peer.channel.answer("memory.round_end")
    peer.close()


def test_a_tracker_that_knows_is_believed(directory, victim):
    """What was written is named without being read."""
    tracker = Named()
    made = Postcopy(directory, victim, tracker)
    tracker.written = present_pages(victim.pid)
    made.round()
    tracker.written = RangeSet([(victim.base, victim.base + 3 * PAGE_BYTES)])
    assert made.leave().pages_changed == 3
    made.close()


def test_a_part_is_sent_first_and_the_rest_is_not_forgotten(directory, victim):
    tracker = Named()
    made = Postcopy(directory, victim, tracker)
    tracker.written = everything = present_pages(victim.pid)
    done = made.source.round(made.rounds.channel, {victim.pid: NUMBER}, most_bytes=40 * PAGE_BYTES)
    made.rounds.channel.answer("memory.round_end")
    made.source.acknowledged()
    assert done.pages_changed == 40
    victim.do("write", 3, 2, 5)
    tracker.written = RangeSet([(victim.base + 3 * PAGE_BYTES, victim.base + 5 * PAGE_BYTES)])
    assert made.source.look({victim.pid: NUMBER}) == 2 * PAGE_BYTES
    left_bytes = everything.size_bytes - 40 * PAGE_BYTES
    assert left_bytes <= made.source.kept_bytes <= left_bytes + 2 * PAGE_BYTES
    tracker.written = RangeSet()
    made.leave()
    made.late.begin()
    assert made.server.wait(60)
    written = RangeSet([(victim.base, victim.base + victim.pages * PAGE_BYTES)])
    assert made.is_right(made.target.extents(NUMBER, written))
    made.close()


def test_pages_shared_with_a_parent_are_filled_by_themselves_once_they_are_late(directory, victim):
    """CRIU reads the parent's shared pages from a file, where late content would be missing."""
    parent, child = 1, 2
    shared = SharedPages(os.path.join(directory, "shared"))
    pages = RangeSet([(0x10000, 0x14000)])
    place = ctypes.create_string_buffer(0x8000)
    source = ctypes.addressof(place)
    newest = {
        number: late_pages.Extents([Extent(0x10000, 0x14000, source + at)])
        for number, at in ((parent, 0), (child, 0x4000))
    }
    # Little is shared, so that only a limit makes it worth the trouble.
    shared.find([Fork(child, parent, pages)], newest, anonymous_bytes=0x8000, limit_bytes=0x6000)
    assert shared.of(parent) == shared.of(child) == pages
    late = RangeSet([(0x11000, 0x12000)])
    shared.late(parent, late)
    assert shared.of(parent) == shared.of(child) == pages - late


def asked_on(peer):
    """What the target asks next on a connection that a test answers."""
    return peer.channel.receive()


def test_what_was_on_its_way_when_a_connection_broke_is_asked_for_over_the_next(
    postcopy, victim, monkeypatch
):
    """The thread of the first one notices late that it broke, and nothing else is left to be asked for."""
    postcopy.round()
    victim.do("write", 10, 2, 7)
    postcopy.leave_it_to_the_test()
    postcopy.late.begin()
    first = postcopy.offer()
    assert asked_on(first).kind == "pages.fetch"
    interrupt = first._far.interrupt
    monkeypatch.setattr(first._far, "interrupt", lambda: threading.Timer(0.5, interrupt).start())
    second = postcopy.offer()
    assert asked_on(second).kind == "pages.fetch"
    for peer in (first, second):
        peer.channel.interrupt()


def test_what_the_service_waits_for_comes_first_over_the_next_connection_too(postcopy):
    postcopy.leave_it_to_the_test()
    _here, late = postcopy.late.split(postcopy.extents())
    place = late[0]
    postcopy.late.want(NUMBER, [place.part(place.start, place.start + PAGE_BYTES)])
    postcopy.late.begin()
    wanted = RangeSet([(place.start, place.start + PAGE_BYTES)])
    for _connection in range(2):
        peer = postcopy.offer()
        assert late_pages_of(asked_on(peer)) == wanted
        peer.channel.interrupt()
        until(lambda peer=peer: not peer._thread.is_alive())
    assert postcopy.late.waited == 1


def test_a_connection_that_breaks_when_all_has_come_harms_nothing(postcopy, victim, monkeypatch):
    monkeypatch.setattr(late_pages, "RESTORE_PATIENCE_S", 0.2)
    postcopy.round()
    victim.do("write", 10, 1, 7)
    postcopy.leave_it_to_the_test()
    postcopy.late.begin()
    peer = postcopy.offer()
    message = asked_on(peer)
    while message.kind == "pages.fetch":
        peer.channel.send("ok", bytes(late_pages_of(message).size_bytes))
        message = asked_on(peer)
    assert message.kind == "pages.done"
    peer.channel.interrupt()
    until(lambda: not peer._thread.is_alive())
    assert postcopy.late.complete
    assert postcopy.late.failed == ""


def test_a_service_that_waits_for_what_is_on_its_way_waits(postcopy):
    postcopy.leave_it_to_the_test()
    _here, late = postcopy.late.split(postcopy.extents())
    postcopy.late.begin()
    peer = postcopy.offer()
    asked_on(peer)
    place = late[-1]
    postcopy.late.want(NUMBER, [place.part(place.end - PAGE_BYTES, place.end)])
    assert postcopy.late.waited == 1
    peer.channel.interrupt()


def test_another_process_of_the_same_number_is_not_read(postcopy, victim):
    postcopy.server.start()
    _done, left = postcopy.source.leave(postcopy.rounds.channel, {victim.pid: NUMBER})
    postcopy.rounds.channel.answer("memory.round_end")
    postcopy.server.serve({NUMBER: LeftPages(victim.pid, "1", left[victim.pid])})
    postcopy.late.begin()
    assert postcopy.server.wait(60)
    assert "somebody has ended its frozen container" in postcopy.server.error
    assert postcopy.late.received_bytes == 0


def test_a_page_server_that_fails_in_any_way_is_over_and_says_why(postcopy, monkeypatch):
    def fails(self, message):
        raise RuntimeError("no idea")

    monkeypatch.setattr(PageServer, "_read", fails)
    postcopy.leave()
    postcopy.late.begin()
    assert postcopy.server.wait(60)
    assert "no idea" in postcopy.server.error


def test_what_keeps_a_connection_from_being_made_may_be_over_soon(postcopy, monkeypatch):
    """A full disk, for one: a key passes through a file."""
    monkeypatch.setattr(page_server, "RETRY_S", 0.01)
    postcopy.leave()
    connect, tries = postcopy.connect, []

    def full_at_first():
        tries.append(1)
        if len(tries) < 4:
            raise MigrationError("no space left on device")
        return connect()

    monkeypatch.setattr(postcopy.server, "_connect", full_at_first)
    postcopy.connections[0].channel.interrupt()
    postcopy.late.begin()
    assert postcopy.server.wait(60)
    assert postcopy.server.error == ""
    assert postcopy.late.complete


@pytest.fixture
def small(directory, victim):
    """The target's images lie in a file system of 1 MiB."""
    made = Postcopy(directory, victim)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "mec-test", made.images], check=True)
    yield made
    made.close()
    subprocess.run(["umount", "--lazy", made.images], check=True)


def test_more_than_finds_room_on_the_target_is_refused_while_the_source_can_go_on(small):
    small.server.start()
    small.source.leave(small.rounds.channel, {small.victim.pid: NUMBER})
    with pytest.raises(MigrationError, match=r"where [0-9]+ are free\. Free space there"):
        small.rounds.channel.answer("memory.round_end")


def test_pages_for_which_there_is_no_room_now_wait_for_it(small, directory, monkeypatch):
    tracker = Named()
    tracker.written = RangeSet([(small.victim.base, small.victim.base + 200 * PAGE_BYTES)])
    small.source = MemorySource(os.path.join(directory, "source"), tracker)
    monkeypatch.setattr(late_pages, "LOOK_S", 0.01)
    small.leave()
    filler = os.path.join(small.images, "filler")
    with open(filler, "wb", 0) as file, contextlib.suppress(OSError):
        while file.write(bytes(PAGE_BYTES)):
            pass
    small.late.begin()
    until(lambda: small.late.obstacle)
    assert "there is no room on the target" in small.late.obstacle
    os.unlink(filler)
    assert small.server.wait(60)
    assert small.late.complete
    assert small.is_right(small.target.extents(NUMBER, tracker.written))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: runs before others")
def test_what_nobody_waits_for_does_not_come_before_other_services(postcopy, monkeypatch):
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    read = postcopy.server._read
    seen = []

    def look(message):
        seen.append(os.getpriority(os.PRIO_PROCESS, 0))
        return read(message)

    def hand_over():
        hurry()
        postcopy.leave()

    monkeypatch.setattr(postcopy.server, "_read", look)
    thread = threading.Thread(target=hand_over)
    thread.start()
    thread.join()
    postcopy.late.begin()
    assert postcopy.server.wait(60)
    assert seen[0] == usual


@pytest.fixture
def clock(monkeypatch):
    """Time passes only where a test says so: how busy this machine is decides nothing."""
    found = SimpleNamespace(now=1000.0)
    found.monotonic = lambda: found.now
    monkeypatch.setattr(late_pages, "time", found)
    return found


def late_alone():
    """A process of 100 pages of which nothing has come, over a link of 100 Mbit/s that was measured."""
    late = late_pages.LatePages()
    late.add(NUMBER, [Extent(0x100000, 0x100000 + 100 * PAGE_BYTES, 0x10000000)])
    late._pace.alone_s, late._pace.s_per_byte = 0.0004, 8e-8
    return late


def page(number):
    return Extent(0x100000 + number * PAGE_BYTES, 0x100000 + (number + 1) * PAGE_BYTES, 0)


def wanted(late, number):
    late.want(NUMBER, [page(number)._replace(source=0x10000000 + number * PAGE_BYTES)])


def test_what_lies_behind_a_page_that_the_service_waited_for_comes_beside_it(clock):
    late = late_alone()
    clock.now += 0.01
    wanted(late, 40)
    flight = late_pages.deque()
    flight.append(late._next(flight))
    assert [place[:2] for place in flight[0].places] == [page(40)[:2]]
    assert flight[0].alone
    beside = late._next(flight)
    assert beside.places[0].start == page(41).start
    assert beside.since == 0
    assert not beside.alone
    flight.append(beside)
    # Not a second piece before the first has come, for it may wait for the next page then.
    assert late._next(flight) is None
    wanted(late, 7)
    flight.append(late._next(flight))
    assert [place[:2] for place in flight[2].places] == [page(7)[:2]]


def test_what_several_threads_wait_for_is_alone_on_the_link(clock):
    """Else nothing would ever be, and nothing came beside."""
    late = late_alone()
    clock.now += 0.01
    flight = late_pages.deque()
    for number in (40, 7, 70):
        wanted(late, number)
        piece = late._next(flight)
        assert piece.alone
        flight.append(piece)
    flight.append(late._next(flight))
    assert flight[-1].since == 0
    wanted(late, 9)
    assert not late._next(flight).alone


def test_with_nothing_behind_it_what_lies_elsewhere_comes(clock):
    late = late_alone()
    wanted(late, 99)
    flight = late_pages.deque([late._next(late_pages.deque())])
    clock.now += 0.01
    assert late._next(flight).places[-1].end == page(98).end


def test_a_page_that_is_delivered_is_not_put_into_the_images():
    late = late_alone()
    delivered = []
    late.deliver = lambda process, extent, address: not delivered.append((process, extent[:2], address))
    wanted(late, 40)
    piece = late._next(late_pages.deque())
    content = bytes(PAGE_BYTES)
    # Its places in the images are none: whoever wrote there would be told.
    late._take(piece, content)
    assert [each[:2] for each in delivered] == [(NUMBER, page(40)[:2])]
    assert late.received_bytes == PAGE_BYTES
    assert late.take_arrived() == []
    # And nobody waits for it any more.
    wanted(late, 40)
    assert late.waited == 1
