# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts that a service made or took away itself: real ones, in a mount namespace of the test's process."""

from __future__ import annotations

import os
import subprocess
import sys

from test_holdings import PRELUDE, needs_root, only, told

pytestmark = needs_root

MOUNTS = """
import tempfile
libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x1000, 0x4000, 0x40000, 2
unshare_mounts()
made(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
place = tempfile.mkdtemp()


def mount(kind, point=place, source=b"none", flags=0, options=b""):
    os.makedirs(point, exist_ok=True)
    made(libc.mount(source, point.encode(), kind, flags, options))


mount(b"tmpfs")
"""
OPEN = """
file = open(f"{place}/held", "w")
"""


def test_mounts_of_its_own():
    binds = """
os.mkdir(f"{place}/a")
mount(None, f"{place}/b", f"{place}/a".encode(), MS_BIND)
mount(None, f"{place}/c", b"/etc", MS_BIND)
mount(b"proc", f"{place}/proc")
held = [open(f"{place}/{name}", "w") for name in ("a/1", "b/2", "3")]
"""
    assert told(MOUNTS + binds) == []


def test_a_file_system_of_its_own():
    overlay = """
for name in ("lower", "upper", "work"):
    os.mkdir(f"{place}/{name}")
options = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work".encode()
mount(b"overlay", f"{place}/merged", options=options)
"""
    (sentence,) = told(MOUNTS + overlay)
    assert "has mounted a file system of type overlay itself" in sentence
    assert "/merged" in sentence


def test_a_file_on_an_unmounted_mount():
    unmount = "made(libc.umount2(place.encode(), MNT_DETACH))"
    only(told(MOUNTS + OPEN + unmount), "/held open", "on a mount that was unmounted")


def test_a_file_on_a_mount_of_the_host():
    """As what `docker exec` starts has /dev/null: opened before its process entered the container."""
    program = "held = open('/dev/null')\n" + MOUNTS
    only(told(program), "/dev/null of the host open", "not of the container", "`< /dev/null`")
    assert told(program + "held.close()") == []


def test_a_file_on_a_hidden_mount():
    only(told(MOUNTS + OPEN + 'mount(b"tmpfs")'), "/held open", "which another mount hides")
    assert told(MOUNTS + 'mount(b"tmpfs")' + OPEN) == []


# An overlay of many layers, in a mount namespace of its own.
MANY_LAYERS = """
libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
unshare_mounts()
made(libc.mount(None, b"/", None, 1 << 14 | 1 << 18, None))
base = "BASE"
made(libc.mount(b"none", base.encode(), b"tmpfs", 0, None))
os.chdir(base)
layers = [chr(97 + number) * 240 for number in range(15)]
point = os.path.join(base, "p" * 250, "q" * 250)
for name in (*layers, "upper", "work", point):
    os.makedirs(name)
options = f"lowerdir={':'.join(layers)},upperdir={base}/upper,workdir={base}/work"
made(libc.mount(b"overlay", point.encode(), b"overlay", 0, options.encode()))
"""


@needs_root
def test_a_mount_whose_line_is_too_long(tmp_path):
    found = told(MANY_LAYERS.replace("BASE", str(tmp_path)))
    # That it is an overlay, which Docker has not mounted, is the other one.
    assert ["longer than 4094 bytes" in each for each in found].count(True) == 1
    found = [each for each in found if "longer than 4094 bytes" in each]
    assert f"container web has a mount at {tmp_path}" in found[0]


@needs_root
def test_criu_is_kept_from_mounts_of_others_that_it_cannot_read(tmp_path):
    look = """
from ansible_collections.mec.migration.plugins.module_utils.criu.own_mounts import *
import subprocess
longest = ["awk", "{ if (length($0) > m) m = length($0) } END { print m }", "/proc/self/mountinfo"]
assert len(unreadable_mounts()) == 1
print(with_own_mounts(lambda: int(subprocess.check_output(longest))))
print(int(subprocess.check_output(longest)))
"""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    program = MANY_LAYERS.replace("BASE", str(tmp_path))
    argv = [sys.executable, "-c", PRELUDE + program + look]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout
    seen_by_criu, seen_by_others = map(int, said.split())
    assert seen_by_criu < 4094 < seen_by_others
