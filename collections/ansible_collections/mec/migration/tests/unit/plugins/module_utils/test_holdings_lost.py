# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a move changes without breaking the service is said, from real processes."""

from __future__ import annotations

import os

import pytest
from ansible_collections.mec.migration.plugins.module_utils.service import kinds_lost
from ansible_collections.mec.migration.plugins.module_utils.service.kinds import SAID
from test_holdings import Victim, needs_root, only, told


def test_an_eventfd_that_is_a_semaphore():
    only(told("keep.append(made(libc.eventfd(3, 1)))", SAID), "semaphore", "a read takes the whole count")
    assert told("keep.append(made(libc.eventfd(3, 0)))", SAID) == []


TIMER = """
import struct
fd = made(libc.timerfd_create(1, 0))
made(libc.timerfd_settime(fd, 0, struct.pack("qqqq", {interval}, 0, 0, 1000), None))
time.sleep(0.1)
"""


def test_a_timer_that_is_due():
    only(told(TIMER.format(interval=3600), SAID), "due and not read")
    # One that was to fire once has nothing to fire again for.
    assert told(TIMER.format(interval=0), SAID) == []


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("open('/proc/self/coredump_filter', 'w').write('0x7f')", ["coredump_filter to 7f"]),
        ("made(libc.prctl(29, 1000000))", ["timerslack_ns to 1000000"]),
    ],
)
def test_settings_of_a_process(program, words):
    only(told(program, SAID), *words)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_a_process_that_is_bound_to_a_processor():
    processor = min(os.sched_getaffinity(0))
    program = f"""
if os.fork() == 0:
    os.sched_setaffinity(0, [{processor}])
    time.sleep(600)
time.sleep(0.5)
"""
    only(told(program, SAID), f"bound to the processors {processor};", "--cpuset-cpus")


@needs_root
def test_a_member_of_a_multicast_group():
    program = """
import fcntl, struct
made(libc.unshare(0x40000000))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
flags = struct.unpack("16sh14x", fcntl.ioctl(s, 0x8913, struct.pack("16sh14x", b"lo", 0)))[1]
fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))
{join}
"""
    join = "s.setsockopt(0, 35, socket.inet_aton('239.1.2.3') + socket.inet_aton('127.0.0.1'))"
    found = told(program.format(join=join), SAID)
    assert len(found) == 1
    assert "container web is a member of the multicast group 239.1.2.3" in found[0]
    with Victim(program.format(join="")) as victim:
        assert victim.holdings().multicast_groups == ()


TMPFS = """
libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
made(libc.unshare(0x20000))
made(libc.mount(None, b"/", None, 1 << 14 | 1 << 18, None))
made(libc.mount(b"tmpfs", b"/mnt", b"tmpfs", 0, None))
with open("/mnt/x", "wb") as file:
    for _ in range(48):
        file.write(os.urandom(1 << 20))
"""


@needs_root
def test_a_tmpfs_that_takes_time():
    found = told(TMPFS, SAID)
    assert len(found) == 1
    assert "container web has 50 MB in the tmpfs /mnt, which CRIU packs" in found[0]


@needs_root
def test_a_tmpfs_that_takes_too_long(monkeypatch):
    """As on a host that is much slower."""
    monkeypatch.setattr(kinds_lost, "LONGEST_PACKING_S", 0.01)
    found = told(TMPFS)
    assert len(found) == 1
    assert "volumes travel while the service runs" in found[0]
