# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CRIU is asked for: which mounts are whose, and which kind of dump."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.mec.migration.plugins.module_utils.criu.dump import lazily
from ansible_collections.mec.migration.plugins.module_utils.docker.reconnected_mounts import external_mounts
from ansible_collections.mec.migration.plugins.module_utils.docker.runc_state import RuncState
from ansible_collections.mec.migration.plugins.module_utils.kernel.mountinfo import inside_root

RESERVE = """
import mmap, sys
kept = mmap.mmap(-1, int(sys.argv[1]), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, 0)
print("there", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def reserve():
    started = []

    def run(size_bytes):
        process = subprocess.Popen(
            [sys.executable, "-c", RESERVE, str(size_bytes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout.readline() == b"there\n"
        return process.pid

    yield run
    for process in started:
        process.communicate()


def test_a_huge_reservation_is_dumped_plainly(reserve):
    small, huge = reserve(1 << 20), reserve(1 << 40)
    assert lazily([small])
    assert not lazily([small, huge])


@pytest.fixture
def rootfs(tmp_path):
    root = tmp_path / "rootfs"
    for name in ("run", "usr/sbin", "etc"):
        (root / name).mkdir(parents=True)
    (root / "var").mkdir()
    for name, link in (
        ("var/run", "/run"),
        ("sbin", "usr/sbin"),
        ("out", "../../../../etc"),
        ("round", "round"),
        ("two", "var/run"),
    ):
        (root / name).symlink_to(link)
    return str(root)


@pytest.mark.parametrize(
    ("written", "leads_to"),
    [
        ("/var/run/app", "/run/app"),
        ("/sbin/docker-init", "/usr/sbin/docker-init"),
        ("/two/app", "/run/app"),
        ("/out/hosts", "/etc/hosts"),
        ("/var/lib/../run/./app/", "/run/app"),
        ("/not/there", "/not/there"),
        ("/../etc", "/etc"),
        ("/", "/"),
    ],
)
def test_where_a_path_leads_in_another_root(rootfs, written, leads_to):
    assert inside_root(rootfs, written) == leads_to
    assert inside_root(rootfs, rootfs + written) == leads_to


def test_a_link_to_itself_ends(rootfs):
    assert inside_root(rootfs, "/round/below").startswith("/")


def test_mounts_are_named_as_the_kernel_has_them(rootfs):
    mounts = [
        {"device": "bind", "destination": "/var/run/app"},
        {"device": "bind", "destination": rootfs + "/sbin/docker-init"},
        {"device": "proc", "destination": "/proc"},
    ]
    config = {"rootfs": rootfs, "mounts": mounts, "namespaces": [{"type": "NEWCGROUP"}]}
    state = RuncState("", "", os.getpid(), config)
    assert external_mounts(state) == ["/run/app", "/usr/sbin/docker-init"]
