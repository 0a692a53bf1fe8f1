# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the runtime's calls end, and what is left of one that was killed."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time

from ansible_collections.mec.migration.plugins.module_utils.kernel import libc
from ansible_collections.mec.migration.plugins.module_utils.kernel.mountinfo import Mount
from ansible_collections.mec.migration.plugins.module_utils.target import runtime_calls
from ansible_collections.mec.migration.plugins.module_utils.target.runtime_calls import end_restore, put_away

ID = "a" * 64
OTHER = "b" * 64


def test_a_restore_whose_parent_has_died_is_found_by_its_words():
    """`runc restore ... ID`, and what came out of it; not what only looks at the container."""
    # It does not end by itself where what it has started is killed first.
    script = "sleep 600 & while :; do wait; done"
    calls = (["restore", "--detach", ID], ["state", ID], ["restore", "b" * 64])
    restoring, looking, other = (
        subprocess.Popen(["bash", "-c", script, "runc", *words], start_new_session=True) for words in calls
    )
    try:
        # What the shell starts ends with it.
        while not pathlib.Path(f"/proc/{restoring.pid}/task/{restoring.pid}/children").read_text():
            time.sleep(0.01)
        end_restore(ID)
        assert restoring.wait(60) == -9
        assert looking.poll() is None
        assert other.poll() is None
    finally:
        for process in (looking, other):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_restore_that_ends_by_itself_is_let_do_so(tmp_path):
    made = tmp_path / "mount"
    made.touch()
    # The shell does not become its last command, which would have other words.
    script = f"sleep 0.5; rm {made}; true"
    with subprocess.Popen(["bash", "-c", script, "runc", "restore", ID]) as restoring:
        # Until then it has another command line.
        while ID.encode() not in pathlib.Path(f"/proc/{restoring.pid}/cmdline").read_bytes():
            time.sleep(0.01)
        end_restore(ID, patience_s=60)
        assert not made.exists()
    assert restoring.returncode == 0


class Runtime:
    """What runc has made of two containers, one of which was killed; mounts as the kernel lists them."""

    def __init__(self, directory, monkeypatch):
        self.cgroups = directory / "cgroup"
        self.unmounted = []
        self._points = []
        for container_id in (ID, OTHER):
            (directory / container_id / "criu-root").mkdir(parents=True)
            (self.cgroups / "memory" / "docker" / container_id / "nested").mkdir(parents=True)
            self._points.append(str(directory / container_id / "criu-root"))
        monkeypatch.setattr(runtime_calls, "mounts", self._mounts)
        monkeypatch.setattr(libc, "libc", self)
        self.directory = directory

    def _mounts(self):
        return [Mount("0:50", "/", point, [], "overlay", "overlay", "rw") for point in self._points]

    def umount2(self, point, flags):
        assert flags == libc.MNT_DETACH
        self.unmounted.append(os.fsdecode(point))
        return 0


def test_what_a_killed_runc_leaves_is_put_away(tmp_path, monkeypatch):
    made = Runtime(tmp_path, monkeypatch)
    put_away(ID, str(made.cgroups))
    assert made.unmounted == [str(tmp_path / ID / "criu-root")]
    assert sorted(path.name for path in tmp_path.iterdir()) == [OTHER, "cgroup"]
    assert os.listdir(made.cgroups / "memory" / "docker") == [OTHER]
    assert (tmp_path / OTHER / "criu-root").exists()


def test_what_is_not_empty_stays(tmp_path, monkeypatch):
    made = Runtime(tmp_path, monkeypatch)
    (tmp_path / ID / "state.json").write_text("{}")
    (made.cgroups / "memory" / "docker" / ID / "cgroup.procs").write_text("1")
    put_away(ID, str(made.cgroups))
    assert os.listdir(tmp_path / ID) == ["state.json"]
    assert os.listdir(made.cgroups / "memory" / "docker" / ID) == ["cgroup.procs"]


def test_nothing_is_put_away_of_a_container_that_was_never_made(tmp_path, monkeypatch):
    made = Runtime(tmp_path, monkeypatch)
    put_away("", str(made.cgroups))
    assert made.unmounted == []
    assert os.listdir(made.cgroups / "memory" / "docker") != []
