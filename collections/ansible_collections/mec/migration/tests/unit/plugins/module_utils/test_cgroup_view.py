# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mounts of a container show other cgroups than its own, and that they are exchanged."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel.cgroup import Membership, memberships
from ansible_collections.mec.migration.plugins.module_utils.kernel.cgroup_view import (
    Exchange,
    _in_child,
    exchanges,
)
from ansible_collections.mec.migration.plugins.module_utils.kernel.mountinfo import Mount

OWN = [Membership(held, "/docker/abc") for held in ("memory", "cpu,cpuacct", "name=systemd", "")]


def mount(point, device, options, root="/"):
    return Mount(device, root, point, [], "cgroup", "cgroup", f"rw,{options}")


HOST = [
    mount("/sys/fs/cgroup/memory", "0:30", "memory"),
    mount("/sys/fs/cgroup/cpu,cpuacct", "0:31", "cpu,cpuacct"),
    mount("/sys/fs/cgroup/systemd", "0:32", "xattr,name=systemd"),
]


def test_what_shows_the_host_is_exchanged():
    inside = [
        mount("/sys/fs/cgroup/memory", "0:30", "memory"),
        mount("/sys/fs/cgroup/cpu,cpuacct", "0:31", "cpu,cpuacct", root="/docker/abc"),
        mount("/sys/fs/cgroup/systemd", "0:32", "xattr,name=systemd"),
    ]
    assert exchanges(inside, HOST, OWN) == [
        Exchange("/sys/fs/cgroup/memory/docker/abc", "/sys/fs/cgroup/memory"),
        Exchange("/sys/fs/cgroup/systemd/docker/abc", "/sys/fs/cgroup/systemd"),
    ]


def test_a_host_that_sees_a_part_of_the_hierarchy_itself():
    host = [mount("/sys/fs/cgroup/memory", "0:30", "memory", root="/docker")]
    inside = [mount("/cg", "0:30", "memory", root="/docker")]
    assert exchanges(inside, host, OWN) == [Exchange("/sys/fs/cgroup/memory/abc", "/cg")]


def test_what_the_host_does_not_see_stays_as_it_is():
    host = [mount("/sys/fs/cgroup/memory", "0:30", "memory", root="/lxc")]
    assert exchanges([mount("/cg", "0:30", "memory")], host, OWN) == []
    assert exchanges([mount("/cg", "0:99", "memory")], HOST, OWN) == []


def test_version_2_alone_has_nothing_to_exchange():
    assert exchanges([mount("/cg", "0:30", "memory")], HOST, [Membership("", "/docker/abc")]) == []


def test_the_name_of_a_cgroup_need_not_be_text(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_bytes(b"0::/caf\xe9/abc\n")
    (found,) = memberships(7, str(tmp_path))
    assert os.fsencode(found.path) == b"/caf\xe9/abc"


@pytest.fixture
def container():
    """A process with mounts of its own; /mnt there is a tmpfs."""
    script = "mount --make-rprivate / && mount -t tmpfs other /mnt && echo ready && exec sleep 600"
    process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process.pid
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_directory_of_the_host_takes_the_place_of_a_mount(container, tmp_path):
    (tmp_path / "limit").write_text("64")
    namespace = os.open(f"/proc/{container}/ns/mnt", os.O_RDONLY)
    before = os.readlink("/proc/self/ns/mnt")
    assert _in_child(namespace, Exchange(str(tmp_path), "/mnt"))
    assert not _in_child(namespace, Exchange(str(tmp_path / "nowhere"), "/mnt"))
    os.close(namespace)
    assert os.readlink("/proc/self/ns/mnt") == before
    with open(f"/proc/{container}/root/mnt/limit", encoding="ascii") as limit:
        assert limit.read() == "64"
    with pytest.raises(OSError, match="Read-only"):
        open(f"/proc/{container}/root/mnt/limit", "w", encoding="ascii")  # noqa: SIM115
