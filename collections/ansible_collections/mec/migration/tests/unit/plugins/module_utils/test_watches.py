# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watched files of a real process, found by their inodes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.mec.migration.plugins.module_utils.kernel.watches import watched_paths

PROGRAM = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
os.chroot(sys.argv[1])
os.chdir("/")
fd = libc.inotify_init()
for path in sys.argv[2:]:
    assert libc.inotify_add_watch(fd, path.encode(), 2) >= 0
print("there", flush=True)
sys.stdin.read()
"""
WATCHED = ["/etc/app/settings", "/", "/var/tmp", "/with space", "/etc/link"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_is_watched_has_its_path(tmp_path):
    root = tmp_path / "root"
    for name in ("etc/app", "var/tmp", "with space"):
        (root / name).mkdir(parents=True)
    (root / "etc/app/settings").write_text("x")
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
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b"there\n"
        assert watched_paths(process.pid, [process.pid]) == [
            "/etc/app/settings",
            "/etc/app",
            "/var/tmp",
            "/with space",
            "/",
        ]
    finally:
        process.communicate()
    assert watched_paths(os.getpid(), []) == []
