# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container is not left frozen between a vfork and its exec, where CRIU could not seize the parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.kernel.cgroup import Cgroup
from ansible_collections.mec.migration.plugins.module_utils.kernel.ptrace import sharing_memory

FREEZER = "/sys/fs/cgroup/freezer"
# Joins the group, then makes programs of itself one after the other.
SPAWNS = """
import os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as group: group.write("0")
print("there", flush=True)
while True: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
"""
# The child waits for who writes to the pipe before it executes its program.
WAITS = """
import os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as group: group.write("0")
print("there", flush=True)
opened = [(os.POSIX_SPAWN_OPEN, 5, sys.argv[2], os.O_RDONLY, 0)]
os.posix_spawn("/bin/sleep", ["sleep", "600"], {}, file_actions=opened)
print("executed", flush=True)
os.wait()
"""

pytestmark = pytest.mark.skipif(
    not os.access(FREEZER, os.W_OK), reason="needs root and a freezer of cgroup version 1"
)


@pytest.fixture
def group():
    path = f"{FREEZER}/mec-test-vfork-{os.getpid()}"
    os.mkdir(path)
    yield path
    while pids := pids_of(path):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    os.rmdir(path)


def thaw(path):
    with open(f"{path}/freezer.state", "w", encoding="ascii") as state:
        state.write("THAWED")


def pids_of(path):
    with open(f"{path}/cgroup.procs", encoding="ascii") as lines:
        return [int(line) for line in lines]


@contextlib.contextmanager
def started(program, group, *arguments):
    words = [sys.executable, "-c", program, group, *arguments]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "there\n"
            yield process
        finally:
            # Also where a test has failed, which would wait for its end.
            process.kill()
            thaw(group)


def test_it_is_never_frozen_between_a_vfork_and_its_exec(group):
    with started(SPAWNS, group) as service:
        cgroup, frozen = Cgroup(service.pid), 0
        for _turn in range(100):
            try:
                cgroup.freeze()
            except MigrationError:
                # Where the machine is busy, a child may take its time to execute its program each time.
                continue
            frozen += 1
            assert cgroup.frozen
            assert sharing_memory(cgroup.pids()) == {}
            cgroup.thaw()
        assert frozen > 50


def test_a_vfork_that_takes_long_is_said_and_the_service_goes_on(group, tmp_path):
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    with started(WAITS, group, fifo) as service:
        cgroup = Cgroup(service.pid)
        while len(cgroup.pids()) < 2:
            time.sleep(0.01)
        with pytest.raises(MigrationError, match="has the same memory as its child") as raised:
            cgroup.freeze()
        assert raised.value.rolled_back
        assert cgroup.thawed
        with open(fifo, "wb"):
            assert service.stdout.readline() == "executed\n"
        cgroup.freeze()
        assert cgroup.frozen
        cgroup.thaw()
