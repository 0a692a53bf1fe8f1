# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stopped process in a frozen cgroup can be seized, and is stopped again when it is let go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel.processes import status
from ansible_collections.mec.migration.plugins.module_utils.kernel.stopped import put_stops_back

FREEZER = "/sys/fs/cgroup/freezer"
# Whoever waits for ever in PTRACE_SEIZE must be another process than the test.
TRACER = """
import ctypes, os, sys
libc, pid = ctypes.CDLL(None), int(sys.argv[1])
assert libc.ptrace(0x4206, pid, 0, 0) == 0  # PTRACE_SEIZE
libc.ptrace(0x4207, pid, 0, 0)  # PTRACE_INTERRUPT
print("seized", flush=True)
sys.stdin.readline()
os.waitpid(pid, 0x40000000)
libc.ptrace(17, pid, 0, 0)  # PTRACE_DETACH
"""
HANDLER = """
import signal, sys, time
signal.signal(signal.SIGCONT, lambda *unused: print("continued", flush=True))
print("there", flush=True)
while True: time.sleep(60)
"""

pytestmark = pytest.mark.skipif(
    not os.access(FREEZER, os.W_OK), reason="needs root and a freezer of cgroup version 1"
)


@pytest.fixture
def group():
    path = f"{FREEZER}/mec-test-{os.getpid()}"
    os.mkdir(path)
    yield path
    write(path, "THAWED")
    for pid in pids(path):
        os.kill(pid, signal.SIGKILL)
    while pids(path):
        time.sleep(0.01)
    os.rmdir(path)


def write(path, state):
    with open(f"{path}/freezer.state", "w", encoding="ascii") as file:
        file.write(state)


def pids(path):
    with open(f"{path}/cgroup.procs", encoding="ascii") as file:
        return [int(line) for line in file]


def start(path, program):
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"there\n"
    with open(f"{path}/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(process.pid))
    return process


def wait_for_state(pid, letter):
    end = time.monotonic() + 60
    while not status(pid, "State").startswith(letter):
        assert time.monotonic() < end, status(pid, "State")
        time.sleep(0.01)


def test_a_stopped_process_stays_stopped_and_can_be_seized(group):
    stopped, runs = start(group, HANDLER), start(group, HANDLER)
    stopped.send_signal(signal.SIGSTOP)
    wait_for_state(stopped.pid, "T")
    write(group, "FROZEN")
    while open(f"{group}/freezer.state", encoding="ascii").read() != "FROZEN\n":  # noqa: SIM115
        time.sleep(0.01)
    assert put_stops_back([stopped.pid, runs.pid]) == [stopped.pid]
    tracer = subprocess.Popen(
        [sys.executable, "-c", TRACER, str(stopped.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        os.set_blocking(tracer.stdout.fileno(), False)
        end = time.monotonic() + 60
        while not (said := tracer.stdout.readline()):
            assert time.monotonic() < end, "the tracer waits"
            time.sleep(0.01)
        assert said == "seized\n"
        write(group, "THAWED")
        tracer.communicate("\n", timeout=60)
    finally:
        tracer.kill()
    wait_for_state(stopped.pid, "T")
    # Its handler has not run.
    os.set_blocking(stopped.stdout.fileno(), False)
    assert not stopped.stdout.read()
