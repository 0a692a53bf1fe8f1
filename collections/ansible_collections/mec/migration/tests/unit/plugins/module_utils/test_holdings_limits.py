# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits that leave CRIU no room, or that it cannot read, from real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.mec.migration.plugins.module_utils.service import kinds_limits
from ansible_collections.mec.migration.plugins.module_utils.service.inventory import judge
from test_holdings import Victim, needs_root, only, told, wait_until, write


def test_a_process_that_may_open_no_more_files():
    program = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
while True:
    try:
        keep.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        break
for each in keep[:{closed}]:
    os.close(each)
"""
    only(told(program.format(closed=0)), "64 of the 64 files", "prlimit")
    assert told(program.format(closed=kinds_limits.DESCRIPTORS_OF_DUMP)) == []
    # Of those that it had open before it was given that limit only the lower ones count.
    lowered = """
import resource
os.dup2(0, 900)
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
"""
    assert told(lowered) == []


@pytest.mark.parametrize("left_mib", [2, 100])
def test_a_process_that_may_map_no_more(left_mib):
    program = f"""
import resource
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * os.sysconf("SC_PAGE_SIZE") + ({left_mib} << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
"""
    found = told(program)
    if left_mib == 2:
        only(found, "KiB more of address space", "prlimit")
    else:
        assert found == []


def test_a_file_that_is_open_as_a_high_number(monkeypatch):
    program = "import resource\nos.dup2(0, 900)"
    monkeypatch.setattr(kinds_limits, "_most_descriptors", lambda: 1024)
    only(told(program), "a file open as number 900", "higher numbers")
    monkeypatch.setattr(kinds_limits, "_most_descriptors", lambda: 4096)
    assert told(program) == []


def test_a_limit_of_processes_that_is_used_up():
    with Victim("child()") as victim:
        holdings = victim.holdings()
        for left, refused in ((None, 0), (4, 0), (3, 1), (-1, 1)):
            found = judge("web", holdings._replace(tasks_left=left)).refused
            assert len(found) == refused
            assert all("docker update --pids-limit" in sentence for sentence in found)


def test_how_many_processes_are_left():
    controller = "/sys/fs/cgroup/pids"
    if not os.access(controller, os.W_OK):
        pytest.skip("needs root and the controller pids of cgroup version 1")
    group = f"{controller}/mec-test-tasks-{os.getpid()}"
    os.mkdir(group)
    try:
        with Victim("child()") as victim:
            for pid in victim.pids():
                write(f"{group}/cgroup.procs", pid)
            assert victim.holdings().tasks_left is None
            write(f"{group}/pids.max", 5)
            assert victim.holdings().tasks_left == 3
    finally:
        # What was killed is there until its parent has asked for it.
        wait_until(lambda: not Path(group, "cgroup.procs").read_text())
        os.rmdir(group)


WITHOUT_THE_CAPABILITY = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 24); os.execv(sys.executable, sys.argv[1:])"
)


OTHER_USER = "os.setgroups([]); os.setgid(1000); os.setuid(1000)"


def without_the_capability(program, *arguments):
    """What a program says that runs without CAP_SYS_RESOURCE, as CRIU does on such a host."""
    argv = [sys.executable, "-c", WITHOUT_THE_CAPABILITY, sys.executable, "-c", program, *map(str, arguments)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout


LOOK = """
import sys
from ansible_collections.mec.migration.plugins.module_utils.service.holdings import read_holdings
from ansible_collections.mec.migration.plugins.module_utils.service.inventory import judge
pids = [int(pid) for pid in sys.argv[1:]]
print(*judge("web", read_holdings(pids[0], pids)).refused, sep="\\n")
"""


@needs_root
def test_processes_of_several_users_whose_limits_cannot_be_read():
    with Victim(f"child(lambda: [{OTHER_USER.replace(';', ',')}])") as roots:
        said = without_the_capability(LOOK, *roots.pids())
    only(said.splitlines(), "runs as user 1000", "CAP_SYS_RESOURCE", "rlimit")


@needs_root
def test_processes_of_one_user_whose_limits_criu_can_read_as_that_user():
    with Victim(f"{OTHER_USER}; child()") as first:
        said = without_the_capability(LOOK, *first.pids())
        assert said.strip() == ""
        ask = """
import resource, subprocess, sys
from ansible_collections.mec.migration.plugins.module_utils.kernel.identity import as_real, needed_identity
pid = int(sys.argv[1])
again = "import resource, os, sys; print(resource.prlimit(int(sys.argv[1]), 0), os.geteuid())"
argv = [sys.executable, "-c", again, str(pid)]
as_root = subprocess.run(argv, stderr=subprocess.DEVNULL).returncode
print(as_root, as_real(needed_identity([pid]), lambda: subprocess.run(argv).returncode))
"""
        # Not as root; as that user, with root's rights in all else.
        assert without_the_capability(ask, first.pid).splitlines() == ["(-1, -1) 0", "1 0"]
