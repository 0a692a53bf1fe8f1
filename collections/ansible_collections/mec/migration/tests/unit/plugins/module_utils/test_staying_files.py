# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real process uses of mounts that do not move."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest
from ansible_collections.mec.migration.plugins.module_utils.service.staying_files import staying_files

PROGRAM = """
import mmap, os, sys
os.chdir(sys.argv[1])
os.mkdir("below", 0o700)
held = [open("read"), open("log", "a"), open("random", "r+"), open("gone", "w")]
below = os.open("below", os.O_RDONLY)
os.unlink("gone")
mapped = open("mapped")
memory = mmap.mmap(mapped.fileno(), 4, prot=mmap.PROT_READ)
mapped.close()
print("there", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="/dev/shm is no mount here")
def test_what_is_open_mapped_or_a_working_directory():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as there:
        for name in ("read", "log", "random", "mapped"):
            with open(f"{there}/{name}", "w", encoding="ascii") as file:
                file.write("1234")
            os.chmod(f"{there}/{name}", 0o640)
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, there], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            assert process.stdout.readline() == b"there\n"
            found = staying_files([process.pid], {"/dev/shm": "/srv/shm"})
            assert staying_files([process.pid], {}) == []
        finally:
            process.communicate()
    below = f"/srv/shm/{os.path.basename(there)}"
    assert {file.path: (oct(file.mode), file.size_bytes) for file in found} == {
        below: ("0o40700", -1),
        f"{below}/below": ("0o40700", -1),
        f"{below}/read": ("0o100640", 4),
        f"{below}/log": ("0o100640", -1),
        f"{below}/random": ("0o100640", 4),
        f"{below}/mapped": ("0o100640", 4),
    }
