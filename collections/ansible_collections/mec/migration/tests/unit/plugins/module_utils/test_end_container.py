# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container is gone when its cgroup was seen empty, whatever Docker and runc know of it."""

from __future__ import annotations

import subprocess
import threading
import time

import pytest
from ansible_collections.mec.migration.plugins.module_utils.base.errors import MigrationError
from ansible_collections.mec.migration.plugins.module_utils.kernel.cgroup import (
    container_cgroups,
    container_processes,
    end_container,
)

ID = "a" * 64


@pytest.fixture(params=[f"freezer/docker/{ID}", f"system.slice/docker-{ID}.scope", f"own/parent/{ID}"])
def cgroup(request, tmp_path):
    """A directory as the kernel shows a cgroup, of version 1 or 2, below whatever parent."""
    made = tmp_path / request.param
    made.mkdir(parents=True)
    (tmp_path / "freezer" / "docker" / ("b" * 64)).mkdir(parents=True)
    (made / "cgroup.procs").write_text("")
    return made


def shows(cgroup, *processes):
    """The kernel's part: a process that has ended is listed no more."""

    def update():
        while any(process.poll() is None for process in processes):
            time.sleep(0.01)
        (cgroup / "cgroup.procs").write_text("")

    (cgroup / "cgroup.procs").write_text("".join(f"{process.pid}\n" for process in processes))
    threading.Thread(target=update, daemon=True).start()


def sleeper(*words):
    return subprocess.Popen(["sleep", "600", *words])


def test_it_is_found_by_its_id_below_any_parent(cgroup, tmp_path):
    assert container_cgroups(ID, str(tmp_path)) == [str(cgroup)]
    assert container_cgroups("c" * 64, str(tmp_path)) == []


def test_all_processes_end_those_of_nested_cgroups_too(cgroup, tmp_path):
    inner = cgroup / "nested"
    inner.mkdir()
    with sleeper() as outer, sleeper() as nested:
        shows(cgroup, outer)
        shows(inner, nested)
        assert container_processes(ID, str(tmp_path)) == sorted([outer.pid, nested.pid])
        end_container(ID, root=str(tmp_path))
        assert (outer.wait(60), nested.wait(60)) == (-9, -9)


@pytest.mark.parametrize(
    ("name", "before", "after"), [("freezer.state", "FROZEN", "THAWED"), ("cgroup.freeze", "1", "0")]
)
def test_what_is_frozen_is_thawed_so_that_it_can_end(cgroup, tmp_path, name, before, after):
    (cgroup / name).write_text(before)
    with sleeper() as process:
        shows(cgroup, process)
        end_container(ID, root=str(tmp_path))
    assert (cgroup / name).read_text().startswith(after)


def test_what_does_not_end_is_said(cgroup, tmp_path):
    with sleeper() as process:
        # Listed for ever, as a process in uninterruptible sleep is.
        (cgroup / "cgroup.procs").write_text(f"{process.pid}\n")
        with pytest.raises(MigrationError, match="do not end after SIGKILL"):
            end_container(ID, timeout_s=0.2, root=str(tmp_path))


def test_no_cgroup_is_an_empty_one(tmp_path):
    end_container(ID, root=str(tmp_path))
