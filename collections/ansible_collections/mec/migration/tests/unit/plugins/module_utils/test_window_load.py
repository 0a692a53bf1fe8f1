# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes the frozen window longer, counted on real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from ansible_collections.mec.migration.plugins.module_utils.service import window_load as module

PROGRAM = """
import ctypes, mmap, os, sys, threading, time
private = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
private.write(os.urandom(32 << 20))
shared = mmap.mmap(-1, 4 << 20)
shared.write(os.urandom(4 << 20))
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget(0, 2 << 20, 0o1600)
place = libc.shmat(segment, None, 0)
libc.shmctl(segment, 0, None)
ctypes.memset(place, 7, 2 << 20)
modes = ("new", "ab"), ("old", "ab"), ("new", "rb")
opened = [open(f"{sys.argv[1]}/{name}", mode) for name, mode in modes]
for _ in range(3):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(1000)
"""


@pytest.fixture
def pids(tmp_path):
    (tmp_path / "new").write_bytes(bytes(3 << 20))
    # However long it takes until somebody looks.
    os.utime(tmp_path / "new", (time.time() + 3600,) * 2)
    (tmp_path / "old").write_bytes(bytes(5 << 20))
    os.utime(tmp_path / "old", (1, 1))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        child = int(process.stdout.readline())
        yield [process.pid, child]
        os.kill(child, 9)
        process.kill()


def service(pids, memory=0):
    return SimpleNamespace(
        pids=lambda: pids,
        runc=SimpleNamespace(pid=pids[0], config={"rootfs": "/", "namespaces": []}),
        spec={"create": {"HostConfig": {"Memory": memory}}},
    )


def test_processes_threads_and_what_they_share_are_counted(pids, monkeypatch):
    monkeypatch.setattr(module, "mounts", lambda pid: [])
    monkeypatch.setattr(module, "tree_mounts", lambda pid, external: [])
    load = module.window_load(service(pids))
    assert (load.processes, load.threads) == (2, 5)
    # Both have the same segments mapped.
    assert (load.shared_bytes, load.system_v_bytes) == (6 << 20, 2 << 20)
    # What was not written lately, or is only read, does not count.
    assert load.written_file_bytes == 3 << 20
    # Too little to stay shared, unless a limit needs it.
    assert load.copy_on_write_bytes == 0
    tight = module.window_load(service(pids, memory=64 << 20))
    assert 24 << 20 < tight.copy_on_write_bytes < 80 << 20


def test_what_lies_on_a_tmpfs_of_the_container_is_counted(pids, monkeypatch):
    used = SimpleNamespace(f_blocks=1000, f_bfree=800, f_frsize=4096)
    monkeypatch.setattr(module.os, "statvfs", lambda path: used)
    kinds = [
        ("tmpfs", "/dev/shm", "0:5"),
        ("tmpfs", "/other", "0:5"),
        ("tmpfs", "/run", "0:6"),
        ("ext4", "/data", "8:1"),
    ]
    found = [SimpleNamespace(kind=kind, point=point, device=device) for kind, point, device in kinds]
    monkeypatch.setattr(module, "mounts", lambda pid: found)
    monkeypatch.setattr(module, "external_mounts", lambda runc: ["/run"])
    monkeypatch.setattr(module, "tree_mounts", lambda pid, external: [])
    # Once for each file system.
    assert module.window_load(service(pids)).tmpfs_bytes == 200 * 4096
    monkeypatch.setattr(module, "tree_mounts", lambda pid, external: found[:1])
    assert module.window_load(service(pids)).tmpfs_bytes == 0


def test_a_file_on_a_tmpfs_is_counted_once(pids, tmp_path, monkeypatch):
    device = os.stat(tmp_path).st_dev
    found = [SimpleNamespace(kind="tmpfs", point="/x", device=f"{os.major(device)}:{os.minor(device)}")]
    monkeypatch.setattr(module, "mounts", lambda pid: found)
    monkeypatch.setattr(module, "tree_mounts", lambda pid, external: [])
    used = SimpleNamespace(f_blocks=1000, f_bfree=800, f_frsize=4096)
    monkeypatch.setattr(module.os, "statvfs", lambda path: used)
    assert module.window_load(service(pids)).written_file_bytes == 0


def test_a_process_that_has_ended_counts_nothing():
    assert module._written_file_bytes([2**22 + 1], set()) == 0
    assert module._copy_on_write_bytes([2**22 + 1, 2**22 + 2], 1) == 0
