# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watched files of a real process, found by their inodes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel.watches import Watches, watches

PROGRAM = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
os.chroot(sys.argv[1])
os.chdir("/")
fd = libc.inotify_init()
for path in sys.argv[2:]:
    assert libc.inotify_add_watch(fd, os.fsencode(path), 2) >= 0
print("there", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_is_watched_has_its_path(tmp_path):
    root = tmp_path / "root"
    for name in ("etc/app", "var/tmp", "with space"):
        (root / name).mkdir(parents=True)
    (root / "etc/app/settings").write_text("x")
    (root / 'etc/"quoted"').write_text("x")
    (root / "etc/\udcff").write_text("x")
    (root / "etc/link").symlink_to("app")
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PROGRAM,
            str(root),
            "/etc/app/settings",
            "/",
            "/var/tmp",
            "/with space",
            "/etc/link",
            '/etc/"quoted"',
            "/etc/\udcff",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b"there\n"
        assert watches(process.pid, [process.pid]).paths == (
            "/etc/app/settings",
            "/etc/app",
            "/etc/\udcff",
            "/var/tmp",
            "/etc",
            "/with space",
            "/.",
        )
        assert watches(process.pid, [process.pid]).nameless == ()
    finally:
        process.communicate()
    assert watches(os.getpid(), []) == Watches()


MOUNTED = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
assert libc.unshare(0x00020000) == 0 and libc.mount(None, b"/", None, 1 << 14 | 1 << 18, None) == 0
volume, config, over, file = (os.fsencode(path) for path in sys.argv[1:])
assert libc.mount(config, file, None, 1 << 12, None) == 0
options = b"lowerdir=%s/low,upperdir=%s/up,workdir=%s/work" % (over, over, over)
assert libc.mount(b"over", over + b"/all", b"overlay", 0, options) == 0
fd = libc.inotify_init()
for path in (volume, file, over + b"/all/below"):
    assert libc.inotify_add_watch(fd, path, 2) >= 0
print("there", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_has_no_handle_elsewhere_has_its_path():
    # Not below the test's directory: an overlay has no other one in it.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as there:
        for name in ("volume", "low/below", "up", "work", "all"):
            os.makedirs(f"{there}/{name}")
        # One file alone is mounted, whose directory is nowhere in the container.
        with tempfile.NamedTemporaryFile() as config, tempfile.NamedTemporaryFile() as file:
            process = subprocess.Popen(
                [sys.executable, "-c", MOUNTED, f"{there}/volume", config.name, there, file.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            try:
                assert process.stdout.readline() == b"there\n"
                found = watches(process.pid, [process.pid])
            finally:
                process.communicate()
    assert found.nameless == ()
    assert f"{there}/all/below" in found.paths
    assert f"{there}/volume" not in found.paths
