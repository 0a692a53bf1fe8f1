# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a move changes without breaking the service is said, from real processes."""

from __future__ import annotations

import pytest
from ansible_collections.mec.migration.plugins.module_utils.service import kinds_lost, memory_settings
from ansible_collections.mec.migration.plugins.module_utils.service.kinds import SAID
from test_holdings import needs_root, only, told


def test_a_process_with_many_mappings():
    # A neighbour with another protection keeps the kernel from joining two mappings.
    program = """
size = os.sysconf("SC_PAGE_SIZE")
at = libc.mmap(None, {count} * size, 3, 0x22, -1, 0)
for page in range(0, {count}, 2):
    made(libc.mprotect(ctypes.c_void_p(at + page * size), ctypes.c_size_t(size), 1))
"""
    only(told(program.format(count=6000), SAID), "memory mappings", "while the service is frozen")
    assert told(program.format(count=1000), SAID) == []


@needs_root
def test_memory_that_a_forked_child_has_locked():
    program = """
libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
of_parent = made(libc.mmap(None, 1 << 20, 3, 0x22, -1, 0))
end, other_end = os.pipe()
if os.fork() == 0:
    made({lock})
    os.write(other_end, b"x")
    time.sleep(600)
os.read(end, 1)
"""
    # All that it has; a part of a mapping of its parent's, which makes another mapping of it.
    every, settings = told(program.format(lock="libc.mlockall(1)"), SAID)
    only([every], "has locked", "not locked after the move")
    only([settings], "has all of its memory locked (mlockall)", "new memory is neither locked")
    assert told(program.format(lock="libc.mlock(of_parent + 4096, 4096)"), SAID) == []
    locked = "made(libc.mlock(ctypes.c_void_p(made(libc.mmap(None, 1 << 20, 3, 0x22, -1, 0))), 1 << 20))"
    assert told(f"libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]\n{locked}", SAID) == []


@needs_root
@pytest.mark.parametrize(
    ("program", "what"),
    [
        ("made(libc.syscall(325, ctypes.c_void_p(at), size, 1))", "locked page by page as it is touched"),
        # MCL_CURRENT, and with MCL_FUTURE.
        ("made(libc.mlockall(1))", "has all of its memory locked (mlockall)"),
        ("made(libc.mlockall(3))", "has all of its memory locked (mlockall)"),
        ("made(libc.prctl(67, 1, 0, 0, 0))", "may merge with other memory (PR_SET_MEMORY_MERGE)"),
        # mbind(2): MPOL_BIND to node 0, MPOL_INTERLEAVE.
        ("policy(2)", "NUMA policy (bind:0)"),
        ("policy(3)", "NUMA policy (interleave:0)"),
    ],
)
def test_what_was_asked_for_memory(program, what, monkeypatch):
    mapped = """
size = ctypes.c_size_t(1 << 20)
at = made(libc.mmap(None, size, 3, 0x22, -1, 0))
def policy(mode):
    nodes = ctypes.c_ulong(1)
    made(libc.syscall(237, ctypes.c_void_p(at), size, mode, ctypes.byref(nodes), ctypes.c_ulong(64), 0))
"""
    assert told(mapped + program, SAID) == [] or "NUMA" not in what
    # As on a host with several nodes.
    monkeypatch.setattr(memory_settings, "_several_nodes", lambda: True)
    only(told(mapped + program, SAID), what, "CRIU does not dump that")
    assert told(mapped, SAID) == []


@needs_root
def test_semaphores_of_system_v():
    own = "made(libc.unshare(0x08000000))\n"
    (said,) = told(own + "made(libc.semget(0, 3, 0o600))", SAID)
    assert said.startswith("container web has 1 System V semaphore set; their values move")
    assert told(own, SAID) == []
    # Of the host's nobody knows whose they are.
    assert told("made(libc.semctl(made(libc.semget(0, 1, 0o600)), 0, 0))", SAID) == []


TIMER = """
import struct
fd = made(libc.timerfd_create(1, 0))
made(libc.timerfd_settime(fd, 0, struct.pack("qqqq", {interval}, 0, 0, 1000), None))
time.sleep(0.1)
"""


TMPFS = """
libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
unshare_mounts()
made(libc.mount(None, b"/", None, 1 << 14 | 1 << 18, None))
made(libc.mount(b"tmpfs", b"/srv", b"tmpfs", 0, None))
with open("/srv/x", "wb") as file:
    for _ in range(48):
        file.write(os.urandom(1 << 20))
"""
# Then it is CRIU's to pack.
BELOW = """
os.mkdir("/srv/below")
made(libc.mount(b"tmpfs", b"/srv/below", b"tmpfs", 0, None))
"""


@needs_root
def test_a_tmpfs_that_takes_time():
    found = told(TMPFS + BELOW, SAID)
    assert len(found) == 1
    assert "container web has 50 MB in the tmpfs /srv, which CRIU packs" in found[0]


@needs_root
def test_a_tmpfs_that_travels_in_rounds_is_not_packed():
    assert told(TMPFS, SAID) == []


@needs_root
def test_a_tmpfs_that_takes_too_long(monkeypatch):
    """As on a host that is much slower."""
    monkeypatch.setattr(kinds_lost, "LONGEST_PACKING_S", 0.01)
    found = told(TMPFS + BELOW)
    assert len(found) == 1
    assert "volumes travel while the service runs" in found[0]
