# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts that a service made or took away itself: real ones, in a mount namespace of the test's process."""

from __future__ import annotations

from test_holdings import needs_root, only, told

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
